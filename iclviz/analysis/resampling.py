"""Resamples of an RSM's alignment without building them: how often each pair of items occurs is a weight.

When units are drawn with replacement, a pair of items of one unit occurs as often as the unit was drawn; a pair of two
units as often as the product; a pair of two copies of one unit is left out, since it compares the unit with itself.
Weighted correlations then equal those of the resample that was really built, ranks recomputed included.

Letters: K layers, m pairs, C resamples, U units.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from iclviz.analysis.correlations import Method, align, comparable
from iclviz.analysis.progress import steps
from iclviz.analysis.statistics import quotient
from iclviz.recording import Array

_ROUNDING = 1e-12
"""What rounding leaves of the variation of equal values, relative to their sum of squares."""

_BLOCK = 130_000
"""Numbers in a block of weights: 1 MB, so that sorting it by each layer's order stays in the cache."""


@dataclass(frozen=True, eq=False)
class _Order:
    """The rising order of m values, and for each `tied` place in it the first and last place of the same value."""

    order: Array
    tied: Array
    first: Array
    last: Array

    @classmethod
    def of(cls, values: Array) -> "_Order":
        _, level, counts = np.unique(values, return_inverse=True, return_counts=True)
        last = np.repeat(np.cumsum(counts), counts)
        first = last - np.repeat(counts, counts)
        tied = np.flatnonzero(last - first > 1)
        return cls(np.argsort(level, kind="stable"), tied, first[tied], last[tied])

    def midranks(self, weights: Array) -> tuple[Array, Array]:
        """Ranks when the value at each place occurs as often as weights (m, C) say, and how much they vary.

        Returns
        -------
        (m, C) twice the midrank less one; (C,) the sum of squares of the centred midranks, (N^3 - sum of t^3) / 12
        for N values of which t are the same.
        """
        below = np.zeros((len(weights) + 1, weights.shape[1]))
        np.cumsum(weights, axis=0, out=below[1:])
        doubled = below[:-1] + below[1:]
        doubled[self.tied] = below[self.first] + below[self.last]
        alone, alike = weights[self.tied], below[self.last] - below[self.first]
        cubes = _cubes(weights) - _cubes(alone) + np.einsum("tc,tc->c", alone, alike**2)
        return doubled, (below[-1] ** 3 - cubes) / 12


def _cubes(weights: Array) -> Array:
    return np.asarray(np.einsum("mc,mc->c", weights, weights**2))


Resampler = Callable[[Array], Array]
"""Weights of pairs (m, C), how often each occurs in C resamples -> the alignment of each layer (K, C)."""


def _rank_resampler(x: Array, h: Array, normalised: bool) -> Resampler:
    """Rank correlation of layers x (K, m) with h (m,).

    Ranks are recomputed: a value's midrank follows from the cumulated weights of the values below it, in an order that
    no resample changes.
    """
    predicted, seen = _Order.of(h), [_Order.of(layer) for layer in x]

    def resample(weights: Array) -> Array:
        n = weights.sum(axis=0)
        h_doubled, h_variation = predicted.midranks(weights[predicted.order])
        pulls = np.empty_like(weights)
        pulls[predicted.order] = h_doubled - n
        pulls *= weights
        correlations = np.empty((len(x), weights.shape[1]))
        for k, layer in enumerate(seen):
            doubled, variation = layer.midranks(weights[layer.order])
            varied = np.sqrt(variation * h_variation)
            scale = varied if normalised else np.where(varied > 0, (n**3 - n) / 12, 0.0)
            correlations[k] = quotient(np.einsum("mc,mc->c", pulls[layer.order], doubled) / 4, scale)
        return correlations

    return resample


def _value_resampler(x: Array, h: Array) -> Resampler:
    """Pearson's correlation of layers x (K, m) with h (m,); NaN where a resample leaves one value of either."""
    x, h = x - x.mean(axis=1, keepdims=True), h - h.mean()

    def resample(weights: Array) -> Array:
        n = np.maximum(weights.sum(axis=0), 1.0)
        sum_x, sum_h = x @ weights, h @ weights
        varied = _variation((x**2) @ weights, sum_x**2 / n) * _variation((h**2) @ weights, sum_h**2 / n)
        return quotient((x * h) @ weights - sum_x * sum_h / n, np.sqrt(varied))

    return resample


def _variation(squares: Array, of_mean: Array) -> Array:
    """Sum of squares less that of the mean; 0 where no more than rounding is left."""
    left = squares - of_mean
    return np.where(left > _ROUNDING * squares, left, 0.0)


def _tau_a_resampler(x: Array, h: Array) -> Resampler:
    """Kendall's tau-a, from resamples that are really built: there is no short cut for it."""

    def resample(weights: Array) -> Array:
        drawn = (np.repeat(np.arange(len(h)), column.astype(int)) for column in weights.T)
        return np.array([align(x[:, pairs], h[None, pairs], "tau-a")[0] for pairs in drawn]).T

    return resample


_RESAMPLERS: dict[str, Callable[[Array, Array], Resampler]] = {
    "spearman": partial(_rank_resampler, normalised=True),
    "pearson": _value_resampler,
    "tau-a": _tau_a_resampler,
    "rho-a": partial(_rank_resampler, normalised=False),
}


def _pair_weights(unit_weights: Array, codes: Array) -> Array:
    """(m, C) how often each pair of items occurs when units are drawn as often as (C, U) says.

    Both items of a pair inside one unit come with each of its copies; pairs between two copies are left out.
    """
    drawn = unit_weights.T[codes]
    rows, columns = np.triu_indices(len(codes), 1)
    inside = (codes[rows] == codes[columns])[:, None]
    return np.where(inside, drawn[rows], drawn[rows] * drawn[columns])


def resamples(x: Array, h: Array, codes: Array, method: Method, unit_weights: Array) -> Array:
    """(B, K) the alignment of x (K, m) with h (m,) in each resample of units (B, U)."""
    samples = np.full((len(unit_weights), len(x)), np.nan)
    parts = [
        (layers, pairs, _RESAMPLERS[method](x[np.ix_(layers, pairs)], h[pairs]))
        for _, layers, pairs in comparable(x, h[None])
    ]
    step = max(1, _BLOCK // len(h))
    for start in steps(range(0, len(unit_weights), step), "resampling"):
        weights = _pair_weights(unit_weights[start : start + step], codes)
        for layers, pairs, resample in parts:
            samples[start : start + step, layers] = resample(weights[pairs]).T
    return samples
