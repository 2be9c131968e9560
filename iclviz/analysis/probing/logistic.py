"""L2 multinomial logistic regression in the row space, M fits at once in each of K layers.

1. Minimises the summed cross-entropy + strength / 2 * squared weights by accelerated steps (Nesterov) against
   Boehning's bound of the curvature (1992), which is diagonal in the row space, with a restart where momentum runs
   uphill.
2. All fits of a layer share its training items, so that a step is two matrix products of all of them. Items are the
   last axis, the long one.
3. A fit ends where its own slope is small enough, whatever else is fitted; layers and fits that have ended drop out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from iclviz.analysis.probing.row_space import Rows
from iclviz.recording import Array

_MAX_STEPS = 1000
_WORTH_DROPPING = 0.8


@dataclass(frozen=True)
class Precision:
    """How exact a fit is: the largest slope of the summed loss at which it ends, and the type it computes in."""

    tolerance: float
    dtype: DTypeLike


FINE = Precision(1e-4, np.float64)
COARSE = Precision(1e-3, np.float32)
"""For choosing a strength, for scores that are averaged, and as the start of a finer fit."""


@dataclass(frozen=True, eq=False)
class _Loss:
    """The loss of m fits in each of k layers, q coordinates, t items, C classes.

    x (k, t, q), transposed (k, q, t), targets (m, C, t), unseen (m, C, 1): minus infinity for a class without an item,
    penalty and curvature (k, m, 1, q).
    """

    x: Array
    transposed: Array
    targets: Array
    unseen: Array
    penalty: Array
    curvature: Array

    @classmethod
    def of(cls, rows: Rows, targets: Array, strengths: Array, dtype: DTypeLike) -> "_Loss":
        penalty = strengths[:, :, None] * rows.kept[:, None, :]
        curvature = np.maximum(rows.squares[:, None, :] / 2 + penalty, 1e-12)
        every = np.broadcast_to(np.swapaxes(targets, 1, 2), (strengths.shape[1], *targets.shape[:0:-1]))
        arrays = (
            rows.train,
            np.swapaxes(rows.train, 1, 2),
            every,
            np.where(every.any(axis=2, keepdims=True), 0.0, -np.inf),
            penalty[:, :, None, :],
            curvature[:, :, None, :],
        )
        return cls(*(np.ascontiguousarray(array, dtype) for array in arrays))

    def slope(self, weights: Array) -> Array:
        """(k, m, C, q) at weights of that shape."""
        k, m, n_classes, q = weights.shape
        odds = (weights.reshape(k, -1, q) @ self.transposed).reshape(k, m, n_classes, -1) + self.unseen
        odds = np.exp(odds - odds.max(axis=2, keepdims=True))
        error = odds / odds.sum(axis=2, keepdims=True) - self.targets
        return np.asarray(
            (error.reshape(k, m * n_classes, -1) @ self.x).reshape(weights.shape) + self.penalty * weights
        )

    def part(self, layers: Array, fits: Array) -> "_Loss":
        """That of some layers and fits, given as masks (k,) and (m,)."""
        both = np.ix_(layers, fits)
        shared = self.x[layers], self.transposed[layers], self.targets[fits], self.unseen[fits]
        return _Loss(*shared, self.penalty[both], self.curvature[both])


def logistic_weights(rows: Rows, targets: Array, strengths: Array, precision: Precision) -> Array:
    """(K, M, C, r + 1) weights of the fits.

    Parameters
    ----------
    targets: (M, t, C) one-hot labels of the training items, or (1, t, C) for all fits; the weights of a class without a
        training item are 0.
    strengths: (K, M).
    """
    loss = _Loss.of(rows, targets, strengths, precision.dtype)
    layers, fits = (np.arange(size) for size in strengths.shape)
    weights = _start(rows, targets, strengths, precision)
    found, ahead, pace, ended = weights.copy(), weights, np.ones(strengths.shape), np.zeros(strengths.shape, dtype=bool)
    for turn in range(1, _MAX_STEPS + 1):
        slope = loss.slope(ahead)
        moved = ahead - slope / loss.curvature
        ending = (np.abs(slope).max(axis=(2, 3)) < precision.tolerance) | (turn == _MAX_STEPS)
        ahead, pace = _with_momentum(weights, moved, slope, pace)
        weights = moved
        if not ending.any():
            continue
        layer, fit = np.nonzero(ending & ~ended)
        found[layers[layer], fits[fit]] = moved[layer, fit]
        ended |= ending
        open_layers: Array = np.logical_not(ended.all(axis=1))
        open_fits: Array = np.logical_not(ended.all(axis=0))
        if not open_layers.any():
            break
        if open_layers.sum() * open_fits.sum() < _WORTH_DROPPING * ended.size:
            both = np.ix_(open_layers, open_fits)
            loss, layers, fits = loss.part(open_layers, open_fits), layers[open_layers], fits[open_fits]
            weights, ahead, pace, ended = weights[both], ahead[both], pace[both], ended[both]
    return found


def _start(rows: Rows, targets: Array, strengths: Array, precision: Precision) -> Array:
    """(K, M, C, r + 1) the weights of a coarse fit, if a finer one is asked for, else 0."""
    if precision.tolerance < COARSE.tolerance:
        return logistic_weights(rows, targets, strengths, COARSE).astype(precision.dtype)
    return np.zeros((*strengths.shape, targets.shape[2], rows.train.shape[2]), precision.dtype)


def _with_momentum(weights: Array, moved: Array, slope: Array, pace: Array) -> tuple[Array, Array]:
    """The weights ahead of those a step has moved to, and the next pace (k, m)."""
    step = moved - weights
    uphill = np.einsum("kmcq,kmcq->km", slope, step) > 0
    pace = np.where(uphill, 1.0, pace)
    next_pace = (1 + np.sqrt(1 + 4 * pace**2)) / 2
    momentum = np.where(uphill, 0.0, (pace - 1) / next_pace).astype(moved.dtype)
    return moved + momentum[:, :, None, None] * step, next_pace
