"""A against B: whether the alignment of two conditions' RSMs with one hypothesis differs.

1. Units are drawn with replacement, and each resample is applied to both RSMs, so that what items have in common
   cancels.
2. The interval is that of the resampled differences; p comes from inverting it: twice the share of resamples on the
   far side of zero.
3. Over layers, p is corrected by the maximum of the resamples' deviations from their own estimate, each over its
   standard error. Where few demonstration seeds carry most of the spread their resamples cannot tell how far the
   largest of many layers strays: layers are then corrected by Holm's method, from Student's p with as many degrees of
   freedom as seeds leave.
4. Over demonstration seeds, seeds are a second factor that is resampled, see `over_seeds`.

The bootstrap of pairs is conservative where neither side has structure. A layer whose difference is the same in every
resample (layer 0 of the queries' mean) has no p and stays out of the correction.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, t

from iclviz.analysis.correlations import Method, align, pairs_of
from iclviz.analysis.paired import PairedTest, two_sided
from iclviz.analysis.resampling import resamples
from iclviz.analysis.rsa import check_fit
from iclviz.analysis.statistics import (
    benjamini_hochberg,
    bootstrap_weights,
    holm,
    mean_samples,
    percentile_interval,
    quotient,
    student_stretch,
    too_few,
    unit_codes,
    unit_totals,
    unit_weights,
)
from iclviz.errors import AnalysisError
from iclviz.recording import Array

_ROUNDING = 1e-9
MIN_DEGREES = 10
"""Degrees of freedom, at the median layer, below which the maximum over resamples is no correction."""
FAIR_TO_TIES = ("rho-a", "tau-a")


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


Change = PairedTest | Difference
"""A tested difference between A and B: of one demonstration seed or of several."""


def over_seeds(samples: Array, estimates: Array, rng: np.random.Generator) -> Array:
    """(B, K) resamples of the mean over seeds that draw the seeds anew as well.

    The drawn seeds' part of each resample's deviation is stretched as few units ask for, see `student_stretch`.

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
    centre = estimates.mean(axis=0)
    between = drawn @ (estimates - centre) * student_stretch(n_seeds)
    within = np.einsum("bs,sbk->bk", drawn, samples - estimates[:, None])
    return np.asarray(centre + between + within)


def degrees_of_freedom(estimates: Array, spread: Array, n_units: int) -> Array:
    """(K,) of a mean over S seeds' estimates (S, K) and groups whose resamples have this spread (Satterthwaite 1946).

    A spread's parts are stretched, see `student_stretch`; what is not the seeds' part is the groups'.
    """
    n_seeds = len(estimates)
    seeds = (student_stretch(n_seeds) ** 2 * estimates.var(axis=0) / n_seeds) if n_seeds > 1 else 0 * spread
    seeds = np.minimum(seeds, spread**2)
    groups = spread**2 - seeds
    return quotient((seeds + groups) ** 2, seeds**2 / max(n_seeds - 1, 1) + groups**2 / max(n_units - 1, 1))


def as_normal(ratios: Array, degrees: Array) -> Array:
    """Estimates over stretched standard errors as normal scores of the same probability.

    Percentiles were stretched to be right at 97.5 %; the maximum over columns lies further out, where Student's
    distribution of few degrees of freedom is wider still.
    """
    stretch = t.ppf(0.975, degrees) / norm.ppf(0.975)
    return np.asarray(norm.isf(t.sf(ratios * stretch, degrees)))


def inverted(
    estimate: Array, samples: Array, degrees: Array | None = None, n_seeds: int = 1
) -> tuple[Array, Array, Array]:
    """P of each column by inverting the interval of resamples (B, K), corrected by the maximum, and for the FDR.

    With degrees of freedom (K,) the resamples are stretched ones, and estimates are compared as normal scores. Where
    they are few at the median column, seeds carry the spread, and all columns are corrected by Holm's method as well.
    """
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
    ratios = np.abs(estimate) / spread
    scores = ratios if degrees is None else np.minimum(as_normal(ratios, degrees[tested]), ratios)
    corrected[tested] = np.maximum(two_sided(scores, deviations)[1], p[tested])
    if degrees is not None and np.median(degrees[tested]) < MIN_DEGREES:
        student = 2 * norm.sf(as_normal(ratios, np.array(n_seeds - 1.0)))
        corrected[tested] = np.maximum(corrected[tested], holm(student))
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
    weights = unit_weights(n_units, n_bootstrap, drawing)
    x = pairs_of(np.concatenate([a.reshape(-1, *said.shape), b.reshape(-1, *said.shape)]))
    aligned, resampled = align(x, h[None], method)[0], resamples(x, h, codes, method, weights)
    estimates = aligned[len(a) * n_layers :].reshape(-1, n_layers) - aligned[: len(a) * n_layers].reshape(-1, n_layers)
    sides = (resampled[:, : len(a) * n_layers], resampled[:, len(a) * n_layers :])
    before, after = (side.reshape(len(weights), -1, n_layers).swapaxes(0, 1) for side in sides)
    samples = over_seeds(after - before, estimates, seeding)
    degrees = _degrees(estimates, samples, n_units) if n_seeds > 1 else None
    return _difference(estimates.mean(axis=0), samples, n_units, n_seeds, degrees)


def hypotheses_difference(
    rsms: Array,
    hypothesis: Array,
    other: Array,
    groups: Array | Sequence[object] | None = None,
    *,
    method: Method = "rho-a",
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> Difference:
    """How much better each layer agrees with one hypothesis than with another, over pairs of which both speak.

    Parameters
    ----------
    rsms: (K, n, n).
    hypothesis, other: (n, n), NaN = no prediction; the difference is the first less the second.
    groups: (n,) the unit that is resampled; None = single items.
    method: "rho-a" or "tau-a": the others favour hypotheses with ties (Nili et al. 2014).
    seed: draws units.

    Raises
    ------
    AnalysisError: shapes do not fit, or a method that favours ties.
    """
    if method not in FAIR_TO_TIES:
        raise AnalysisError(
            f"{method} favours hypotheses with ties, so it cannot compare two.", f"Take {' or '.join(FAIR_TO_TIES)}."
        )
    sides = [np.asarray(side, dtype=float) for side in (hypothesis, other)]
    stacked = _stack(rsms, len(sides[0]))[0]
    for side in sides:
        check_fit(stacked, side, method)
    common = np.isfinite(sides[0]) & np.isfinite(sides[1])
    codes, x = unit_codes(groups, len(common)), pairs_of(stacked)
    n_units = int(codes.max()) + 1
    weights = unit_weights(n_units, n_bootstrap, np.random.default_rng(seed))
    said = [pairs_of(np.where(common, side, np.nan)) for side in sides]
    estimates = [align(x, h[None], method)[0] for h in said]
    samples = [resamples(x, h, codes, method, weights) for h in said]
    return _difference(estimates[0] - estimates[1], samples[0] - samples[1], n_units, 1)


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
    weights = unit_weights(n_units, n_bootstrap, drawing)
    parts = [unit_totals(values, codes, n_units) for values in differences]
    estimates = np.stack([quotient(sums.sum(axis=0), counts.sum(axis=0)) for sums, counts in parts])
    samples = np.stack([mean_samples(sums, counts, weights) for sums, counts in parts])
    samples = over_seeds(samples, estimates, seeding)
    degrees = _degrees(estimates, samples, n_units)
    return _difference(estimates.mean(axis=0), samples, n_units, len(differences), degrees)


def _degrees(estimates: Array, samples: Array, n_units: int) -> Array:
    known = np.isfinite(estimates).all(axis=0) & np.isfinite(samples).any(axis=0)
    degrees = np.ones(estimates.shape[1])
    spread = np.nanstd(samples[:, known], axis=0)
    degrees[known] = np.where(spread > _ROUNDING, degrees_of_freedom(estimates[:, known], spread, n_units), 1.0)
    return degrees


def _difference(
    estimate: Array, samples: Array, n_units: int, n_seeds: int, degrees: Array | None = None
) -> Difference:
    low, high = percentile_interval(samples)
    reason = too_few(n_units)
    absent = np.full(len(estimate), np.nan)
    p, corrected, fdr = (absent, absent, absent) if reason else inverted(estimate, samples, degrees, n_seeds)
    return Difference(estimate, low, high, p, corrected, fdr, n_units, n_seeds, len(samples), reason)
