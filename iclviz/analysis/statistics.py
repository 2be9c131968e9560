"""Permutation, bootstrap and correction over layers, all in independent units (groups of items).

Items made from one thing (a line, a document) are not independent, so labels are permuted and items resampled by
group. One permutation or resample is shared by all layers; each layer is standardised by its own null before the
maximum over layers is taken (Westfall and Young 1993), so that a layer with a wide null does not hide the others.
Fewer than `MIN_UNITS` groups give a reason in words and no p. Shares, means of values that are 0 or 1, have Wilson's
interval on an effective number of items: a bootstrap of them collapses near 0 and 1.
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.stats import false_discovery_control, norm, t

from iclviz.analysis.results import Estimates
from iclviz.errors import AnalysisError
from iclviz.recording import Array

SIGNIFICANT = 0.05
"""The p below which a statement says "found" and a mark is filled."""

MIN_UNITS = 8
"""The fewest units that get a p: with fewer, hardly a rearrangement is left that the data could surprise."""

_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class PValues:
    """One-sided p of each layer: alone, corrected by the maximum over layers, and by Benjamini-Hochberg; each (K,)."""

    p: Array
    p_corrected: Array
    p_fdr: Array

    @classmethod
    def absent(cls, n_layers: int) -> "PValues":
        """NaN for every layer."""
        return cls(*(np.full(n_layers, np.nan) for _ in range(3)))


@dataclass(frozen=True, eq=False)
class MeanInterval(Estimates):
    """A mean over items with its interval; shapes are those of one item.

    Attributes
    ----------
    estimate: the mean, NaN where no item has a value.
    low, high: NaN where fewer than two groups have a value.
    n: number of items that have a value.
    n_units: number of groups.
    is_share: whether every value is 0 or 1, so that the interval is Wilson's (`share_interval`); else it is the
        percentile interval that resampling groups gives.
    """

    n: Array
    n_units: int
    is_share: Array

    @property
    def mean(self) -> Array:
        """The estimate: a mean over items."""
        return self.estimate


def stands_out(p_corrected: Array) -> Array:
    """Where a corrected p is significant; nowhere where nothing was tested."""
    return np.asarray(np.nan_to_num(p_corrected, nan=1.0) < SIGNIFICANT)


def unit_codes(groups: Array | Sequence[object] | None, n: int) -> Array:
    """(n,) the number of each item's group, from 0; without groups every item is its own.

    Raises
    ------
    AnalysisError: there is not one group for each item.
    """
    if groups is None:
        return np.arange(n)
    names = np.asarray(groups)
    if names.shape != (n,):
        raise AnalysisError(f"{names.size} groups were given for {n} items.", "Give one group for each item.")
    return np.unique(names, return_inverse=True)[1]


def first_half(codes: Array, seed: int) -> Array:
    """(n,) whether an item is of that half of the groups, drawn by a seed, which chooses; the other half judges."""
    n_groups = int(codes.max()) + 1
    return np.asarray((np.random.default_rng(seed).permutation(n_groups) < n_groups // 2)[codes])


def too_few(n_units: int) -> str | None:
    """Why no p is given, or None where there are enough groups."""
    if n_units >= MIN_UNITS:
        return None
    return f"too few groups ({n_units} < {MIN_UNITS}): no p is given"


MOST_UNEQUAL = 10
"""How many times as many items the largest group may have as the smallest, where a p rests on whole groups."""


def no_p_reason(codes: Array) -> str | None:
    """Why no p is given that rests on whole groups of items (n,), or None: too few groups, or too unequal ones."""
    sizes = np.bincount(codes)
    few = too_few(len(sizes))
    if few or sizes.max() <= MOST_UNEQUAL * sizes.min():
        return few
    return (
        f"groups are too unequal (the smallest has {_items(sizes.min())}, the largest {_items(sizes.max())}): no p is "
        "given"
    )


def _items(count: int) -> str:
    return "1 item" if count == 1 else f"{count} items"


def _arrangements(units: list[int], kinds: Array) -> Iterator[list[int]]:
    """Every distinguishable order of the units, the given one first."""
    if not units:
        yield []
    seen: set[int] = set()
    for place, unit in enumerate(units):
        if kinds[unit] not in seen:
            seen.add(kinds[unit])
            for rest in _arrangements(units[:place] + units[place + 1 :], kinds):
                yield [unit, *rest]


def _n_arrangements(kinds: Array) -> int:
    alike = np.unique(kinds, return_counts=True)[1]
    return math.factorial(len(kinds)) // math.prod(math.factorial(int(count)) for count in alike)


def permutations(kinds: Array, strata: Array, n_permutations: int, rng: np.random.Generator) -> Array:
    """Rearrangements of units within their strata: all others than the observed one, or a random sample of them.

    Parameters
    ----------
    kinds: (U,) units of one stratum and kind are interchangeable: exchanging them changes nothing.
    strata: (U,) units trade places only within a stratum.
    n_permutations: how many to draw, if there are not as few or fewer distinct ones.

    Returns
    -------
    (B, U) the unit that stands in each place. Empty where the observed arrangement is the only one.
    """
    members = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    if math.prod(_n_arrangements(kinds[units]) for units in members) <= n_permutations:
        choices = product(*(list(_arrangements(units.tolist(), kinds)) for units in members))
        next(choices)
        orders = [[unit for part in choice for unit in part] for choice in choices]
        drawn = np.array(orders, dtype=np.intp).reshape(len(orders), len(kinds))
    else:
        drawn = np.hstack([rng.permuted(np.tile(units, (n_permutations, 1)), axis=1) for units in members])
    moved = np.empty_like(drawn)
    moved[:, np.concatenate(members)] = drawn
    return moved


def p_values(observed: Array, null: Array) -> PValues:
    """The one-sided p of each layer, (1 + b) / (1 + B), b the permutations that reach what was observed.

    A layer that is NaN stays NaN and out of the correction; a permutation without a value counts as reaching it.

    Parameters
    ----------
    observed: (K,) statistic of each layer, larger is stronger.
    null: (B, K) the same under B permutations, each shared by all layers.
    """
    result = PValues.absent(len(observed))
    valid = np.isfinite(observed)
    if not valid.any() or not len(null):
        return result
    values = np.vstack([observed, null])[:, valid]
    # The observed row is one of the equally likely arrangements, so it takes part in its own null's mean and width.
    spread = np.nanstd(values, axis=0)
    z = (values - np.nanmean(values, axis=0)) / np.where(spread > _ROUNDING, spread, 1.0)
    z = np.where(np.isnan(z), np.inf, z)
    result.p[valid] = (z >= z[0] - _ROUNDING).mean(axis=0)
    result.p_corrected[valid] = (z.max(axis=1)[:, None] >= z[0] - _ROUNDING).mean(axis=0)
    result.p_fdr[valid] = benjamini_hochberg(result.p[valid])
    return result


def benjamini_hochberg(p: Array) -> Array:
    """Adjust p for the false discovery rate over all entries; NaN entries stay NaN and are not counted."""
    adjusted = np.full(np.shape(p), np.nan)
    known = np.isfinite(p)
    if known.any():
        adjusted[known] = false_discovery_control(p[known])
    return adjusted


def holm(p: Array) -> Array:
    """Adjust p (K,) for the chance of any false positive, whatever their dependence (Holm 1979)."""
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def bootstrap_weights(n_units: int, n_bootstrap: int, rng: np.random.Generator) -> Array:
    """(B, U) how often each unit is drawn when U units are drawn with replacement; float, for matrix products."""
    return rng.multinomial(n_units, np.full(n_units, 1 / n_units), size=n_bootstrap).astype(float)


def unit_weights(n_units: int, n_bootstrap: int, rng: np.random.Generator) -> Array:
    """`bootstrap_weights`; no resamples of fewer than two units, on which no interval could rest."""
    return bootstrap_weights(n_units, n_bootstrap, rng) if n_units > 1 else np.empty((0, n_units))


def percentile_interval(samples: Array, level: float = 0.95) -> tuple[Array, Array]:
    """The central interval of samples (B, ...) over their first axis, NaN left out."""
    if not len(samples):
        absent = np.full(samples.shape[1:], np.nan)
        return absent, absent.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column of NaN has no percentile, and stays NaN
        low, high = np.nanpercentile(samples, [50 * (1 - level), 50 * (1 + level)], axis=0)
    return low, high


def student_stretch(n_units: Array | int) -> Array:
    """How much wider percentiles of a mean of few resampled units must be: sqrt(U / (U - 1)) t / z.

    Resampling U units gives their mean a variance that is too small by (U - 1) / U, and percentiles of a normal
    distribution where few units ask for Student's, at 97.5 % with U - 1 degrees of freedom; 1.3 for 8 units.
    """
    n = np.maximum(n_units, 2)
    return np.asarray(np.sqrt(n / (n - 1)) * t.ppf(0.975, n - 1) / norm.ppf(0.975))


def mean_samples(sums: Array, counts: Array, weights: Array) -> Array:
    """(B, ...) resamples of the mean over items, their deviations stretched for the number of units that count.

    None goes beyond the range of the units' own means, so that what has a largest value keeps it.
    """
    estimate = ratio_samples(sums, counts, np.ones((1, weights.shape[1])))[0]
    stretch, means = student_stretch((counts > 0).sum(axis=0)), quotient(sums, counts.astype(float))
    samples = estimate + stretch * (ratio_samples(sums, counts, weights) - estimate)
    least, most = (extreme.reduce(means, initial=np.nan) for extreme in (np.fmin, np.fmax))
    return np.asarray(np.clip(samples, least, most))


def sums_by_unit(values: Array, codes: Array, n_units: int) -> Array:
    """(U, ...) the sum over each unit's items of values (n, ...)."""
    sums = np.zeros((n_units, *values.shape[1:]))
    np.add.at(sums, codes, values)
    return sums


def unit_totals(values: Array, codes: Array, n_units: int) -> tuple[Array, Array]:
    """Of values (n, ...), NaN left out: the sum over each unit's items, and how many items have a value, (U, ...)."""
    known = np.isfinite(values)
    return sums_by_unit(np.where(known, values, 0.0), codes, n_units), sums_by_unit(known, codes, n_units)


def quotient(above: Array, below: Array) -> Array:
    """Above over below of one shape, NaN where below is not positive."""
    return np.asarray(np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0))


def ratio_samples(numerator: Array, denominator: Array, weights: Array) -> Array:
    """(B, ...) resampled sum of numerators over that of denominators, both (U, ...), NaN where nothing was drawn."""
    above, below = (np.tensordot(weights, part, axes=1) for part in (numerator, denominator))
    return quotient(above, below)


def mean_of_known(values: Array) -> Array:
    """(...) the mean over the first axis of values (n, ...), NaN left out; NaN where none is left."""
    known = np.isfinite(values)
    return quotient(np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0).astype(float))


def share_interval(
    right: Array, codes: Array, weights: Array | None = None, level: float = 0.95
) -> tuple[Array, Array]:
    """Wilson's interval of shares, on the number of independent items that the groups leave.

    The n items count as n / deff. The design effect deff is the variance that the spread between groups gives the
    share over that of independent items (Kish 1965), at least 1. One group that is all right and one that is all wrong
    are added to estimate it: else a share of 0 or 1, where groups cannot differ, would call all items independent.

    Parameters
    ----------
    right: (n, K) 0 or 1.
    codes: (n,) each item's group, from 0.
    weights: (n, K) how much each item counts, 0 = not at all; None = all alike.

    Returns
    -------
    Low and high (K,); NaN where fewer than two groups count.
    """
    weights = np.ones(right.shape) if weights is None else np.broadcast_to(weights, right.shape)
    n_groups = int(codes.max(initial=-1)) + 1
    load, hits = sums_by_unit(weights, codes, n_groups), sums_by_unit(weights * right, codes, n_groups)
    total, n_units = load.sum(axis=0), (load > 0).sum(axis=0)
    total = np.where(n_units > 1, total, np.nan)
    added = total / np.maximum(n_units, 1)
    centre = (hits.sum(axis=0) + added) / (total + 2 * added)
    between = ((hits - centre * load) ** 2).sum(axis=0) + added**2 * (centre**2 + (1 - centre) ** 2)
    squares = (weights**2).sum(axis=0)
    independent = centre * (1 - centre) * squares * (1 + 2 / np.maximum(n_units, 1))
    n_effective = quotient(total**2, squares) / np.maximum(between / independent, 1.0)
    share, z = hits.sum(axis=0) / total, norm.ppf((1 + level) / 2)
    middle = (share + z**2 / (2 * n_effective)) / (1 + z**2 / n_effective)
    half = z * np.sqrt(share * (1 - share) / n_effective + (z / (2 * n_effective)) ** 2) / (1 + z**2 / n_effective)
    return np.clip(middle - half, 0.0, 1.0), np.clip(middle + half, 0.0, 1.0)


def mean_interval(
    values: Array,
    groups: Array | Sequence[object] | None = None,
    *,
    n_bootstrap: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    shares: bool = True,
) -> MeanInterval:
    """The mean over items of values (n, ...), NaN left out, with its interval.

    Where every value is 0 or 1 and values may be right or wrong (`shares`) the interval is Wilson's, see
    `share_interval`; else groups are resampled. With one group the interval is NaN.
    """
    values = np.asarray(values, dtype=float)
    codes = unit_codes(groups, len(values))
    n_units = int(codes.max(initial=-1)) + 1
    present = np.isfinite(values)
    known = np.where(present, values, 0.0)
    totals, counts = unit_totals(values, codes, n_units)
    mean = ratio_samples(totals, counts, np.ones((1, n_units)))[0]
    is_share = np.asarray(np.isin(known, (0.0, 1.0)).all(axis=0) & present.any(axis=0) & shares)
    n_resamples = 0 if is_share.all() else n_bootstrap
    weights = unit_weights(n_units, n_resamples, np.random.default_rng(seed))
    low, high = (np.array(bound) for bound in percentile_interval(mean_samples(totals, counts, weights), level))
    low[is_share], high[is_share] = share_interval(known[:, is_share], codes, present[:, is_share].astype(float), level)
    alone = (counts > 0).sum(axis=0) < 2
    low[alone] = high[alone] = np.nan
    return MeanInterval(mean, low, high, present.sum(axis=0), n_units, is_share)
