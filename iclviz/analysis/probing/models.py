"""The two probes: multinomial logistic regression for classes, ridge for numbers, each with an L2 penalty.

M of them are fitted at once in each of K layers, which share the training items: as many strengths, or as many labels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from iclviz.analysis.probing.logistic import Precision, logistic_weights
from iclviz.analysis.probing.row_space import ReadOut, Rows
from iclviz.recording import Array

_LEAST_LOG = float(np.log(1e-12))


def _logistic(rows: Rows, targets: Array, strengths: Array, precision: Precision) -> ReadOut:
    """Logits; a class without a training item gets minus infinity."""
    read_out = ReadOut.of(rows, logistic_weights(rows, targets, strengths, precision))
    unseen = np.where(targets.any(axis=1), 0.0, -np.inf)
    return ReadOut(read_out.coefficients, read_out.intercepts + unseen)


def _ridge(rows: Rows, targets: Array, strengths: Array, _: Precision) -> ReadOut:
    """Numbers; exact."""
    pulled = targets[..., 0] @ rows.train
    return ReadOut.of(rows, (pulled * rows.shrinkage(strengths))[:, :, None, :])


def log_softmax(logits: Array) -> Array:
    """Log-probabilities over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def _cross_entropy(logits: Array, targets: Array) -> Array:
    """(K, M) summed over held-out items."""
    return np.asarray(-(targets * np.maximum(log_softmax(logits), _LEAST_LOG)).sum(axis=(2, 3)))


def _squared_error(numbers: Array, targets: Array) -> Array:
    """(K, M) summed over held-out items."""
    return np.asarray(((numbers - targets) ** 2).sum(axis=(2, 3)))


def _gains(logits: Array, targets: Array) -> Array:
    """How far each class's log-probability rises above that of its share of the training items' targets (M, t, C)."""
    shares = targets.mean(axis=1)[:, None, :]
    seen = shares > 0
    return np.where(seen, log_softmax(logits) - np.log(np.where(seen, shares, 1.0)), -np.inf)


def _numbers(numbers: Array, targets: Array) -> Array:
    return numbers


@dataclass(frozen=True)
class Model:
    """A probe.

    Attributes
    ----------
    fit: rows, targets (M or 1, t, C), strengths (K, M), precision -> what reads all C outputs off an item.
    loss: outputs (K, M, s, C) and targets (..., s, C) of held-out items -> (K, M), what inner folds minimise.
    answers: outputs (K, M, s, C) and the training items' targets -> (K, M, s, C): each class's gain, or the number.
    """

    fit: Callable[[Rows, Array, Array, Precision], ReadOut]
    loss: Callable[[Array, Array], Array]
    answers: Callable[[Array, Array], Array]


CLASSIFIER = Model(_logistic, _cross_entropy, _gains)
REGRESSOR = Model(_ridge, _squared_error, _numbers)
