"""How behaviour differs between two conditions: scores of A and of B, and their change item by item.

Changes resample the recordings' coarsest groups, whatever is compared: what is independent of each other is so for all
of them. What is compared are the items that both conditions have.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from iclviz.analysis.behaviour import score_of, score_resolution
from iclviz.analysis.change import Change, mean_change, paired_over_seeds
from iclviz.analysis.comparison import Comparison, of_comparison
from iclviz.analysis.resolution import settled, tied
from iclviz.analysis.statistics import MeanInterval, mean_interval
from iclviz.errors import AnalysisError
from iclviz.natural_units import NaturalUnit
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


@dataclass(frozen=True, eq=False)
class ScorePairs:
    """A score of the common items in A and in B, as people say it.

    Attributes
    ----------
    unit: that of all values.
    item_ids: m ids, of the items that have it in both; groups: (m,) or None.
    a, b: (m,) each item's score, the mean over seeds.
    mean, low, high: (2,) in A and in B, the mean over items (and seeds) with its 95 % interval.
    n_units, n_seeds: independent groups, demonstration seeds.
    """

    unit: NaturalUnit
    item_ids: tuple[str, ...]
    groups: Array | None
    a: Array
    b: Array
    mean: Array
    low: Array
    high: Array
    n_units: int
    n_seeds: int


@of_comparison
def score_pairs(comparison: Comparison, score: str, unit: NaturalUnit | None = None) -> ScorePairs:
    """A score of every item that has it in A and in B, with both means.

    Means and bounds are taken of the score, then said in the unit.

    Raises
    ------
    AnalysisError: a recording has no such score, or no item has it in both.
    """
    there = np.isfinite(score_change(comparison, score)).all(axis=0)
    if not there.any():
        raise AnalysisError(f"No item has the score “{score}” in both A and B.")
    both, unit = comparison.only(np.flatnonzero(there)), unit or NaturalUnit(score)
    a, b = (np.mean([score_of(one, score)[both.items(one)] for one in both.side(side)], axis=0) for side in range(2))
    levels = [score_level(both, side, score) for side in range(2)]
    bounds = unit.values([[float(getattr(level, name)[0]) for level in levels] for name in ("low", "high")])
    return ScorePairs(
        unit,
        both.item_ids,
        both.groups,
        unit.values(a),
        unit.values(b),
        unit.values([float(level.estimate[0]) for level in levels]),
        np.min(bounds, axis=0),
        np.max(bounds, axis=0),
        levels[1].n_units,
        both.n_seeds,
    )


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
