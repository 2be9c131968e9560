"""What became of items, by the value of a factor or label: obeyed, right, neither, or whatever a task tells apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iclviz.analysis.behaviour import score_of
from iclviz.errors import AnalysisError
from iclviz.questions.question import of_recording
from iclviz.recording import Array, Recording


@dataclass(frozen=True, eq=False)
class OutcomeCounts:
    """How many items of each value had each outcome.

    Attributes
    ----------
    values: V values of the factor or label, sorted; outcomes: O of them, and last what is none of these.
    counts: (V, O + 1) items.
    """

    values: tuple[str, ...]
    outcomes: tuple[str, ...]
    counts: Array


@of_recording
def outcome_counts(
    recording: Recording, outcomes: Sequence[tuple[str, str]], by: str = "", rest: str = "neither"
) -> OutcomeCounts:
    """Outcomes of a condition's items, by the value of a factor or label.

    Parameters
    ----------
    outcomes: score that is 1 where an item had the outcome -> what the outcome is called; the first that holds counts.
    by: a factor or a label; "" = all items together.
    rest: what items are called that had none of them.

    Raises
    ------
    AnalysisError: the recording has no such factor, label or score.
    """
    of_items = _values(recording, by)
    left = np.ones(recording.n_items, dtype=bool)
    masks = []
    for score, _ in outcomes:
        had = left & (score_of(recording, score) == 1)
        masks.append(had)
        left = left & ~had
    values = sorted(set(of_items.tolist()))
    counts = [[int((mask & (of_items == value)).sum()) for mask in (*masks, left)] for value in values]
    return OutcomeCounts(tuple(values), (*(name for _, name in outcomes), rest), np.array(counts))


def _values(recording: Recording, by: str) -> Array:
    if not by:
        return np.full(recording.n_items, "all items", dtype=object)
    known = {**recording.labels, **recording.factors}
    if by not in known:
        raise AnalysisError(f"These items have no {by}.", f"Known: {', '.join(known)}.")
    return np.asarray([str(value) for value in known[by]], dtype=object)
