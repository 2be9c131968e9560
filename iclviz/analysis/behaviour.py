"""Behaviour: a condition's scores with their intervals, in independent groups of items."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iclviz.analysis.resolution import NATS
from iclviz.analysis.statistics import mean_interval
from iclviz.errors import AnalysisError, unknown
from iclviz.natural_units import NaturalUnit
from iclviz.questions.question import of_recording
from iclviz.recording import Array, Recording

LOGPROB, MARGIN = "answer_logprob", "logprob_margin"
"""Scores that need no parsing; the first rises with the format too, the second is against other answers'."""

RIGHT = "right"
"""Whether the response is the expected answer, of tasks where it either is or is not."""

PREFERRED = "prefers_right"
"""Whether the margin is above zero."""


@dataclass(frozen=True, eq=False)
class ScoreSummary:
    """A score's mean over items and its 95 % interval.

    Attributes
    ----------
    score: the score's name.
    mean, low, high: over the items that have a value; NaN where none has.
    n: items that have a value.
    n_unparsed: items whose response could not be read; a main score counts them with its worst value.
    n_units: independent groups of items.
    is_share: whether every item scores 0 or 1, so that the interval is Wilson's; else groups were resampled.
    values: (m,) the score of each item, NaN where it has none.
    item_ids: m ids.
    """

    score: str
    mean: float
    low: float
    high: float
    n: int
    n_unparsed: int
    n_units: int
    is_share: bool
    values: Array
    item_ids: tuple[str, ...]

    @property
    def estimate(self) -> float:
        """The mean, as results of measures call it."""
        return self.mean


def coarsest_groups(recording: Recording) -> Array | None:
    """(n,) the groups of the label or hypothesis that has the fewest: what no two independent items share."""
    if not recording.groups:
        return None
    return min(recording.groups.values(), key=lambda groups: len(np.unique(groups)))


def n_independent(recording: Recording) -> int:
    """How many independent groups of items there are."""
    groups = coarsest_groups(recording)
    return recording.n_items if groups is None else len(np.unique(groups))


def nats_held(recording: Recording) -> float:
    """The least difference of two log-probabilities, or of log attention, that the model's arithmetic holds."""
    return NATS[recording.spec.dtype or "float32"]


def score_resolution(recording: Recording, score: str) -> float:
    """The least difference of a score that its numbers hold: of log-probabilities that of the model's arithmetic."""
    return nats_held(recording) if score in (LOGPROB, MARGIN) else 0.0


def score_of(recording: Recording, score: str) -> Array:
    """(n,) a score of each item; which answer is preferred is one half where nothing tells them apart.

    Raises
    ------
    AnalysisError: the recording has no such score.
    """
    if score not in recording.scores:
        raise unknown(AnalysisError, "score", score, list(recording.scores))
    values = np.asarray(recording.scores[score], dtype=float)
    values = np.where(np.isinf(values), np.nan, values)  # as earlier versions kept answers that no float holds
    if score == PREFERRED and MARGIN in recording.scores:
        margin = np.asarray(recording.scores[MARGIN], dtype=float)
        return np.where(np.abs(margin) <= score_resolution(recording, MARGIN), 0.5, values)
    return values


@of_recording
def score_summary(
    recording: Recording,
    score: str,
    *,
    groups: Array | Sequence[object] | None = None,
    items: Array | None = None,
    n_bootstrap: int = 1000,
    seed: int = 0,
    unit: NaturalUnit | None = None,
) -> ScoreSummary:
    """A score of one condition.

    Parameters
    ----------
    recording: the condition.
    score: name of one of its scores.
    groups: (n,) what is independent of each other; None = the recording's coarsest groups.
    items: which items to keep, such as those of a `join`; None = all.
    n_bootstrap: resamples for the interval.
    seed: draws them.
    unit: that in which the score is said; mean and bounds are taken of the score itself. None = as it is scored.

    Raises
    ------
    AnalysisError: the recording has no such score.
    """
    of_items = score_of(recording, score)
    kept = np.arange(recording.n_items) if items is None else np.asarray(items)
    units = coarsest_groups(recording) if groups is None else np.asarray(groups)
    values = of_items[kept]
    summary = mean_interval(values, None if units is None else units[kept], n_bootstrap=n_bootstrap, seed=seed)
    said = (unit or NaturalUnit(score)).values
    low, high = sorted((float(said(summary.low)), float(said(summary.high))))
    return ScoreSummary(
        score=score,
        mean=float(said(summary.mean)),
        low=low,
        high=high,
        n=int(summary.n),
        n_unparsed=sum(recording.parsed[index] is None for index in kept),
        n_units=summary.n_units,
        is_share=bool(summary.is_share),
        values=said(values),
        item_ids=tuple(recording.item_ids[index] for index in kept),
    )
