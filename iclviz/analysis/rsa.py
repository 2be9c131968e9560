"""Representational similarity: RSMs of a layer's embeddings and their alignment with a hypothesis.

The alignment is the correlation of an RSM's pairs of items (upper triangle, no diagonal) with those of a hypothesis
matrix. `alignment_test` asks, for all layers together,

1. which arrangements of the hypothesis are equally likely if it says nothing (`arrangements`);
2. how often one of them aligns as well as the real one: p, and p corrected over layers (`statistics.p_values`);
3. how far the alignment moves when units are drawn anew (`resampling`): a percentile interval.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

from iclviz.analysis.correlations import CORRELATIONS, Method, align, comparable, pairs_of
from iclviz.analysis.hypothesis_permutations import Arrangement, arrangement
from iclviz.analysis.resampling import resamples
from iclviz.analysis.resolution import held, only_rounding, resolution, tied
from iclviz.analysis.results import Tested
from iclviz.analysis.statistics import (
    PValues,
    mean_of_known,
    p_values,
    percentile_interval,
    too_few,
    unit_codes,
    unit_weights,
)
from iclviz.errors import AnalysisError, unknown
from iclviz.recording import Array

Metric = Literal["cosine", "pearson", "spearman", "euclidean"]

MIN_ITEMS = 3
"""The fewest items whose pairs can agree or disagree with a hypothesis: two have one pair."""

_BLOCK = 4_000_000
"""Numbers in the largest temporary array of a permutation test: 32 MB."""


@dataclass(frozen=True, eq=False)
class AlignmentTest(Tested):
    """Alignment of each layer's RSM with a hypothesis; arrays (L + 1,), NaN for a layer whose RSM is constant.

    Attributes
    ----------
    estimate, low, high: the alignment and its 95 % bootstrap interval, which is conservative: it covers more often.
    null_mean: mean alignment over permutations, what a hypothesis that says nothing reaches (zero is not that, since
        groups alone may align); NaN where there is no p.
    p, p_corrected, p_fdr: one-sided; alone, by the maximum over layers, by Benjamini-Hochberg.
    n_permutations: permutations used: as asked, or all others than the observed one where there are fewer.
    n_bootstrap: resamples asked for.
    n_units: independent units, of the interval: groups, or items where no groups were given.
    unit: what was permuted: "items", "groups", "blocks" (groups among those of equal size), "items within groups",
        "units within groups" or "items within units".
    method: the correlation.
    reason: why there is no p, or None.
    missing: layer -> why it has no value.
    text_share: layer 0's alignment as a share of the largest possible, where layer 0 is that of a model: from `room`'s
        bound on, the hypothesis holds by the prompts' text alone. NaN where there is none.
    """

    null_mean: Array
    p_fdr: Array
    n_permutations: int
    n_bootstrap: int
    n_units: int
    unit: str
    method: Method
    reason: str | None
    missing: Mapping[int, str]
    text_share: float = float("nan")


def _cosine(x: Array) -> Array:
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    directions = np.divide(x, norms, out=np.full(x.shape, np.nan), where=norms > 0)
    return np.asarray(np.clip(directions @ directions.T, -1.0, 1.0))


def _pearson(x: Array) -> Array:
    return _cosine(_centred(x, axis=1))


def _spearman(x: Array) -> Array:
    return _pearson(rankdata(x, axis=1))


def _euclidean(x: Array) -> Array:
    return np.asarray(-cdist(x, x))


METRICS: dict[str, Callable[[Array], Array]] = {
    "cosine": _cosine,
    "pearson": _pearson,
    "spearman": _spearman,
    "euclidean": _euclidean,
}


def _centred(x: Array, axis: int) -> Array:
    """Subtract the mean; what only rounding keeps from zero becomes zero, so that it gives NaN and not noise."""
    centred = x - x.mean(axis=axis, keepdims=True)
    return np.where(np.abs(centred) <= 1e-12 * np.abs(x).max(axis=axis, keepdims=True), 0.0, centred)


def rsm(x: Array, metric: Metric = "cosine", center: bool = True, drop_largest: float = 0.0) -> Array:
    """The similarity of every pair of items, (n, n) float64.

    Parameters
    ----------
    x: (n, d) embeddings of one layer.
    metric: "cosine", "pearson" or "spearman" over the d dimensions, or "euclidean", the negative distance.
    center: subtract the mean over items first. A mean that all items share makes every cosine nearly 1.
    drop_largest: share of the dimensions, those of largest variance over items, to leave out: 0.01 checks that a few
        outlier dimensions do not carry the result.

    Returns
    -------
    Similarities; NaN in the row and column of an item that has no direction (a zero vector), and everywhere where an
    embedding is not finite. Items that rounding alone keeps apart count as the same, see `rounding`.

    Raises
    ------
    AnalysisError: an unknown metric, no items, or not one layer.
    """
    if metric not in METRICS:
        raise unknown(AnalysisError, "metric", metric, list(METRICS))
    x = np.asarray(x)
    if x.ndim != 2 or not x.size:
        raise AnalysisError(
            f"An RSM is made from (items, dimensions), not from shape {x.shape}.", "Choose one layer of some items."
        )
    if not np.isfinite(x).all():
        return np.full((len(x), len(x)), np.nan)
    if drop_largest:
        keep = x.shape[1] - int(np.ceil(drop_largest * x.shape[1]))
        x = x[:, np.sort(np.argsort(x.var(axis=0, dtype=np.float64), kind="stable")[:keep])]
    wide = x.astype(np.float64)
    if only_rounding(x):
        wide = np.tile(wide.mean(axis=0), (len(x), 1))
    return METRICS[metric](_centred(wide, axis=0) if center else wide)


def rsms(x: Array, metric: Metric = "cosine", center: bool = True, drop_largest: float = 0.0) -> Array:
    """The RSM of every layer, (L + 1, n, n) float32, of embeddings (n, L + 1, d) in the type that keeps them.

    Pairs that the rounding of float16 or float32 may have told apart are ties, see `resolution`.
    """
    return np.stack([_tied_rsm(x[:, layer], metric, center, drop_largest) for layer in range(x.shape[1])])


def _tied_rsm(x: Array, metric: Metric, center: bool, drop_largest: float) -> Array:
    """The RSM of a layer x (n, d), those pairs being ties which rounding x in its type may have told apart."""
    matrix = rsm(x, metric, center, drop_largest)
    if x.dtype == np.float64 or np.isnan(matrix).all():
        return matrix.astype(np.float32)
    rows, columns = np.triu_indices(len(matrix), 1)

    def pairs(moved: Array) -> Array:
        return rsm(moved, metric, center, drop_largest)[rows, columns, None]

    values = matrix[rows, columns]
    matrix[rows, columns] = matrix[columns, rows] = tied(values, resolution(pairs, x)[0])
    return matrix.astype(np.float32)


def check_fit(matrices: Array, hypothesis: Array, method: str) -> None:
    """Refuse RSMs (..., n, n) and a hypothesis (n, n) that are not over the same items.

    Raises
    ------
    AnalysisError: so, or an unknown method.
    """
    if method not in CORRELATIONS:
        raise unknown(AnalysisError, "method", method, list(CORRELATIONS))
    if matrices.shape[-2:] != hypothesis.shape or hypothesis.shape[0] != hypothesis.shape[-1]:
        raise AnalysisError(
            f"RSMs of shape {matrices.shape} do not fit a hypothesis of shape {hypothesis.shape}.",
            "Both must be square, over the same items in the same order.",
        )


def alignment(rsm: Array, hypothesis: Array, method: Method = "spearman") -> float:
    """The correlation of an RSM (n, n) with a hypothesis (n, n) over pairs of items; NaN where one is constant."""
    rsm, hypothesis = held(rsm), np.asarray(hypothesis, dtype=float)
    check_fit(rsm, hypothesis, method)
    return float(align(pairs_of(rsm)[None], pairs_of(hypothesis)[None], method)[0, 0])


def item_alignment(rsms: Array, hypothesis: Array, method: Method = "spearman") -> Array:
    """Each item's own alignment, (n, K): its row of every RSM against its row of the hypothesis, itself left out.

    This is what can go with behaviour item by item. NaN where the hypothesis says the same of all pairs of an item.

    Parameters
    ----------
    rsms: (K, n, n); hypothesis: (n, n), NaN = no prediction.

    Raises
    ------
    AnalysisError: shapes do not fit, or the method is unknown.
    """
    similarities, predictions = held(rsms), np.asarray(hypothesis, dtype=float)
    check_fit(similarities, predictions, method)
    others = ~np.eye(len(predictions), dtype=bool)
    rows = [
        align(similarities[:, i, others[i]], predictions[None, i, others[i]], method)[0]
        for i in range(len(predictions))
    ]
    return np.array(rows)


def _null(x: Array, units: Arrangement, method: Method, places: Array) -> Array:
    """(B, K) the alignment of x (K, m) with each permuted hypothesis."""
    rows, columns = np.triu_indices(places.shape[1], 1)
    step = max(1, _BLOCK // len(rows))
    blocks = (places[start : start + step] for start in range(0, len(places), step))
    return np.vstack(
        [align(x, units.matrix[block[:, rows], block[:, columns]], method) for block in blocks]
        or [np.empty((0, len(x)))]
    )


def alignment_test(
    rsms: Array,
    hypothesis: Array,
    groups: Array | Sequence[object] | None = None,
    *,
    independent: Array | Sequence[object] | None = None,
    units: Array | Sequence[object] | None = None,
    method: Method = "spearman",
    n_permutations: int = 1000,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> AlignmentTest:
    """How well each layer's RSM agrees with a hypothesis, with interval, p and correction over layers.

    "tau-a" takes its time: it has no short cut, so take fewer permutations and resamples.

    Parameters
    ----------
    rsms: (L + 1, n, n), see `rsms`.
    hypothesis: (n, n), NaN = no prediction.
    groups: (n,) the unit of permutation; None = single items, which is right only for a hypothesis about group
        membership itself.
    independent: (n,) what is independent of each other, the unit of the interval; None = the groups.
    units: (n,) what items of a group are copies of, which trades places as a whole; None = no item is a copy.
    seed: draws permutations and resamples.

    Raises
    ------
    AnalysisError: shapes do not fit, the method is unknown, or there are fewer than 3 items.
    """
    similarities, predictions = held(rsms), np.asarray(hypothesis, dtype=float)
    check_fit(similarities, predictions, method)
    if len(predictions) < MIN_ITEMS:
        raise AnalysisError(
            f"An alignment needs at least {MIN_ITEMS} items, and there are {len(predictions)}.", "Take more items."
        )
    codes = unit_codes(groups, len(predictions))
    x, h = pairs_of(similarities), pairs_of(predictions)
    permuting, resampling = (np.random.default_rng(source) for source in np.random.SeedSequence(seed).spawn(2))
    estimate = align(x, h[None], method)[0]
    moving = arrangement(predictions, codes, None if units is None else np.asarray(units))
    reason = too_few(moving.n_units)
    if not reason and not moving.changes:
        reason = "every permutation of these units leaves the hypothesis as it is: no p is given"
    places = moving.places(0 if reason else n_permutations, permuting)
    resampled = codes if independent is None else unit_codes(independent, len(predictions))
    n_units = int(resampled.max()) + 1
    weights = unit_weights(n_units, n_bootstrap, resampling)
    low, high = percentile_interval(resamples(x, h, resampled, method, weights))
    null = _null(x, moving, method, places)
    p = PValues.absent(len(x)) if reason else p_values(estimate, null)
    return AlignmentTest(
        estimate=estimate,
        low=low,
        high=high,
        null_mean=np.where(np.isfinite(estimate), mean_of_known(null), np.nan),
        p=p.p,
        p_corrected=p.p_corrected,
        p_fdr=p.p_fdr,
        n_permutations=len(places),
        n_bootstrap=n_bootstrap,
        n_units=n_units,
        unit=moving.unit,
        method=method,
        reason=reason,
        missing=dict.fromkeys(np.flatnonzero(np.isnan(estimate)).tolist(), _no_value(h)),
    )


def _no_value(hypothesis: Array) -> str:
    """Why a layer has no alignment with a hypothesis's pairs (m,)."""
    if not any(comparable(hypothesis[None], hypothesis[None])):
        return "the hypothesis predicts the same of every pair"
    return "its similarities are missing, or all the same"
