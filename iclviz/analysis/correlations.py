"""Correlations of pairs of items: the upper triangle, without the diagonal, of RSMs and of hypotheses.

A pair that is NaN on either side is left out, and where one side is constant there is no correlation. Each method
compares many layers with many hypotheses at once: ranks or values are scaled so that one matrix product is the
correlation. Tau-a and rho-a are as in Nili et al. 2014 and Schuett et al. 2023 (doi:10.7554/eLife.82566): hypotheses
with ties are not favoured, so two hypotheses may be compared by them.

Letters: K layers, B hypotheses, m pairs.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

import numpy as np
from scipy.stats import kendalltau, rankdata

from iclviz.analysis.resolution import SAME_PAIRS
from iclviz.recording import Array

Method = Literal["spearman", "pearson", "tau-a", "rho-a"]


_FEW_LEVELS = 256
"""Distinct values up to which counting them is quicker than sorting: hypotheses, and their permutations, have few."""


def _ranks(values: Array) -> Array:
    """Midranks of each row."""
    levels = np.unique(values[0])
    places = np.minimum(np.searchsorted(levels, values), len(levels) - 1) if len(levels) <= _FEW_LEVELS else None
    if places is None or not np.array_equal(levels[places], values):
        return np.asarray(rankdata(values, axis=1))
    rows = np.arange(len(values))[:, None] * len(levels)
    counts = np.bincount((places + rows).ravel(), minlength=len(values) * len(levels)).reshape(len(values), -1)
    midranks = np.cumsum(counts, axis=1) - (counts - 1) / 2
    return np.take_along_axis(midranks, places, axis=1)


def _unit_length(values: Array) -> Array:
    centred = values - values.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.linalg.norm(centred, axis=1, keepdims=True))


def _rho_a_scaled(values: Array) -> Array:
    ranks, m = _ranks(values), values.shape[1]
    return np.asarray((ranks - (m + 1) / 2) * np.sqrt(12 / (m**3 - m)))


def _inner(x: Array, h: Array, scaled: Callable[[Array], Array]) -> Array:
    return np.asarray(scaled(h) @ scaled(x).T)


def _tau_a(a: Array, b: Array) -> float:
    """Concordant minus discordant pairs over all pairs, from SciPy's tau-b with its correction for ties undone."""
    m = len(a)
    ties = [(counts * (counts - 1) / 2).sum() for counts in (np.unique(v, return_counts=True)[1] for v in (a, b))]
    total = m * (m - 1) / 2
    return float(kendalltau(a, b).statistic * np.sqrt((total - ties[0]) * (total - ties[1])) / total)


def _tau_a_all(x: Array, h: Array) -> Array:
    return np.array([[_tau_a(row, layer) for layer in x] for row in h])


CORRELATIONS: dict[str, Callable[[Array, Array], Array]] = {
    "spearman": partial(_inner, scaled=lambda values: _unit_length(_ranks(values))),
    "pearson": partial(_inner, scaled=_unit_length),
    "tau-a": _tau_a_all,
    "rho-a": partial(_inner, scaled=_rho_a_scaled),
}


def pairs_of(matrices: Array) -> Array:
    """(..., m) the upper triangle without the diagonal of (..., n, n)."""
    rows, columns = np.triu_indices(matrices.shape[-1], 1)
    return matrices[..., rows, columns]


def is_constant(values: Array, rounding: float = 1e-9) -> Array:
    """(K,) whether a row of (K, m) holds one value only, up to rounding relative to its largest."""
    return np.asarray(np.ptp(values, axis=1) <= rounding * np.abs(values).max(axis=1))


def _same_gaps(values: Array) -> Iterator[tuple[Array, Array]]:
    """The rows of (K, m) that have NaN at the same places: their numbers and the places that have a value."""
    alike: dict[bytes, list[int]] = {}
    for row, present in enumerate(np.packbits(np.isfinite(values), axis=1)):
        alike.setdefault(present.tobytes(), []).append(row)
    for rows in alike.values():
        yield np.array(rows), np.isfinite(values[rows[0]])


def comparable(x: Array, h: Array) -> Iterator[tuple[Array, Array, Array]]:
    """Layers of x (K, m) and rows of h (B, m) that share their gaps: (rows, layers, pairs), constant ones left out."""
    layer_gaps = list(_same_gaps(x))
    for rows, with_row in _same_gaps(h):
        for layers, with_layer in layer_gaps:
            pairs = np.flatnonzero(with_row & with_layer)
            if len(pairs) < 2:
                continue
            varied_rows = rows[~is_constant(h[np.ix_(rows, pairs)])]
            varied_layers = layers[~is_constant(x[np.ix_(layers, pairs)], SAME_PAIRS)]
            if len(varied_rows) and len(varied_layers):
                yield varied_rows, varied_layers, pairs


def align(x: Array, h: Array, method: Method) -> Array:
    """(B, K) the alignment of each layer's pairs x (K, m) with each hypothesis's pairs h (B, m)."""
    aligned = np.full((len(h), len(x)), np.nan)
    for rows, layers, pairs in comparable(x, h):
        aligned[np.ix_(rows, layers)] = CORRELATIONS[method](x[np.ix_(layers, pairs)], h[np.ix_(rows, pairs)])
    return aligned
