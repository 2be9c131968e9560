"""Fits on the training fold alone: its strength of regularisation, its components, and what is held out of it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from iclviz.analysis.probing.folds import Folds, Split
from iclviz.analysis.probing.labels import Label, can_split
from iclviz.analysis.probing.logistic import COARSE, FINE, Precision
from iclviz.analysis.probing.row_space import ReadOut, Rows, inner_products, rows
from iclviz.analysis.progress import steps
from iclviz.errors import AnalysisError
from iclviz.recording import Array

STRENGTHS = 10.0 ** np.arange(1, -4, -1)
"""Candidate penalties, strongest first; the loss is summed over items whose mean squared norm is 1."""

LEAST_SQUARES_STRENGTH = 1.0
"""The penalty of the least-squares probe, set without a look at labels."""

INNER_FOLDS = 3


@dataclass(frozen=True)
class Settings:
    """How a probe is fitted.

    Attributes
    ----------
    n_folds: at most.
    strength: of every fold; None = chosen by inner folds.
    dimensions: leading principal components to keep; None = all.
    seed: draws folds.

    Raises
    ------
    AnalysisError: a number that makes no sense.
    """

    n_folds: int
    strength: float | None
    dimensions: int | None
    seed: int

    def __post_init__(self) -> None:
        if self.n_folds < 2:
            raise AnalysisError(f"A probe cannot hold out items with {self.n_folds} folds.", "Take 2 or more.")
        if self.strength is not None and not 0 < self.strength < np.inf:
            raise AnalysisError(
                f"A probe's strength of regularisation cannot be {self.strength}.",
                "Give a number above 0, or None to have it chosen.",
            )
        if self.dimensions is not None and self.dimensions < 1:
            raise AnalysisError(
                f"A probe cannot read {self.dimensions} principal components.", "Give 1 or more, or None for all."
            )


@dataclass(frozen=True, eq=False)
class Fold:
    """A training fold in its row space, the items that are held out, and the strength (K, 1) of each layer."""

    train: Array
    test: Array
    rows: Rows
    strengths: Array

    def read_out(self, label: Label, targets: Array, precision: Precision = FINE) -> ReadOut:
        """The probes fitted to M targets (M, n, C) of all items, with the fold's strengths."""
        strengths = np.repeat(self.strengths, len(targets), axis=1)
        return label.model.fit(self.rows, targets[:, self.train], strengths, precision)

    def answers(self, label: Label, targets: Array, products: Array, precision: Precision = FINE) -> Array:
        """(K, M, s, C) what probes of M targets (M, n, C) say of items seen as products (K, s, t)."""
        return label.model.answers(self.read_out(label, targets, precision)(products), targets[:, self.train])


def fitted_folds(
    label: Label, gram: Array, codes: Array, folds: Folds, settings: Settings, split: Split
) -> Iterator[Fold]:
    """Each fold with what its training items alone decide; inner folds are split as the outer ones are."""
    for train, test in steps(folds, "fitting probes"):
        if settings.strength is None:
            strengths = _chosen_strengths(label, gram, train, _inner(label, codes, train, settings, split), settings)
        else:
            strengths = np.full((len(gram), 1), settings.strength)
        yield Fold(train, test, rows(gram, train, settings.dimensions), strengths)


def _inner(label: Label, codes: Array, train: Array, settings: Settings, split: Split) -> Folds:
    possible = can_split(label.values[train], codes[train], not label.classes)
    return split(codes[train], INNER_FOLDS, settings.seed) if possible else []


def _chosen_strengths(label: Label, gram: Array, train: Array, inner: Folds, settings: Settings) -> Array:
    """(K, 1) the strength with the least loss on the inner folds, the strongest of equals."""
    candidates = np.tile(STRENGTHS, (len(gram), 1))
    losses = np.zeros(candidates.shape)
    for fitted, held_out in ((train[fitted], train[held_out]) for fitted, held_out in inner):
        space = rows(gram, fitted, settings.dimensions)
        read_out = label.model.fit(space, label.targets[None, fitted], candidates, COARSE)
        losses += label.model.loss(read_out(inner_products(gram, fitted, held_out)), label.targets[held_out])
    return np.take_along_axis(candidates, np.argmin(losses, axis=1)[:, None], axis=1)
