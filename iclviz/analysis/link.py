"""Whether a change inside the model goes with a change of behaviour, item by item.

For each item there is the change (B minus A) of a measure in each layer, and of a score. They are correlated in ranks
(Spearman), at one of two levels:

- "within": each item's rank less its group's mean rank, so that only items of one group are compared; scores are
  permuted within groups;
- "between": the means of whole groups; scores are permuted between groups.

One permutation is shared by all layers and measures, and p is corrected over them together by the maximum of the
absolute correlations, each standardised by its own null. The interval resamples groups, ranks recomputed. Over several
demonstration seeds the link is the mean of the seeds' links: permutations and drawn groups are the same for all seeds,
and the interval resamples the seeds too. A link is no cause.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.linalg import orth
from scipy.stats import rankdata

from iclviz.analysis.comparing import over_seeds
from iclviz.analysis.paired import two_sided
from iclviz.analysis.progress import steps
from iclviz.analysis.statistics import (
    benjamini_hochberg,
    percentile_interval,
    permutations,
    too_few,
    unit_codes,
)
from iclviz.errors import AnalysisError, unknown
from iclviz.recording import Array

Level = Literal["within", "between"]
LEVELS: tuple[Level, ...] = ("within", "between")

_LEAST_SHARE = 0.5
"""A layer in which fewer items have a change is left out; in the others an item without one is."""


@dataclass(frozen=True, eq=False)
class Link:
    """How a measure's change goes with a score's; arrays (K,), one a layer, NaN where a layer has no value.

    Attributes
    ----------
    level: "within" or "between" groups.
    estimate, low, high: rank correlation and its 95 % interval.
    p, p_corrected, p_fdr: two-sided; alone, corrected over layers and over all measures that were tested with it, by
        Benjamini-Hochberg over the same.
    partial: the same correlation given the covariates.
    n: items; n_units: groups; n_seeds: demonstration seeds; n_permutations: permutations used.
    n_tests: correlations over which `p_corrected` is corrected.
    reason: why there is no p, or None.
    """

    level: Level
    estimate: Array
    low: Array
    high: Array
    p: Array
    p_corrected: Array
    p_fdr: Array
    partial: Array
    n: int
    n_units: int
    n_seeds: int
    n_permutations: int
    n_tests: int
    reason: str | None


def _group_means(values: Array, codes: Array) -> Array:
    """(..., G) means over each group's items of values (..., n)."""
    one_hot = np.eye(int(codes.max()) + 1)[codes]
    return np.asarray(values @ (one_hot / one_hot.sum(axis=0)))


def _prepared(values: Array, codes: Array, level: Level) -> Array:
    """Centred ranks of values (..., n): of each item around its group's mean, or of the groups' means (..., G)."""
    if level == "between":
        ranks = rankdata(_group_means(values, codes), axis=-1)
        return np.asarray(ranks - ranks.mean(axis=-1, keepdims=True))
    ranks = rankdata(values, axis=-1)
    return np.asarray(ranks - _group_means(ranks, codes)[..., codes])


def _correlations(x: Array, y: Array) -> Array:
    """(..., K) correlation of centred ranks x (..., K, u) with y (..., u); NaN where one of them is constant."""
    lengths = np.linalg.norm(x, axis=-1) * np.linalg.norm(y, axis=-1)[..., None]
    inner = np.einsum("...ku,...u->...k", x, y)
    return np.asarray(np.divide(inner, lengths, out=np.full(inner.shape, np.nan), where=lengths > 1e-9))


def _without(values: Array, covariates: Array) -> Array:
    """Centred ranks (..., u) less what those of covariates (C, u) explain."""
    lengths = np.linalg.norm(covariates, axis=1)
    varied = covariates[lengths > 1e-9] / lengths[lengths > 1e-9, None]
    q = orth(varied.T) if len(varied) else np.zeros((values.shape[-1], 0))
    return np.asarray(values - (values @ q) @ q.T)


def _permuted(y: Array, codes: Array, level: Level, n_permutations: int, rng: np.random.Generator) -> Array:
    """(B, n) or (B, G): the place from which each value of y (S, n) comes in each permutation."""
    values = y if level == "within" else _group_means(y, codes)
    kinds = np.unique(values, axis=1, return_inverse=True)[1].ravel()
    strata = codes if level == "within" else np.zeros(values.shape[1], dtype=int)
    return permutations(kinds, strata, n_permutations, rng)


def _unlinkable(y: Array, codes: Array, level: Level) -> str | None:
    """Why no p can be given of scores y (S, n), or None."""
    n_groups = int(codes.max(initial=-1)) + 1
    if level == "between":
        return too_few(n_groups)
    varied = sum(len(np.unique(y[:, codes == code], axis=1).T) > 1 for code in range(n_groups))
    if not varied:
        return "no two items of one group changed their score differently: there is no link within groups"
    return too_few(varied)


def linked(
    changes: Mapping[str, Array],
    score_change: Array,
    groups: Array | Sequence[object] | None = None,
    *,
    level: Level = "within",
    covariates: Mapping[str, Array] | None = None,
    n_permutations: int = 1000,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, Link]:
    """The link of each measure's change with a score's change, corrected over all of them together.

    Parameters
    ----------
    changes: measure -> (n, K) its change of each item and layer, or (S, n, K) over demonstration seeds.
    score_change: (n,) or (S, n).
    groups: (n,) what is independent of each other; None = single items, which have a link between groups only.
    covariates: name -> (n,) or (S, n), for the partial correlation.
    seed: draws permutations and resamples.

    Raises
    ------
    AnalysisError: an unknown level, or shapes that do not fit.
    """
    if level not in LEVELS:
        raise unknown(AnalysisError, "level", level, list(LEVELS))
    y = np.atleast_2d(np.asarray(score_change, dtype=float))
    x = {name: _per_seed(name, change, y.shape) for name, change in changes.items()}
    beside = [np.broadcast_to(np.atleast_2d(values), y.shape).astype(float) for values in (covariates or {}).values()]
    joined = np.concatenate(list(x.values()), axis=2)
    layers = np.isfinite(joined).all(axis=0).mean(axis=0) >= _LEAST_SHARE
    items = np.isfinite(y).all(axis=0) & np.isfinite(joined[:, :, layers]).all(axis=(0, 2))
    items &= np.all([np.isfinite(values).all(axis=0) for values in beside], axis=0) if beside else True
    codes = unit_codes(unit_codes(groups, y.shape[1])[items], int(items.sum()))
    data = _Data(
        joined[:, items][:, :, layers].swapaxes(1, 2), y[:, items], [v[:, items] for v in beside], codes, level
    )
    columns = _link(data, n_permutations, n_bootstrap, seed)
    return _by_measure(columns, data, layers, {name: change.shape[2] for name, change in x.items()})


def _per_seed(name: str, change: Array, shape: tuple[int, ...]) -> Array:
    change = np.asarray(change, dtype=float)
    stacked = change[None] if change.ndim == 2 else change
    if stacked.ndim != 3 or stacked.shape[:2] != shape:
        raise AnalysisError(
            f"The change of {name} has shape {change.shape}, and that of the score {shape} (seeds, items).",
            "Give (items, layers), or (seeds, items, layers), over the same items.",
        )
    return stacked


@dataclass(frozen=True, eq=False)
class _Data:
    """Items that have every value: x (S, K, m), y (S, m), covariates C times (S, m), codes (m,)."""

    x: Array
    y: Array
    covariates: list[Array]
    codes: Array
    level: Level


@dataclass(frozen=True, eq=False)
class _Columns:
    """A link's arrays over all measures and layers, each (K,), and how they came about."""

    arrays: Mapping[str, Array]
    n_permutations: int
    reason: str | None


def _link(data: _Data, n_permutations: int, n_bootstrap: int, seed: int) -> _Columns:
    absent = np.full(data.x.shape[1], np.nan)
    if data.y.shape[1] < 3 or not data.x.shape[1]:
        arrays = dict.fromkeys(("estimate", "low", "high", "p", "p_corrected", "p_fdr", "partial"), absent)
        return _Columns(arrays, 0, "fewer than 3 items have a change of both")
    permuting, drawing, seeding = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3))
    x, y = (_prepared(values, data.codes, data.level) for values in (data.x, data.y))
    per_seed = _correlations(x, y)
    estimate = _seed_mean(per_seed)
    reason = _unlinkable(data.y, data.codes, data.level)
    places = _permuted(data.y, data.codes, data.level, 0 if reason else n_permutations, permuting)
    null = _null(x, y, places)
    p, corrected, fdr = _p_values(estimate, null) if len(null) and not reason else (absent, absent, absent)
    low, high = percentile_interval(_resampled(data, per_seed, n_bootstrap, drawing, seeding))
    arrays = {"estimate": estimate, "low": low, "high": high, "p": p, "p_corrected": corrected, "p_fdr": fdr}
    return _Columns({**arrays, "partial": _partial(data, x, y)}, len(places), reason)


def _seed_mean(values: Array) -> Array:
    """The mean over seeds (S, ...), of those that have a value."""
    known = np.isfinite(values)
    counts = known.sum(axis=0)
    sums = np.where(known, values, 0.0).sum(axis=0)
    return np.asarray(np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0))


def _null(x: Array, y: Array, places: Array) -> Array:
    """(B, K) the mean over seeds of each permutation's link; a permutation leaves every length as it is."""
    lengths = np.linalg.norm(x, axis=2) * np.linalg.norm(y, axis=1)[:, None]
    unit = np.divide(x, lengths[..., None], out=np.full(x.shape, np.nan), where=lengths[..., None] > 1e-9)
    links = np.stack([one[places] @ other.T for one, other in zip(y, unit, strict=True)])
    return _seed_mean(links)


def _p_values(estimate: Array, null: Array) -> tuple[Array, Array, Array]:
    p, corrected, fdr = (np.full(len(estimate), np.nan) for _ in range(3))
    known = np.isfinite(estimate) & np.isfinite(null).all(axis=0)
    tested = known & (np.ptp(np.where(known, null, 0.0), axis=0) > 1e-12)
    if tested.any():
        both = np.vstack([estimate, null])[:, tested]
        z = np.abs(both - both.mean(axis=0)) / both.std(axis=0)
        p[tested], corrected[tested] = two_sided(z[0], z[1:])
        fdr[tested] = benjamini_hochberg(p[tested])
    return p, corrected, fdr


def _resampled(
    data: _Data, per_seed: Array, n_bootstrap: int, drawing: np.random.Generator, seeding: np.random.Generator
) -> Array:
    """(B, K) links of resampled groups, each copy a group of its own, over resampled seeds."""
    n_groups = int(data.codes.max()) + 1
    members = [np.flatnonzero(data.codes == code) for code in range(n_groups)]
    samples = np.empty((len(data.y), n_bootstrap if n_groups > 1 else 0, data.x.shape[1]))
    for place in steps(range(samples.shape[1]), "resampling"):
        drawn = drawing.integers(n_groups, size=n_groups)
        items = np.concatenate([members[group] for group in drawn])
        codes = np.repeat(np.arange(n_groups), [len(members[group]) for group in drawn])
        x, y = (_prepared(values[..., items], codes, data.level) for values in (data.x, data.y))
        samples[:, place] = _correlations(x, y)
    if np.isnan(per_seed).any() and len(per_seed) > 1:
        return _seed_mean(samples)
    return over_seeds(samples, per_seed, seeding)


def _partial(data: _Data, x: Array, y: Array) -> Array:
    """(K,) the mean over seeds of the link given the covariates."""
    if not data.covariates:
        return np.full(x.shape[1], np.nan)
    given = np.stack([_prepared(values, data.codes, data.level) for values in data.covariates], axis=1)
    parts = [_correlations(_without(one, c), _without(other, c)) for one, other, c in zip(x, y, given, strict=True)]
    return _seed_mean(np.array(parts))


def _by_measure(columns: _Columns, data: _Data, layers: Array, widths: Mapping[str, int]) -> dict[str, Link]:
    """Each measure's part of the columns, layers that were left out filled with NaN."""
    wide = {name: np.full(len(layers), np.nan) for name in columns.arrays}
    for name, values in columns.arrays.items():
        wide[name][layers] = values
    links, start = {}, 0
    for measure, width in widths.items():
        own = {name: values[start : start + width] for name, values in wide.items()}
        links[measure] = Link(
            level=data.level,
            **own,
            n=data.y.shape[1],
            n_units=int(data.codes.max(initial=-1)) + 1,
            n_seeds=len(data.y),
            n_permutations=columns.n_permutations,
            n_tests=int(np.isfinite(columns.arrays["estimate"]).sum()),
            reason=columns.reason,
        )
        start += width
    return links
