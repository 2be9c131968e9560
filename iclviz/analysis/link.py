"""Whether a change inside the model goes with a change of behaviour, item by item.

For each item there is the change (B minus A) of a measure in each layer, and of a score. They are correlated in ranks
(Spearman), at one of two levels:

- "within": each item's rank less what the smallest thing that items share and the design's factors explain
  (`designs`), so that only items of one group are compared, and none for its place or version; scores are permuted
  within groups and combinations of factors, or, where each of these holds one item, groups' contrasts over groups;
- "between": the means of whole groups, factors taken out; scores are permuted between groups.

One permutation is shared by all layers and measures, and p is corrected over them together by the maximum of the
absolute correlations, each standardised by its own null. The partial correlation takes out covariates as well, before
and after each permutation (Freedman and Lane 1983). The interval resamples groups, ranks recomputed. Over several
demonstration seeds the link is the mean of the seeds' links: permutations and drawn groups are the same for all seeds,
and the interval resamples the seeds too. A link is no cause.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import rankdata

from iclviz.analysis.change import resampled_over_seeds
from iclviz.analysis.designs import Design, Units, basis, group_means, kinds, without
from iclviz.analysis.paired import standardised_p
from iclviz.analysis.progress import steps
from iclviz.analysis.results import Tested
from iclviz.analysis.statistics import (
    MIN_UNITS,
    no_p_reason,
    percentile_interval,
    permutations,
    too_few,
    unit_codes,
)
from iclviz.errors import AnalysisError, unknown
from iclviz.recording import Array

Level = Literal["within", "between"]
LEVELS: tuple[Level, ...] = ("within", "between")

_LEAST = 1e-9
_DIGITS = 12
_LEAST_SHARE = 0.5
"""A layer in which fewer items have a change is left out; in the others an item without one is."""


@dataclass(frozen=True, eq=False)
class Link(Tested):
    """How a measure's change goes with a score's; arrays (K,), one a layer, NaN where a layer has no value.

    Attributes
    ----------
    level: "within" or "between" groups.
    estimate, low, high: rank correlation and its 95 % interval.
    p, p_corrected, p_fdr: two-sided; alone, corrected over layers and over all measures that were tested with it, by
        Benjamini-Hochberg over the same.
    partial, partial_p, partial_p_corrected: the same correlation given the covariates, and its p alone and corrected.
    n: items, copies of one unit counted once; n_units: groups; n_seeds: demonstration seeds.
    n_permutations: permutations used.
    n_tests: correlations over which `p_corrected` is corrected.
    moved: what was permuted: "items within groups", "groups' contrasts" or "groups".
    reason: why there is no p, or None.
    same: whether nearly all items have the same change of the measure, so that there is no link to be found.
    """

    level: Level
    p_fdr: Array
    partial: Array
    partial_p: Array
    partial_p_corrected: Array
    n: int
    n_units: int
    n_seeds: int
    n_permutations: int
    n_tests: int
    moved: str
    reason: str | None
    same: Array


def _prepared(values: Array, design: Design, level: Level) -> Array:
    """Centred ranks of values (..., n): of each item less what blocks and factors explain, or of the groups' means
    (..., G) less what the groups' shares of the factors explain.
    """
    if level == "between":
        return design.without_factors(rankdata(_means(values, design), axis=-1), within=False)
    return design.without_factors(rankdata(values, axis=-1), within=True)


def _means(values: Array, design: Design) -> Array:
    """(..., G) means of groups; those of equal values are equal."""
    means = group_means(values, design.groups)
    scale = np.abs(means).max(axis=-1, keepdims=True, initial=0.0)
    return np.asarray(np.round(means / np.where(scale > 0, scale, 1.0), _DIGITS) * scale)


def _few_change(values: Array, design: Design, level: Level) -> Array:
    """(K,) whether nearly all items, or groups, have the same value in columns (S, K, m), whatever the seed: fewer than
    8 and than half of them have another.
    """
    compared = _means(values, design) if level == "between" else values
    n = compared.shape[-1]
    others = [[n - np.unique(column, return_counts=True)[1].max(initial=0) for column in seed] for seed in compared]
    return np.asarray(np.max(others, axis=0) < min(MIN_UNITS, n / 2))


def _correlations(x: Array, y: Array) -> Array:
    """(..., K) correlation of centred ranks x (..., K, u) with y (..., u); NaN where one of them is constant."""
    lengths = np.linalg.norm(x, axis=-1) * np.linalg.norm(y, axis=-1)[..., None]
    inner = np.einsum("...ku,...u->...k", x, y)
    return np.asarray(np.divide(inner, lengths, out=np.full(inner.shape, np.nan), where=lengths > _LEAST))


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Values in R rows, ranked anew wherever some of them are drawn: counting the levels below needs no sorting.

    levels (..., u): the number of each value among its row's values; offsets (..., 1) tell rows apart; n is the most
    levels of a row.
    """

    levels: Array
    offsets: Array
    n: int

    @classmethod
    def of(cls, values: Array) -> "_Ranked":
        levels = rankdata(values, method="dense", axis=-1).astype(int) - 1
        n = int(levels.max(initial=0)) + 1
        return cls(levels, n * np.arange(levels[..., 0].size).reshape(*levels.shape[:-1], 1), n)

    def drawn(self, places: Array) -> Array:
        """(..., v) the midranks of the values at places (v,) among these."""
        levels = self.levels[..., places]
        counts = np.bincount((levels + self.offsets).ravel(), minlength=self.offsets.size * self.n)
        counts = counts.reshape(*levels.shape[:-1], self.n)
        return np.take_along_axis(np.cumsum(counts, axis=-1) - (counts - 1) / 2, levels, axis=-1)


@dataclass(frozen=True, eq=False)
class _Moves:
    """Places (B, u) from which each value comes in each permutation, what moved, and why there is no p, or None."""

    places: Array
    moved: str
    reason: str | None


def _moves(y: Array, design: Design, level: Level, n_permutations: int, rng: np.random.Generator) -> _Moves:
    """How scores y (S, n) may be rearranged if nothing goes with them."""
    if level == "between":
        reason = no_p_reason(design.groups)
        alike, strata = kinds(_means(y, design)), np.zeros(design.n_groups, dtype=int)
        places = permutations(alike, strata, 0 if reason else n_permutations, rng)
        return _Moves(places, "groups", reason)
    if design.moves_items(y, MIN_UNITS):
        reason = _no_items_move(design.n_movable(y))
        places = design.items_moved(y, 0 if reason else n_permutations, rng)
        return _Moves(places, "items within groups", reason)
    if design.n_exchangeable() >= MIN_UNITS:
        return _Moves(design.groups_moved(y, n_permutations, rng), "groups' contrasts", None)
    loose = design.without_cells()
    reason = _no_items_move(loose.n_movable(y))
    places = loose.items_moved(y, 0 if reason else n_permutations, rng)
    return _Moves(places, "what factors leave of items within groups", reason)


def _no_items_move(n_movable: int) -> str | None:
    if n_movable:
        return too_few(n_movable)
    return "no two items of one group changed their score differently: there is no link within groups"


def linked(
    changes: Mapping[str, Array],
    score_change: Array,
    groups: Array | Sequence[object] | None = None,
    *,
    level: Level = "within",
    factors: Mapping[str, Array] | None = None,
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
    factors: name -> (n,) what the design makes different between the items of a group, see `designs`; items of one
        "unit" count as one.
    covariates: name -> (n,) or (S, n), for the partial correlation.
    seed: draws permutations and resamples.

    Raises
    ------
    AnalysisError: an unknown level, or shapes that do not fit.
    """
    if level not in LEVELS:
        raise unknown(AnalysisError, "level", level, list(LEVELS))
    if not changes:
        return {}
    y = np.atleast_2d(np.asarray(score_change, dtype=float))
    x = {name: _per_seed(name, change, y.shape) for name, change in changes.items()}
    beside = [np.broadcast_to(np.atleast_2d(values), y.shape).astype(float) for values in (covariates or {}).values()]
    joined = np.concatenate(list(x.values()), axis=2).swapaxes(1, 2)
    codes, factors = unit_codes(groups, y.shape[1]), dict(factors or {})
    units = Units.of(factors, codes, y.shape[1])
    if units:
        joined, y, beside = units.means(joined), units.means(y), [units.means(values) for values in beside]
        codes, factors = codes[units.firsts], {name: units.factor(factor) for name, factor in factors.items()}
    layers = np.isfinite(joined).all(axis=0).mean(axis=1) >= _LEAST_SHARE
    items = np.isfinite(y).all(axis=0) & np.isfinite(joined[:, layers]).all(axis=(0, 1))
    items &= np.all([np.isfinite(values).all(axis=0) for values in beside], axis=0) if beside else True
    design = Design.of(y.shape[1], codes, factors).take(np.flatnonzero(items))
    same = np.zeros(len(layers), dtype=bool)
    same[layers] = items.any() and _few_change(joined[:, layers][:, :, items], design, level)
    layers &= ~same
    data = _Data(joined[:, layers][:, :, items], y[:, items], [v[:, items] for v in beside], design, level)
    columns = _link(data, n_permutations, n_bootstrap, seed)
    return _by_measure(columns, data, layers, same, {name: change.shape[2] for name, change in x.items()})


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
    """Items that have every value: x (S, K, m), y (S, m), covariates C times (S, m), and their design."""

    x: Array
    y: Array
    covariates: list[Array]
    design: Design
    level: Level

    def prepared(self, values: Array) -> Array:
        """Centred ranks of values (..., m)."""
        return _prepared(values, self.design, self.level)


@dataclass(frozen=True, eq=False)
class _Columns:
    """A link's arrays over all measures and layers, each (K,), and how they came about."""

    arrays: Mapping[str, Array]
    n_permutations: int
    moved: str
    reason: str | None


ARRAYS = ("estimate", "low", "high", "p", "p_corrected", "p_fdr", "partial", "partial_p", "partial_p_corrected")


def _link(data: _Data, n_permutations: int, n_bootstrap: int, seed: int) -> _Columns:
    absent = np.full(data.x.shape[1], np.nan)
    if data.y.shape[1] < 3 or not data.x.shape[1]:
        return _Columns(dict.fromkeys(ARRAYS, absent), 0, "", "fewer than 3 items have a change of both")
    permuting, drawing, seeding = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3))
    x, y = data.prepared(data.x), data.prepared(data.y)
    per_seed = _correlations(x, y)
    moves = _moves(data.y, data.design, data.level, n_permutations, permuting)
    found = _tested(x, y, _removed(data), moves)
    low, high = percentile_interval(_resampled(data, per_seed, n_bootstrap, drawing, seeding))
    arrays = {"estimate": _seed_mean(per_seed), "low": low, "high": high, **found}
    if data.covariates:
        partial = _without_covariates(data, x, y, moves)
        arrays |= {"partial": partial["estimate"]} | {f"partial_{name}": partial[name] for name in ("p", "p_corrected")}
    return _Columns({name: arrays.get(name, absent) for name in ARRAYS}, len(moves.places), moves.moved, moves.reason)


def _removed(data: _Data) -> Array:
    """(S, u, r) the basis of what factors explain: permuted scores are freed of it again."""
    return np.repeat(data.design.explained(data.level == "within")[None], len(data.y), axis=0)


def _tested(x: Array, y: Array, removed: Array, moves: _Moves) -> dict[str, Array]:
    """The link of centred ranks x (S, K, u) with y (S, u): its estimate, and p alone, corrected and for the FDR."""
    estimate = _seed_mean(_correlations(x, y))
    absent = np.full(len(estimate), np.nan)
    if moves.reason or not len(moves.places):
        return {"estimate": estimate, "p": absent, "p_corrected": absent, "p_fdr": absent}
    p, corrected, fdr = standardised_p(estimate, _null(x, y, removed, moves.places))
    return {"estimate": estimate, "p": p, "p_corrected": corrected, "p_fdr": fdr}


def _seed_mean(values: Array) -> Array:
    """The mean over seeds (S, ...), of those that have a value."""
    known = np.isfinite(values)
    counts = known.sum(axis=0)
    sums = np.where(known, values, 0.0).sum(axis=0)
    return np.asarray(np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0))


def _null(x: Array, y: Array, removed: Array, places: Array) -> Array:
    """(B, K) the mean over seeds of each permutation's link, what a basis `removed` (S, u, r) explains taken out of
    the permuted scores; x (S, K, u) is free of it.
    """
    links = []
    for layers, score, q in zip(x, y, removed, strict=True):
        lengths = np.linalg.norm(layers, axis=1)
        unit = np.divide(layers, lengths[:, None], out=np.full(layers.shape, np.nan), where=lengths[:, None] > _LEAST)
        permuted = score[places]
        left = np.sqrt(np.maximum((score**2).sum() - ((permuted @ q) ** 2).sum(axis=1), 0.0))[:, None]
        inner = permuted @ unit.T
        links.append(np.divide(inner, left, out=np.full(inner.shape, np.nan), where=left > _LEAST))
    return _seed_mean(np.stack(links))


def _resampled(
    data: _Data, per_seed: Array, n_bootstrap: int, drawing: np.random.Generator, seeding: np.random.Generator
) -> Array:
    """(B, K) links of resampled groups, each copy a group of its own, over resampled seeds."""
    n_groups = data.design.n_groups
    samples = np.empty((len(data.y), n_bootstrap if n_groups > 1 else 0, data.x.shape[1]))
    between = data.level == "between"
    both = np.concatenate([data.x, data.y[:, None]], axis=1)
    ranked = _Ranked.of(_means(both, data.design) if between else both)
    for place in steps(range(samples.shape[1]), "resampling"):
        groups = drawing.integers(n_groups, size=n_groups)
        items, design = data.design.drawn(groups)
        ranks = design.without_factors(ranked.drawn(groups if between else items), within=not between)
        samples[:, place] = _correlations(ranks[:, :-1], ranks[:, -1])
    if np.isnan(per_seed).any() and len(per_seed) > 1:
        return _seed_mean(samples)
    return resampled_over_seeds(samples, per_seed, seeding)


def _without_covariates(data: _Data, x: Array, y: Array, moves: _Moves) -> dict[str, Array]:
    """The link given the covariates, by `_tested`; centred ranks x (S, K, u), y (S, u) are free of factors."""
    beside_ranks = np.stack([data.prepared(values) for values in data.covariates], axis=1)
    bases = [basis(covariates) for covariates in beside_ranks]
    left_x = np.stack([without(layers, q) for layers, q in zip(x, bases, strict=True)])
    left_y = np.stack([without(score, q) for score, q in zip(y, bases, strict=True)])
    factors = _removed(data)
    both = [np.hstack([q, of_factors]) for q, of_factors in zip(bases, factors, strict=True)]
    widest = max(q.shape[1] for q in both)
    removed = np.stack([np.pad(q, ((0, 0), (0, widest - q.shape[1]))) for q in both])
    return _tested(left_x, left_y, removed, moves)


def _by_measure(
    columns: _Columns, data: _Data, layers: Array, same: Array, widths: Mapping[str, int]
) -> dict[str, Link]:
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
            same=same[start : start + width],
            n=data.y.shape[1],
            n_units=data.design.n_groups,
            n_seeds=len(data.y),
            n_permutations=columns.n_permutations,
            n_tests=int(np.isfinite(columns.arrays["estimate"]).sum()),
            moved=columns.moved,
            reason=columns.reason,
        )
        start += width
    return links
