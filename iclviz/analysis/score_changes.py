"""How behaviour differs between two conditions: scores of A and of B, and their change item by item.

Changes resample the recordings' coarsest groups, whatever is compared: what is independent of each other is so for all
of them. What is compared are the items that both conditions have.
"""

from collections.abc import Callable

import numpy as np

from iclviz.analysis.behaviour import score_of, score_resolution
from iclviz.analysis.change import Change, mean_change, paired_over_seeds
from iclviz.analysis.comparison import Comparison, of_comparison
from iclviz.analysis.resolution import settled, tied
from iclviz.analysis.statistics import MeanInterval, mean_interval
from iclviz.recording import Array, Recording


@of_comparison
def score_difference(comparison: Comparison, score: str) -> Change:
    """B minus A of a score, the mean over the items that have it on both sides (and over seeds); arrays (1,).

    Raises
    ------
    AnalysisError: a recording has no such score.
    """
    change, groups = score_change(comparison, score), comparison.groups
    kept = np.isfinite(change).any(axis=0)
    kept |= not kept.any()
    return mean_change(change[:, kept, None], None if groups is None else groups[kept])


def score_mean(comparison: Comparison, side: int, score: str) -> float:
    """The mean in A (0) or B (1) over seeds and over the items that have the score in both conditions.

    Raises
    ------
    AnalysisError: a recording has no such score.
    """
    there = np.isfinite(score_change(comparison, score))
    values = [score_of(one, score)[comparison.items(one)] for one in comparison.side(side)]
    return float(np.mean(np.stack(values)[there])) if there.any() else float("nan")


def score_level(comparison: Comparison, side: int, score: str) -> Change | MeanInterval:
    """The mean of a score in A (0) or B (1) over items (and seeds) with its interval; arrays (1,).

    Raises
    ------
    AnalysisError: a recording has no such score.
    """
    recordings = {id(one): one for one in comparison.side(side)}
    values = [score_of(one, score)[comparison.items(one), None] for one in recordings.values()]
    if len(values) == 1:
        return mean_interval(values[0], comparison.groups)
    return paired_over_seeds(np.stack(values), comparison.groups)


def score_change(comparison: Comparison, score: str) -> Array:
    """(S, m) B minus A of a score, NaN where an item has none, 0 where its numbers hold no difference.

    Raises
    ------
    AnalysisError: a recording has no such score.
    """
    change = comparison.change(lambda recording, items: score_of(recording, score)[items])
    return settled(change, least_score_change(comparison, score))


def tied_score_change(comparison: Comparison, score: str) -> Array:
    """The same, items whose changes differ by less than that being ties: what ranks may be taken of."""
    return tied(score_change(comparison, score), least_score_change(comparison, score))


def least_score_change(comparison: Comparison, score: str) -> float:
    """The least difference of a score that all of the recordings hold."""
    return max(score_resolution(one, score) for pair in comparison.pairs for one in pair)


def covariates(comparison: Comparison, score: str) -> dict[str, Array]:
    """What a partial link is given, name -> (S, m): the score in A, and both sides' lengths and task covariates; one
    that does not vary or that some item lacks is left out.
    """

    def stacked(side: int, of: Callable[[Recording], Array]) -> Array:
        return np.stack([np.asarray(of(one), dtype=float)[comparison.items(one)] for one in comparison.side(side)])

    def covariate(name: str) -> Callable[[Recording], Array]:
        return lambda recording: recording.covariates[name]

    found = {"baseline score": stacked(0, lambda recording: recording.scores[score])}
    for side, where in enumerate(("A", "B")):
        names = set.intersection(*(set(one.covariates) for one in comparison.side(side)))
        found |= {f"{name} in {where}": stacked(side, covariate(name)) for name in sorted(names)}
    return {name: values for name, values in found.items() if np.isfinite(values).all() and np.ptp(values) > 0}
