"""Chance and p of a probe, from a least-squares probe that is one linear map from labels to predictions."""

from dataclasses import dataclass

import numpy as np

from iclviz.analysis.probing.fitting import LEAST_SQUARES_STRENGTH
from iclviz.analysis.probing.row_space import Rows
from iclviz.analysis.probing.scores import class_weights
from iclviz.analysis.progress import steps
from iclviz.analysis.statistics import PValues, mean_of_known, p_values, permutations, too_few
from iclviz.recording import Array

_BLOCK = 4_000_000


@dataclass(frozen=True, eq=False)
class Hat:
    """The least-squares probe of n items, each held out once, as maps of labels (n,).

    slopes (K, n, n): to the prediction less the training mean; means (n, n): to the training mean.
    """

    slopes: Array
    means: Array

    @classmethod
    def empty(cls, n_layers: int, n: int) -> "Hat":
        """The hat before any fold is added."""
        return cls(np.zeros((n_layers, n, n)), np.zeros((n, n)))

    def add(self, train: Array, test: Array, rows: Rows, products: Array) -> None:
        """Fill in a fold, whose held-out items are seen as products (K, s, t)."""
        squares, axes = rows.squares[:, None, :-1], rows.axes
        inverse = (axes * (squares / (squares + LEAST_SQUARES_STRENGTH))) @ np.swapaxes(axes, 1, 2)
        slopes = products @ inverse
        self.slopes[:, test[:, None], train] = slopes - slopes.mean(axis=2, keepdims=True)
        self.means[np.ix_(test, train)] = 1 / len(train)


def balanced_accuracies(hat: Hat, labels: Array) -> Array:
    """(B, K) held-out balanced accuracy of the least-squares probe for labels (B, n), numbers of classes."""
    one_hot = np.eye(int(labels.max()) + 1)[labels]
    flat = one_hot.transpose(1, 0, 2).reshape(labels.shape[1], -1)
    unseen = np.where(hat.means @ flat > 0, 0.0, -np.inf)
    weights = np.stack([class_weights(row) for row in labels])
    predicted = ((layer @ flat + unseen).reshape(*labels.T.shape, -1).argmax(axis=2).T for layer in hat.slopes)
    return np.stack([((classes == labels) * weights).sum(axis=1) for classes in predicted], axis=1)


def r_squares(hat: Hat, labels: Array) -> Array:
    """(B, K) held-out R2 of the least-squares probe for labels (B, n), numbers."""
    around = labels - labels @ hat.means.T
    total = (around**2).sum(axis=1)
    return np.stack([1 - ((around - labels @ layer.T) ** 2).sum(axis=1) / total for layer in hat.slopes], axis=1)


def permuted_labels(
    y: Array, codes: Array, n_permutations: int, seed: int, copies: Array | None = None
) -> tuple[Array, str, int]:
    """Labels (B, n) permuted in their own unit, the unit's name, and how many units can move.

    copies: (n,) the number of the thing that each item is a copy of; None = no item is one. Inside a group copies move
        together, or, where the label tells them apart, trade places with each other.
    """
    rng = np.random.default_rng(seed)
    n_groups = int(codes.max()) + 1
    values = np.unique(y, return_inverse=True)[1]
    first = np.unique(codes, return_index=True)[1]
    if np.array_equal(values, values[first][codes]):
        moved = first[permutations(values[first], np.zeros(n_groups, dtype=int), n_permutations, rng)]
        return y[moved[:, codes]], "items" if n_groups == len(y) else "groups", n_groups
    if copies is None:
        places = permutations(values, codes, n_permutations, rng)
        return y[places], "items within groups", _n_varied(values, codes)
    of_copies = np.unique(copies, return_index=True)[1]
    if not np.array_equal(values, values[of_copies][copies]):
        return y[permutations(values, copies, n_permutations, rng)], "items within units", _n_varied(values, copies)
    moved = of_copies[permutations(values[of_copies], codes[of_copies], n_permutations, rng)]
    return y[moved[:, copies]], "units within groups", _n_varied(values, codes)


def _n_varied(values: Array, codes: Array) -> int:
    """How many groups have items of different values."""
    return sum(len(np.unique(values[codes == code])) > 1 for code in range(int(codes.max()) + 1))


@dataclass(frozen=True, eq=False)
class Chance:
    """The least-squares probe: its score (K,), mean over permuted labels (K,), p, permutations, unit, why no p."""

    observed: Array
    score: Array
    p: PValues
    n_permutations: int
    unit: str
    reason: str | None


def chance(
    hat: Hat, y: Array, codes: Array, is_number: bool, n_permutations: int, seed: int, copies: Array | None = None
) -> Chance:
    """What the least-squares probe reaches with labels y (n,) and with permuted ones."""
    labels, unit, n_units = permuted_labels(y, codes, n_permutations, seed, copies)
    statistic = r_squares if is_number else balanced_accuracies
    step = max(1, _BLOCK // (len(y) * (1 if is_number else int(y.max()) + 1)))
    starts = steps(range(0, len(labels), step), "permuting labels")
    parts = [statistic(hat, labels[start : start + step]) for start in starts]
    null, reason = np.vstack([np.empty((0, len(hat.slopes))), *parts]), too_few(n_units)
    observed = statistic(hat, y[None])[0]
    p = PValues.absent(len(hat.slopes)) if reason else p_values(observed, null)
    return Chance(observed, mean_of_known(null), p, len(labels), unit, reason)
