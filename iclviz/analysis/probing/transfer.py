"""Transfer of a probe: trained on the embeddings of one condition, or layer, and tested on another's.

Both sides hold the same items. A probe is trained on one side's training fold and read off the other side's items of
the held-out groups, so that a held-out item is new to it in either. Each side is centred on the mean of its own
training items and divided by their own scale: what is asked is whether the label has the same direction on both
sides, and a mere shift or stretch between them does not count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from iclviz.analysis.probing.fitting import Fold, Settings, fitted_folds
from iclviz.analysis.probing.folds import group_folds
from iclviz.analysis.probing.jackknife import Jackknife
from iclviz.analysis.probing.labels import Subject
from iclviz.analysis.probing.result import ScoreName
from iclviz.analysis.probing.row_space import ReadOut, gram, standardised
from iclviz.analysis.probing.scores import measure, point_score, scores
from iclviz.analysis.results import Estimates
from iclviz.recording import Array


@dataclass(frozen=True, eq=False)
class Transfer(Estimates):
    """How well a label is read from each layer by a probe of another condition; arrays (L + 1,), NaN where neither can.

    Attributes
    ----------
    measure: "balanced accuracy" or "R2".
    estimate: the score, as of a probe, on the condition that was tested; low, high: its 95 % interval over held-out
        items.
    n_units: groups; n_folds: folds.
    reason: why values are missing in every layer, or None.
    missing: layer -> why it has no value.
    """

    measure: ScoreName
    n_units: int
    n_folds: int
    reason: str | None
    missing: Mapping[int, str]

    @property
    def score(self) -> Array:
        """The estimate: how well the label is read."""
        return self.estimate


def probe_transfer(
    x_train: Array,
    y: Array | Sequence[object],
    x_test: Array,
    groups: Array | Sequence[object] | None = None,
    *,
    strength: float | None = None,
    dimensions: int | None = None,
    n_folds: int = 5,
    seed: int = 0,
) -> Transfer:
    """How well probes of one condition read a label from the same layers of another, on held-out groups.

    A probe trained on A is applied to B after each has been centred on its own training items' mean and divided by
    their own scale. With A = B it is the score of `probe`.

    Parameters
    ----------
    x_train, x_test: (n, L + 1, d) embeddings of the same items in the same order, A and B.
    y: (n,) labels, as of `probe`.
    groups: (n,) what folds keep whole, in A and B alike.
    strength, dimensions, n_folds, seed: as of `probe`; strength and components are chosen on A.

    Raises
    ------
    AnalysisError: shapes do not fit, or strength, dimensions or n_folds make no sense.
    """
    x_train, x_test = np.asarray(x_train), np.asarray(x_test)
    settings = Settings(n_folds, strength, dimensions, seed)
    subject = Subject.of(y, groups, x_train, x_test)
    if subject.reason:
        return _result(subject, {}, 0)
    label, codes = subject.label, subject.codes
    x_train, x_test = subject.seen(x_train), subject.seen(x_test)
    folds = group_folds(codes, n_folds, seed)
    answers = np.empty((x_train.shape[1], *label.targets.shape))
    jackknife = Jackknife(label, codes, len(answers))
    for fold in fitted_folds(label, gram(x_train), codes, folds, settings, group_folds):
        seen = _crossed(x_train, x_test, fold)
        answers[:, fold.test] = fold.answers(label, label.targets[None], seen)[:, 0]
        if not label.classes:
            jackknife.add(fold, seen)
    return _result(subject, scores(label, answers, codes, folds, jackknife), len(folds))


def _crossed(x_train: Array, x_test: Array, fold: Fold) -> Array:
    """(K, s, t) inner products of one side's held-out items with the other's training items, each side in its units."""
    sides = zip(x_test.swapaxes(0, 1), x_train.swapaxes(0, 1), strict=True)
    parts = (
        standardised(tested, fold.train)[fold.test] @ standardised(trained, fold.train)[fold.train].T
        for tested, trained in sides
    )
    return np.stack(list(parts))


def _result(subject: Subject, arrays: Mapping[str, Array], n_folds: int) -> Transfer:
    nothing = np.full(int(subject.layers.sum()), np.nan)
    score, low, high = (subject.over_layers(arrays.get(name, nothing)) for name in ("score", "low", "high"))
    n_units = len(np.unique(subject.codes))
    return Transfer(score, low, high, measure(subject.label), n_units, n_folds, subject.reason, subject.missing)


def layer_transfer(
    x: Array,
    y: Array | Sequence[object],
    groups: Array | Sequence[object] | None = None,
    *,
    strength: float | None = None,
    dimensions: int | None = None,
    n_folds: int = 5,
    seed: int = 0,
) -> Array:
    """(L + 1, L + 1) how well a probe of one layer (row) reads a label from another (column), on held-out groups.

    A probe trained on layer l is applied to layer m after each has been centred on its own training items' mean and
    divided by their own scale; strength and components are chosen on layer l. The diagonal is the score of `probe`.
    NaN where either layer has no value, and everywhere if the label cannot be probed (`probe` says why).

    Parameters
    ----------
    x: (n, L + 1, d) embeddings.
    y: (n,) labels, as of `probe`.
    groups: (n,) what folds keep whole.
    strength, dimensions, n_folds, seed: as of `probe`.

    Raises
    ------
    AnalysisError: shapes do not fit, or strength, dimensions or n_folds make no sense.
    """
    x = np.asarray(x)
    settings = Settings(n_folds, strength, dimensions, seed)
    subject = Subject.of(y, groups, x)
    matrix = np.full((x.shape[1], x.shape[1]), np.nan)
    if subject.reason:
        return matrix
    x, label, folds = subject.seen(x), subject.label, group_folds(subject.codes, n_folds, seed)
    n_layers = x.shape[1]
    answers = np.empty((n_layers, n_layers, *label.targets.shape))
    for fold in fitted_folds(label, gram(x), subject.codes, folds, settings, group_folds):
        read_out = fold.read_out(label, label.targets[None])
        directions = np.hstack([_directions(read_out, x, layer, fold) for layer in range(n_layers)])
        for tested in range(n_layers):
            outputs = standardised(x[:, tested], fold.train)[fold.test] @ directions
            by_layer = outputs.reshape(len(fold.test), n_layers, 1, -1).transpose(1, 2, 0, 3)
            by_layer = by_layer + read_out.intercepts[:, :, None, :]
            answers[:, tested, fold.test] = label.model.answers(by_layer, label.targets[None, fold.train])[:, 0]
    rows = [point_score(label, label.values, by_tested, folds) for by_tested in answers]
    matrix[np.ix_(subject.layers, subject.layers)] = rows
    return matrix


def _directions(read_out: ReadOut, x: Array, layer: int, fold: Fold) -> Array:
    """(d, C) the probe of a layer of x (n, K, d) in all its dimensions, as a sum of its training items."""
    items = standardised(x[:, layer], fold.train)[fold.train]
    return np.asarray(items.T @ read_out.coefficients[layer, 0].T)
