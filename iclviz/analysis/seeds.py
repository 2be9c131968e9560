"""A measure of one condition over its demonstration seeds: the mean, and how far seeds and items leave it uncertain.

An interval joins two parts, as the root of their squares: Student's over seeds, and the mean one over items of single
seeds. That what items add is the same under every seed is the worst case, so the interval is wide rather than narrow.
It is about one condition: whether two differ, only their paired test says.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import t

from iclviz.analysis.behaviour import ScoreSummary
from iclviz.analysis.results import Estimates
from iclviz.natural_units import NaturalUnit
from iclviz.recording import Array

FEWEST_SEEDS = 3
"""Seeds that an interval needs: of two, Student's is wider than anything it could tell."""


@dataclass(frozen=True, eq=False)
class OverSeeds(Estimates):
    """A measure of one condition; arrays (K,), one a layer, or a single one for behaviour.

    Attributes
    ----------
    estimate, low, high: the mean over seeds and its 95 % interval, NaN where there is none.
    each: (S, K) of every seed.
    n_seeds: demonstration seeds, 0 for a condition that shows nothing and so has none.
    """

    each: Array
    n_seeds: int


def over_seeds(
    estimates: Sequence[Array], lows: Sequence[Array], highs: Sequence[Array], has_seeds: bool = True
) -> OverSeeds:
    """The mean over seeds with its 95 % interval over seeds and items; NaN in one seed leaves the layer empty.

    Parameters
    ----------
    estimates, lows, highs: (S, K) a measure under each seed, with its 95 % interval over items. A single one keeps its
        interval.
    has_seeds: whether any seed draws what the condition shows.
    """
    each, low, high = (np.asarray(values, dtype=float) for values in (estimates, lows, highs))
    n_seeds, mean = len(each), each.mean(axis=0)
    seeds = np.full(mean.shape, np.nan if n_seeds > 1 else 0.0)
    if n_seeds >= FEWEST_SEEDS:
        seeds = t.ppf(0.975, n_seeds - 1) * each.std(axis=0, ddof=1) / np.sqrt(n_seeds)
    below, above = (np.sqrt(seeds**2 + np.mean((each - side) ** 2, axis=0)) for side in (low, high))
    return OverSeeds(mean, mean - below, mean + above, each, n_seeds if has_seeds else 0)


def joined_over_seeds(
    results: Sequence[Estimates | ScoreSummary], has_seeds: bool = True, unit: NaturalUnit | None = None
) -> OverSeeds:
    """`over_seeds` of the results of a condition under each of its seeds.

    unit: that in which a score is then said; None = as it is scored.
    """
    estimates, lows, highs = (
        [np.atleast_1d(getattr(one, name)) for one in results] for name in ("estimate", "low", "high")
    )
    joined = over_seeds(estimates, lows, highs, has_seeds)
    if unit is None:
        return joined
    bounds = np.sort(unit.values([joined.low, joined.high]), axis=0)
    return replace(
        joined, estimate=unit.values(joined.estimate), low=bounds[0], high=bounds[1], each=unit.values(joined.each)
    )
