"""A task's primary analysis as a measure of a recording's items: one place for everybody who starts from it."""

from dataclasses import replace

from iclviz.analysis.headlines import PRIMARY
from iclviz.analysis.measure import Measuring
from iclviz.recording import Recording
from iclviz.tasks import Task


def primary_measuring(the_task: Task, recording: Recording) -> Measuring:
    """How the task's primary analysis measures an item of a recording.

    Options can leave the primary hypothesis or label out, such as "same line" where the queries of a line share their
    points; the recording's first one stands in then.
    """
    primary = the_task.primary
    hypothesis = primary.hypothesis if primary.hypothesis in recording.hypotheses else None
    label = primary.label if primary.label in recording.groups else None
    return replace(PRIMARY, hypothesis=hypothesis, label=label, pooling=primary.pooling, metric=primary.metric)  # type: ignore[arg-type]
