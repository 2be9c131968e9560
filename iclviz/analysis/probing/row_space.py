"""The row space of a training fold: its items' coordinates along the eigenvectors of their Gram matrix.

A probe on d dimensions with an L2 penalty puts weight only on the span of its training items, so their inner products
are all that it takes. A read-out of any item is a sum over its inner products with the training items.
"""

from dataclasses import dataclass

import numpy as np

from iclviz.recording import Array

_LEAST_VALUE = 1e-10
_LEAST_SIZE = 1e-12


def gram(x: Array) -> Array:
    """(K, n, n) inner products of the items of each layer of x (n, K, d), around the mean of all items.

    The shift changes nothing after a fold's own centring, but keeps a large common mean from costing digits.
    """
    layers = (x[:, layer].astype(np.float64) for layer in range(x.shape[1]))
    return np.stack([centred @ centred.T for centred in (layer - layer.mean(axis=0) for layer in layers)])


def inner_products(gram: Array, train: Array, rows: Array) -> Array:
    """(K, rows, train) around the training items' mean, whose mean squared norm becomes 1.

    All 0 where only rounding keeps the training items of a layer apart.
    """
    inside, crossed = gram[:, train[:, None], train], gram[:, rows[:, None], train]
    means = inside.mean(axis=1)
    centre = means.mean(axis=1)
    squares = np.diagonal(gram, axis1=1, axis2=2)
    size = squares[:, train].mean(axis=1) - centre
    centred = crossed - crossed.mean(axis=2, keepdims=True) - means[:, None, :] + centre[:, None, None]
    return np.asarray(centred * _inverse(size, squares.mean(axis=1))[:, None, None])


def standardised(x: Array, train: Array) -> Array:
    """(n, d) the items x (n, d) of one layer in the same units, in all their dimensions."""
    x = x.astype(np.float64)
    centred = x - x[train].mean(axis=0)
    size, size_of_all = (centred[train] ** 2).sum(axis=1).mean(), ((x - x.mean(axis=0)) ** 2).sum(axis=1).mean()
    return np.asarray(centred * np.sqrt(_inverse(size, size_of_all)))


def _inverse(size: Array, size_of_all: Array) -> Array:
    """Of the training items' mean squared norm, 0 where beside that of all items it is rounding."""
    distinct = size > _LEAST_SIZE * size_of_all
    return np.where(distinct, 1 / np.where(distinct, size, 1.0), 0.0)


@dataclass(frozen=True, eq=False)
class Rows:
    """A fold's t training items in their row space, for K layers, r <= t directions, the least first.

    train (K, t, r + 1): coordinates, the last one the intercept's 1; squares (K, r + 1): the sum of squares of each;
    kept (K, r + 1): 1 for a penalised direction, 0 for the intercept; axes (K, t, r): from inner products with the
    training items to coordinates.
    """

    train: Array
    squares: Array
    kept: Array
    axes: Array

    def shrinkage(self, strengths: Array) -> Array:
        """(K, M, r + 1) what penalties (K, M) divide each direction's products with labels by, inverted."""
        shrunk = self.squares[:, None, :] + strengths[:, :, None] * self.kept[:, None, :]
        return np.asarray(np.divide(1.0, shrunk, out=np.zeros_like(shrunk), where=shrunk > 0))

    def ridge_maps(self, strengths: Array, products: Array) -> tuple[Array, Array]:
        """What a ridge probe of strengths (K, 1) makes of training labels, as maps of them: to its values of the
        training items (K, t, t) and of items seen as products (K, s, t).
        """
        inverse = self.shrinkage(strengths)
        seen = np.concatenate([products @ self.axes, np.ones((*products.shape[:2], 1))], axis=2)
        back = np.swapaxes(self.train, 1, 2)
        return (self.train * inverse) @ back, (seen * inverse) @ back


def rows(gram: Array, train: Array, dimensions: int | None = None) -> Rows:
    """The row space of the training items, or its leading dimensions, which are their principal components."""
    values, vectors = np.linalg.eigh(inner_products(gram, train, train))
    leading = slice(max(0, len(train) - dimensions) if dimensions else 0, None)
    values, vectors = values[:, leading], vectors[:, :, leading]
    squares = np.where(values > _LEAST_VALUE * values[:, -1:], values, 0.0)
    roots = np.sqrt(squares)[:, None, :]
    intercept = np.ones((len(gram), 1))
    return Rows(
        train=np.concatenate([vectors * roots, np.ones((*vectors.shape[:2], 1))], axis=2),
        squares=np.hstack([squares, len(train) * intercept]),
        kept=np.hstack([np.ones_like(squares), 0 * intercept]),
        axes=vectors * np.divide(1.0, roots, out=np.zeros_like(roots), where=roots > 0),
    )


@dataclass(frozen=True, eq=False)
class ReadOut:
    """M read-outs of C numbers in each of K layers: coefficients (K, M, C, t) and intercepts (K, M, C).

    The coefficients are those of inner products with the t training items.
    """

    coefficients: Array
    intercepts: Array

    @classmethod
    def of(cls, rows: Rows, weights: Array) -> "ReadOut":
        """The read-out that has these weights (K, M, C, r + 1) in the row space."""
        n_layers, n_fits, n_outputs, _ = weights.shape
        flat = weights[..., :-1].reshape(n_layers, n_fits * n_outputs, -1)
        coefficients = flat @ np.swapaxes(rows.axes, 1, 2)
        return cls(coefficients.reshape(n_layers, n_fits, n_outputs, -1), weights[..., -1])

    def __call__(self, products: Array) -> Array:
        """(K, M, s, C) of s items' inner products (K, s, t) with the training items."""
        return products[:, None] @ np.swapaxes(self.coefficients, 2, 3) + self.intercepts[:, :, None, :]
