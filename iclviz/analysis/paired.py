"""Whether paired differences of items (B minus A) are zero on average: sign flips of whole groups.

If A and B do not differ, the two values of a group's items could as well have come the other way round. So each group's
differences keep or change their sign, all together; a flip is shared by all columns (layers, heads), and each column's
statistic is the mean over its own standard error, so that the maximum over columns is fair to each. All flips are used
where they are few. p is two-sided, (1 + b) / (1 + B). The interval comes from the same flips: as many standard errors
on either side as the statistic would have to reach, so that it leaves 0 out exactly where p < 0.05. Where there is no
p, groups are resampled.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from iclviz.analysis.results import Tested
from iclviz.analysis.statistics import (
    MIN_UNITS,
    SIGNIFICANT,
    benjamini_hochberg,
    mean_samples,
    no_p_reason,
    percentile_interval,
    quotient,
    unit_codes,
    unit_totals,
    unit_weights,
)
from iclviz.recording import Array

_ROUNDING = 1e-9
_CONSTANT = 1e-12


@dataclass(frozen=True, eq=False)
class PairedTest(Tested):
    """Mean paired differences; arrays have the shape of one item's differences, such as (L,) or (L, H).

    Attributes
    ----------
    estimate, low, high: the mean over items that have a difference, and its 95 % interval: that of the flips, or, where
        there is no p, of resampled groups.
    p, p_corrected, p_fdr: two-sided; alone, by the maximum over all columns, by Benjamini-Hochberg. NaN where no item
        differs at all, or fewer than 8 groups have a difference.
    n: items that have a difference.
    n_units: groups; n_permutations: flips used.
    reason: why there is no p, or None.
    """

    p_fdr: Array
    n: Array
    n_units: int
    n_permutations: int
    reason: str | None


def flips(n_units: int, n_permutations: int, rng: np.random.Generator) -> Array:
    """(B, U) signs of 1 and -1: all others than all 1 where there are as few, else a random sample."""
    if n_units < 32 and 2**n_units <= n_permutations:
        return np.array(list(product((1.0, -1.0), repeat=n_units)))[1:]
    return rng.choice((1.0, -1.0), size=(n_permutations, n_units))


def _studentised(signs: Array, sums: Array, counts: Array) -> tuple[Array, Array]:
    """(B, K) the mean of flipped differences over its standard error, and that error, from sums and counts (U, K) of
    each group.
    """
    total = counts.sum(axis=0)
    mean = (signs @ sums) / total
    spread = (sums**2).sum(axis=0) - 2 * mean * (signs @ (sums * counts)) + mean**2 * (counts**2).sum(axis=0)
    floor = _ROUNDING**2 * (sums**2).sum(axis=0)
    error = np.sqrt(np.maximum(spread, floor)) / total
    return np.asarray(np.divide(mean, error, out=np.full(mean.shape, np.nan), where=error > 0)), error


def paired_test(
    differences: Array,
    groups: Array | Sequence[object] | None = None,
    *,
    n_permutations: int = 1000,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> PairedTest:
    """Test whether mean differences are zero, with interval and correction over columns.

    Parameters
    ----------
    differences: (n, ...) B minus A of each item, NaN where an item has none.
    groups: (n,) what is independent of each other; None = single items.
    seed: draws flips and resamples.

    Raises
    ------
    AnalysisError: there is not one group for each item.
    """
    differences = np.asarray(differences, dtype=float)
    shape = differences.shape[1:]
    values = differences.reshape(len(differences), math.prod(shape))
    codes = unit_codes(groups, len(values))
    n_units = int(codes.max(initial=-1)) + 1
    sums, counts = unit_totals(values, codes, n_units)
    flipping, resampling = (np.random.default_rng(source) for source in np.random.SeedSequence(seed).spawn(2))
    estimate = quotient(sums.sum(axis=0), counts.sum(axis=0).astype(float))
    reason = no_p_reason(codes)
    signs = np.empty((0, n_units)) if reason else flips(n_units, n_permutations, flipping)
    p, corrected, fdr, half = _p_values(signs, sums, counts, reason)
    weights = unit_weights(n_units, n_bootstrap, resampling)
    low, high = _within_units(estimate, half, sums, counts)
    resampled = percentile_interval(mean_samples(sums, counts, weights))
    low, high = (np.where(np.isnan(half), *bounds) for bounds in zip(resampled, (low, high), strict=True))
    return PairedTest(
        estimate=estimate.reshape(shape),
        low=low.reshape(shape),
        high=high.reshape(shape),
        p=p.reshape(shape),
        p_corrected=corrected.reshape(shape),
        p_fdr=fdr.reshape(shape),
        n=np.isfinite(values).sum(axis=0).reshape(shape),
        n_units=n_units,
        n_permutations=len(signs),
        reason=reason,
    )


def _within_units(estimate: Array, half: Array, sums: Array, counts: Array) -> tuple[Array, Array]:
    """An interval's bounds, none beyond the range of the groups' own means."""
    means = quotient(sums, counts.astype(float))
    least, most = (extreme.reduce(means, initial=np.nan) for extreme in (np.fmin, np.fmax))
    return np.maximum(estimate - half, least), np.minimum(estimate + half, most)


def _p_values(signs: Array, sums: Array, counts: Array, reason: str | None) -> tuple[Array, Array, Array, Array]:
    """P alone, corrected and for the FDR, and half the interval (K,)."""
    p, corrected, fdr, half = (np.full(sums.shape[1], np.nan) for _ in range(4))
    tested = (np.abs(sums).max(axis=0, initial=0.0) > 0) & (np.count_nonzero(counts, axis=0) >= MIN_UNITS)
    if reason or not tested.any():
        return p, corrected, fdr, half
    sums, counts = sums[:, tested], counts[:, tested]
    (observed,), (error,) = _studentised(np.ones((1, len(sums))), sums, counts)
    null = np.abs(_studentised(signs, sums, counts)[0])
    p[tested], corrected[tested] = two_sided(np.abs(observed), null)
    fdr[tested] = benjamini_hochberg(p[tested])
    half[tested] = error * _critical(null)
    return p, corrected, fdr, half


def _critical(null: Array) -> Array:
    """(K,) what a statistic has to exceed for p < 0.05 by its null (B, K); NaN where B is too small for any."""
    place = math.ceil(SIGNIFICANT * (1 + len(null))) - 2
    if place < 0:
        return np.full(null.shape[1], np.nan)
    return np.asarray(np.sort(np.where(np.isnan(null), np.inf, null), axis=0)[-1 - place])


def standardised_p(observed: Array, null: Array) -> tuple[Array, Array, Array]:
    """Two-sided p of statistics (K,), each standardised by its own null (B, K): alone, corrected over columns by the
    maximum, and by Benjamini-Hochberg. NaN where a column or its null has no value, or the null does not vary.
    """
    p, corrected, fdr = (np.full(len(observed), np.nan) for _ in range(3))
    known = np.isfinite(observed) & np.isfinite(null).all(axis=0)
    tested = known & (np.ptp(np.where(known, null, 0.0), axis=0) > _CONSTANT)
    if tested.any():
        both = np.vstack([observed, null])[:, tested]
        z = np.abs(both - both.mean(axis=0)) / both.std(axis=0)
        p[tested], corrected[tested] = two_sided(z[0], z[1:])
        fdr[tested] = benjamini_hochberg(p[tested])
    return p, corrected, fdr


def two_sided(observed: Array, null: Array) -> tuple[Array, Array]:
    """P of each column alone and by the maximum over columns, of sizes (K,) and their null (B, K).

    A null value that is NaN counts as reaching what was observed.
    """
    null = np.where(np.isnan(null), np.inf, null)
    reached = observed * (1 - _ROUNDING)
    alone = (1 + (null >= reached).sum(axis=0)) / (1 + len(null))
    together = (1 + (null.max(axis=1)[:, None] >= reached).sum(axis=0)) / (1 + len(null))
    return alone, together
