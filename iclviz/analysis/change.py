"""A against B: whether the alignment of two conditions' RSMs with one hypothesis differs.

1. Units are drawn with replacement, and each resample is applied to both RSMs, so that what items have in common
   cancels.
2. The interval is that of the resampled differences, their deviations stretched as few units ask for; p comes from
   inverting it: twice the share of resamples on the far side of zero.
3. Over layers, p is corrected by the maximum of the resamples' deviations from their own estimate, each over its
   standard error.
4. Over demonstration seeds, the error of the mean has two parts, the seeds' and the groups', and interval and p are
   Student's with as many degrees of freedom as both leave (Satterthwaite 1946): resamples of few seeds know nothing of
   a small p. Where seeds carry most of the spread, their resamples cannot tell how far the largest of many layers
   strays either: layers are then corrected by Holm's method as well.

The bootstrap of pairs is conservative where neither side has structure. A layer whose difference is the same in every
resample (layer 0 of the queries' mean) has no p and stays out of the correction.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, t

from iclviz.analysis.correlations import Method, align, pairs_of
from iclviz.analysis.paired import PairedTest, paired_test, two_sided
from iclviz.analysis.resampling import resamples
from iclviz.analysis.resolution import held
from iclviz.analysis.results import Tested
from iclviz.analysis.rsa import check_fit
from iclviz.analysis.statistics import (
    SIGNIFICANT,
    benjamini_hochberg,
    bootstrap_weights,
    holm,
    no_p_reason,
    percentile_interval,
    quotient,
    ratio_samples,
    student_stretch,
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
class Difference(Tested):
    """B minus A in each layer; arrays (K,), NaN where either side has no value.

    Attributes
    ----------
    estimate, low, high: the difference, the mean over seeds where there are several, and its 95 % interval.
    p, p_corrected, p_fdr: two-sided, by inverting the interval, over seeds Student's; corrected over layers by the
        maximum, and by Benjamini-Hochberg.
    n_units: independent groups; n_seeds: demonstration seeds that were resampled, 1 = this demonstration set only.
    n_bootstrap: resamples.
    reason: why there is no p, or None.
    """

    p_fdr: Array
    n_units: int
    n_seeds: int
    n_bootstrap: int
    reason: str | None


Change = PairedTest | Difference
"""A tested difference between A and B: of one demonstration seed or of several."""


def has_a_value(change: Change) -> bool:
    """Whether there is a change in any layer."""
    return bool(np.isfinite(change.estimate).any())


def resampled_over_seeds(samples: Array, estimates: Array, rng: np.random.Generator) -> Array:
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


def inverted(estimate: Array, samples: Array) -> tuple[Array, Array, Array]:
    """P of each column by inverting the interval of resamples (B, K), corrected by the maximum, and for the FDR."""
    p, corrected, fdr = (np.full(len(estimate), np.nan) for _ in range(3))
    tested = np.isfinite(estimate) & (_spread(samples) > _ROUNDING)
    if not tested.any():
        return p, corrected, fdr
    samples, estimate = samples[:, tested], estimate[tested]
    below, above = (np.where(np.isnan(samples), True, side) for side in (samples <= 0, samples >= 0))
    beyond = np.minimum(below.sum(axis=0), above.sum(axis=0))
    p[tested] = np.minimum(2 * (1 + beyond) / (1 + len(samples)), 1.0)
    spread = _spread(samples)
    largest = two_sided(np.abs(estimate) / spread, np.abs(samples - estimate) / spread)[1]
    corrected[tested] = np.maximum(largest, p[tested])
    fdr[tested] = benjamini_hochberg(p[tested])
    return p, corrected, fdr


def _inverted_interval(samples: Array) -> tuple[Array, Array]:
    """The central 95 % of resamples (B, K): it leaves 0 out exactly where `inverted` gives p < 0.05."""
    place = math.ceil(SIGNIFICANT / 2 * (1 + len(samples))) - 2
    if place < 0 or not np.isfinite(samples).all():
        return percentile_interval(samples)
    ordered = np.sort(samples, axis=0)
    return ordered[place], ordered[-1 - place]


def _spread(samples: Array) -> Array:
    """(K,) the standard deviation of resamples (B, K), 0 where there are none."""
    known = np.isfinite(samples).any(axis=0) if len(samples) else np.zeros(samples.shape[1], dtype=bool)
    spread = np.zeros(samples.shape[1])
    spread[known] = np.nanstd(samples[:, known], axis=0)
    return spread


def seeds_error(estimates: Array, of_groups: Array, n_units: int) -> tuple[Array, Array]:
    """The standard error (K,) of the mean over seeds, and its degrees of freedom (Satterthwaite 1946).

    Parameters
    ----------
    estimates: (S, K) each seed's estimate.
    of_groups: (K,) the standard deviation of the mean over seeds when U groups are resampled.
    """
    n_seeds = len(estimates)
    seeds = estimates.var(axis=0, ddof=1) / n_seeds
    groups = of_groups**2 * n_units / max(n_units - 1, 1)
    degrees = quotient((seeds + groups) ** 2, seeds**2 / (n_seeds - 1) + groups**2 / max(n_units - 1, 1))
    return np.sqrt(seeds + groups), degrees


def _stack(rsms: Array, n: int) -> Array:
    """(S, K, n, n) RSMs of one seed or several."""
    rsms = held(rsms)
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
    predictions = np.asarray(hypothesis, dtype=float)
    a, b = (_stack(rsms, len(predictions)) for rsms in (rsms_a, rsms_b))
    check_fit(a[0], predictions, method)
    if a.shape[1] != b.shape[1] or (1 not in (len(a), len(b)) and len(a) != len(b)):
        raise AnalysisError(
            f"A has {a.shape[:2]} and B {b.shape[:2]} seeds and layers: they do not go together.",
            "Compare runs of one model, with the same demonstration seeds.",
        )
    codes, h = unit_codes(groups, len(predictions)), pairs_of(predictions)
    n_units, n_layers = int(codes.max()) + 1, a.shape[1]
    drawing, seeding = (np.random.default_rng(source) for source in np.random.SeedSequence(seed).spawn(2))
    weights = unit_weights(n_units, n_bootstrap, drawing)
    x = pairs_of(np.concatenate([a.reshape(-1, *predictions.shape), b.reshape(-1, *predictions.shape)]))
    aligned, resampled = align(x, h[None], method)[0], resamples(x, h, codes, method, weights)
    estimates = aligned[len(a) * n_layers :].reshape(-1, n_layers) - aligned[: len(a) * n_layers].reshape(-1, n_layers)
    sides = ((len(a), resampled[:, : len(a) * n_layers]), (len(b), resampled[:, len(a) * n_layers :]))
    before, after = (side.reshape(len(weights), count, n_layers).swapaxes(0, 1) for count, side in sides)
    return _difference(estimates, after - before, codes, seeding)


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
    drawing, seeding = (np.random.default_rng(source) for source in np.random.SeedSequence(seed).spawn(2))
    weights = unit_weights(n_units, n_bootstrap, drawing)
    predictions = [pairs_of(np.where(common, side, np.nan)) for side in sides]
    estimates = [align(x, h[None], method)[0] for h in predictions]
    samples = [resamples(x, h, codes, method, weights) for h in predictions]
    return _difference((estimates[0] - estimates[1])[None], (samples[0] - samples[1])[None], codes, seeding)


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
    samples = np.stack([ratio_samples(sums, counts, weights) for sums, counts in parts])
    return _difference(estimates, samples, codes, seeding)


def mean_change(change: Array, groups: Array | Sequence[object] | None, seed: int = 0) -> Change:
    """The mean change (S, m, ...) of items: by sign flips for one demonstration seed, else seeds are resampled too."""
    if len(change) == 1:
        return paired_test(change[0], groups, seed=seed)
    return paired_over_seeds(change, groups, seed=seed)


def _difference(estimates: Array, samples: Array, codes: Array, seeding: np.random.Generator) -> Difference:
    """The difference that S seeds' estimates (S, K) and resamples of groups (S, B, K) give."""
    n_seeds, n_units, estimate = len(estimates), int(codes.max(initial=-1)) + 1, estimates.mean(axis=0)
    reason, absent = no_p_reason(codes), np.full(estimates.shape[1], np.nan)
    if n_seeds == 1:
        wide = estimate + student_stretch(n_units) * (samples[0] - estimate)
        low, high = _inverted_interval(wide)
        p, corrected, fdr = (absent, absent, absent) if reason else inverted(estimate, wide)
    else:
        error, degrees = seeds_error(estimates, _spread(samples.mean(axis=0)), n_units)
        half = t.ppf(0.975, degrees) * error if samples.shape[1] else absent
        low, high = estimate - half, estimate + half
        p, corrected, fdr = (absent, absent, absent)
        if not reason:
            p, corrected, fdr = _students(estimates, error, degrees, resampled_over_seeds(samples, estimates, seeding))
    return Difference(estimate, low, high, p, corrected, fdr, n_units, n_seeds, samples.shape[1], reason)


def seeds_p(estimates: Array, null: Array, n_units: int) -> tuple[Array, Array, Array]:
    """P alone, corrected over columns and for the FDR, of the mean over seeds of estimates (S, K).

    null: (B, K) that mean where groups make no difference, from which comes the groups' part of its error.
    """
    error, degrees = seeds_error(estimates, _spread(null), n_units)
    centred = null - null.mean(axis=0)
    drawn = np.random.default_rng(0).integers(len(estimates), size=(len(null), len(estimates)))
    between = (estimates - estimates.mean(axis=0))[drawn].mean(axis=1) * student_stretch(len(estimates))
    return _students(estimates, error, degrees, estimates.mean(axis=0) + centred + between)


def _students(estimates: Array, error: Array, degrees: Array, samples: Array) -> tuple[Array, Array, Array]:
    """Student's p of the mean over seeds, corrected by the maximum of resamples (B, K) that draw seeds and groups, and
    for the FDR. Where degrees of freedom are few at the median column, by Holm's method as well.
    """
    n_seeds, estimate = len(estimates), estimates.mean(axis=0)
    p, corrected, fdr = (np.full(len(estimate), np.nan) for _ in range(3))
    tested = np.isfinite(estimate) & (error > _ROUNDING) & (_spread(samples) > _ROUNDING)
    if not tested.any():
        return p, corrected, fdr
    ratios, samples = np.abs(estimate[tested]) / error[tested], samples[:, tested]
    p[tested] = 2 * t.sf(ratios, degrees[tested])
    deviations = np.abs(samples - estimate[tested]) / _spread(samples)
    corrected[tested] = np.maximum(two_sided(norm.isf(p[tested] / 2), deviations)[1], p[tested])
    if np.median(degrees[tested]) < MIN_DEGREES:
        corrected[tested] = np.maximum(corrected[tested], holm(2 * t.sf(ratios, n_seeds - 1)))
    fdr[tested] = benjamini_hochberg(p[tested])
    return p, corrected, fdr
