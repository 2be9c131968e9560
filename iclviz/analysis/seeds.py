"""A measure of one condition over its demonstration seeds: the mean, and how far seeds leave it uncertain.

The interval is Student's over seeds. It says where the mean over all demonstration sets lies, for these items; it says
nothing of other items.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from iclviz.recording import Array

FEWEST_SEEDS = 3
"""Seeds that an interval needs: of two, Student's is wider than anything it could tell."""


@dataclass(frozen=True, eq=False)
class OverSeeds:
    """A measure of one condition; arrays (K,), one a layer, or a single one for behaviour.

    Attributes
    ----------
    estimate: the mean over seeds; low, high: its 95 % interval, NaN where there is none.
    each: (S, K) of every seed.
    """

    estimate: Array
    low: Array
    high: Array
    each: Array

    @property
    def n_seeds(self) -> int:
        """Demonstration seeds S."""
        return len(self.each)


def over_seeds(values: Sequence[Array]) -> OverSeeds:
    """The mean of values (S, K) over seeds with Student's 95 % interval; NaN in one seed leaves the layer empty."""
    each = np.asarray(values, dtype=float)
    n_seeds, mean = len(each), each.mean(axis=0)
    half = np.full(mean.shape, np.nan)
    if n_seeds >= FEWEST_SEEDS:
        half = t.ppf(0.975, n_seeds - 1) * each.std(axis=0, ddof=1) / np.sqrt(n_seeds)
    return OverSeeds(mean, mean - half, mean + half, each)


def of_one(estimate: Array | float, low: Array | float, high: Array | float) -> OverSeeds:
    """A condition of one seed, with the interval over its items."""
    middle = np.atleast_1d(np.asarray(estimate, dtype=float))
    return OverSeeds(middle, np.atleast_1d(low), np.atleast_1d(high), middle[None])
