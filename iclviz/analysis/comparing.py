"""A against B: whether the alignment of two conditions' RSMs with one hypothesis differs.

1. Units are drawn with replacement, and each resample is applied to both RSMs, so that what items have in common
   cancels.
2. The interval is that of the resampled differences; p comes from inverting it: twice the share of resamples on the
   far side of zero.
3. Over layers, p is corrected by the maximum of the resamples' deviations from their own estimate, each over its
   standard error.
4. Over demonstration seeds, seeds are a second factor that is resampled, see `over_seeds`.

The bootstrap of pairs is conservative where neither side has structure. A layer whose difference is the same in every
resample (layer 0 of the queries' mean) has no p and stays out of the correction.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, t

from iclviz.analysis.correlations import Method, align, pairs_of
from iclviz.analysis.paired import two_sided
from iclviz.analysis.resampling import resamples
from iclviz.analysis.rsa import check_fit
from iclviz.analysis.statistics import (
    benjamini_hochberg,
    bootstrap_weights,
    percentile_interval,
    quotient,
    ratio_samples,
    sums_by_unit,
    too_few,
    unit_codes,
)
from iclviz.errors import AnalysisError
from iclviz.recording import Array

_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Difference:
    """B minus A in each layer; arrays (K,), NaN where either side has no value.

    Attributes
    ----------
    estimate, low, high: the difference, the mean over seeds where there are several, and its 95 % interval.
    p, p_corrected, p_fdr: two-sided, by inverting the interval; corrected over layers by the maximum, and by
        Benjamini-Hochberg.
    n_units: independent groups; n_seeds: demonstration seeds that were resampled, 1 = this demonstration set only.
    n_bootstrap: resamples.
    reason: why there is no p, or None.
    """

    estimate: Array
    low: Array
    high: Array
    p: Array
    p_corrected: Array
    p_fdr: Array
    n_units: int
    n_seeds: int
    n_bootstrap: int
    reason: str | None


def over_seeds(samples: Array, estimates: Array, rng: np.random.Generator) -> Array:
    """(B, K) resamples of the mean over seeds that draw the seeds anew as well.

    Resampling S seeds gives their mean a variance that is too small by (S - 1) / S, and percentiles of a normal
    distribution where few seeds ask for Student's. So the drawn seeds' part of each resample's deviation is stretched
    by sqrt(S / (S - 1)) t / z, the quantiles at 97.5 % with S - 1 degrees of freedom.

    Parameters
    ----------
    samples: (S, B, K) resamples of units for each seed, one resample shared by all seeds.
    estimates: (S, K) each seed's estimate.
    rng: draws seeds.
    """
    n_seeds = len(samples)
    if n_seeds == 1:
        return np.asarray(samples[0])
    drawn = bootstrap_weights(n_seeds, samples.shape[1], rng) / n_seeds
    stretch = np.sqrt(n_seeds / (n_seeds - 1)) * t.ppf(0.975, n_seeds - 1) / norm.ppf(0.975)
    centre = estimates.mean(axis=0)
    between = drawn @ (estimates - centre) * stretch
    within = np.einsum("bs,sbk->bk", drawn, samples - estimates[:, None])
    return np.asarray(centre + between + within)


def inverted(estimate: Array, samples: Array) -> tuple[Array, Array, Array]:
    """P of each column by inverting the interval of resamples (B, K), corrected by the maximum, and for the FDR."""
    p, corrected, fdr = (np.full(len(estimate), np.nan) for _ in range(3))
    known = np.isfinite(estimate) & np.isfinite(samples).any(axis=0)
    spread = np.zeros(len(estimate))
    spread[known] = np.nanstd(samples[:, known], axis=0)
    tested = spread > _ROUNDING
    if not tested.any():
        return p, corrected, fdr
    samples, estimate, spread = samples[:, tested], estimate[tested], spread[tested]
    below, above = (np.where(np.isnan(samples), True, side) for side in (samples <= 0, samples >= 0))
    beyond = np.minimum(below.sum(axis=0), above.sum(axis=0))
    p[tested] = np.minimum(2 * (1 + beyond) / (1 + len(samples)), 1.0)
    deviations = np.abs(samples - estimate) / spread
    corrected[tested] = np.maximum(two_sided(np.abs(estimate) / spread, deviations)[1], p[tested])
    fdr[tested] = benjamini_hochberg(p[tested])
    return p, corrected, fdr


def _stack(rsms: Array, n: int) -> Array:
    """(S, K, n, n) RSMs of one seed or several."""
    rsms = np.asarray(rsms, dtype=float)
    stacked = rsms[None] if rsms.ndim == 3 else rsms
    if stacked.ndim != 4 or stacked.shape[2:] != (n, n):
        raise AnalysisError(
            f"RSMs of shape {rsms.shape} do not fit a hypothesis over {n} items.",
            "Give (layers, items, items), or (seeds, layers, items, items), of the same items in the same order.",
        )
    return stacked


def alignment_difference(
    rsms_a: Array,
    rsms_b: Array,
    hypothesis: Array,
    groups: Array | Sequence[object] | None = None,
    *,
    method: Method = "spearman",
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> Difference:
    """The difference (B minus A) of alignment with a hypothesis in each layer, with interval, p and correction.

    Parameters
    ----------
    rsms_a, rsms_b: (K, n, n) of the same items in the same order, or (S, K, n, n) over demonstration seeds; a side of
        one seed (no demonstrations) is compared with every seed of the other.
    hypothesis: (n, n), NaN = no prediction.
    groups: (n,) the unit that is resampled; None = single items.
    seed: draws units and demonstration seeds.

    Raises
    ------
    AnalysisError: shapes do not fit, or the method is unknown.
    """
    said = np.asarray(hypothesis, dtype=float)
    a, b = (_stack(rsms, len(said)) for rsms in (rsms_a, rsms_b))
    check_fit(a[0], said, method)
    if a.shape[1] != b.shape[1] or (1 not in (len(a), len(b)) and len(a) != len(b)):
        raise AnalysisError(
            f"A has {a.shape[:2]} and B {b.shape[:2]} seeds and layers: they do not go together.",
            "Compare runs of one model, with the same demonstration seeds.",
        )
    codes, h = unit_codes(groups, len(said)), pairs_of(said)
    n_units, n_seeds, n_layers = int(codes.max()) + 1, max(len(a), len(b)), a.shape[1]
    drawing, seeding = (np.random.default_rng(source) for source in np.random.SeedSequence(seed).spawn(2))
    weights = bootstrap_weights(n_units, n_bootstrap if n_units > 1 else 0, drawing)
    x = pairs_of(np.concatenate([a.reshape(-1, *said.shape), b.reshape(-1, *said.shape)]))
    aligned, resampled = align(x, h[None], method)[0], resamples(x, h, codes, method, weights)
    estimates = aligned[len(a) * n_layers :].reshape(-1, n_layers) - aligned[: len(a) * n_layers].reshape(-1, n_layers)
    sides = (resampled[:, : len(a) * n_layers], resampled[:, len(a) * n_layers :])
    before, after = (side.reshape(len(weights), -1, n_layers).swapaxes(0, 1) for side in sides)
    samples = over_seeds(after - before, estimates, seeding)
    return _difference(estimates.mean(axis=0), samples, n_units, n_seeds)


def paired_over_seeds(
    differences: Array,
    groups: Array | Sequence[object] | None = None,
    *,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> Difference:
    """The mean of paired differences over items and demonstration seeds, both resampled.

    Parameters
    ----------
    differences: (S, n, K) B minus A of each item under each seed, NaN where an item has none.
    groups: (n,) what is independent of each other; None = single items.
    seed: draws groups and demonstration seeds.

    Raises
    ------
    AnalysisError: there is not one group for each item.
    """
    differences = np.asarray(differences, dtype=float)
    codes = unit_codes(groups, differences.shape[1])
    n_units = int(codes.max(initial=-1)) + 1
    drawing, seeding = (np.random.default_rng(source) for source in np.random.SeedSequence(seed).spawn(2))
    weights = bootstrap_weights(max(n_units, 1), n_bootstrap if n_units > 1 else 0, drawing)[:, :n_units]
    known = np.isfinite(differences)
    parts = [
        (sums_by_unit(np.where(there, values, 0.0), codes, n_units), sums_by_unit(there, codes, n_units))
        for values, there in zip(differences, known, strict=True)
    ]
    estimates = np.stack([quotient(sums.sum(axis=0), counts.sum(axis=0)) for sums, counts in parts])
    samples = np.stack([ratio_samples(sums, counts, weights) for sums, counts in parts])
    return _difference(estimates.mean(axis=0), over_seeds(samples, estimates, seeding), n_units, len(differences))


def _difference(estimate: Array, samples: Array, n_units: int, n_seeds: int) -> Difference:
    low, high = percentile_interval(samples)
    reason = too_few(n_units)
    absent = np.full(len(estimate), np.nan)
    p, corrected, fdr = (absent, absent, absent) if reason else inverted(estimate, samples)
    return Difference(estimate, low, high, p, corrected, fdr, n_units, n_seeds, len(samples), reason)
