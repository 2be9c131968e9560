"""Parametric probes: what a linear read-out of each layer can tell of a label, on items it has not seen.

1. Folds never split a group and are drawn without a look at the labels. The probe is multinomial logistic regression
   (L2), or ridge where the label is a number; its strength of regularisation is chosen by inner folds of the training
   fold alone.
2. Embeddings are centred on the training fold's mean and divided by one scale, its items' root mean squared norm.
3. With n items and d >> n the solution lies in the span of the training items, so everything happens in the
   n-dimensional row space, in the eigenvectors of the training fold's Gram matrix: the same solution, at a cost that
   does not depend on d. The unpenalised intercept is one more direction, orthogonal to the others.
4. Chance and p come from a least-squares probe of one strength that is set without looking at labels, on the same
   folds: it is one linear map from labels to predictions, the same for observed and permuted ones.
5. Either probe names the class that gains most: whose linear score rises furthest above what its share of the training
   fold alone would give it (for the logistic probe the log of that share, for least squares the share itself). This
   aims at balanced accuracy, which is therefore the score of classes. To name the likeliest class instead would, where
   embeddings say little, name the commonest one, which is the rarest among those held out.
6. Labels are permuted in their own unit: between groups where every group has one label, else within groups.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from iclviz.analysis.rounding import missing_layers
from iclviz.analysis.statistics import (
    PValues,
    bootstrap_weights,
    mean_of_known,
    p_values,
    percentile_interval,
    permutations,
    ratio_samples,
    share_interval,
    sums_by_unit,
    too_few,
    unit_codes,
)
from iclviz.errors import AnalysisError
from iclviz.recording import Array

STRENGTHS = 10.0 ** np.arange(1, -4, -1)
"""Candidate penalties, strongest first; the loss is summed over items whose mean squared norm is 1."""

INNER_FOLDS = 3
_LEAST_SQUARES_STRENGTH = 1.0
_TOLERANCE = 1e-4
_INNER_TOLERANCE = 1e-2
_MAX_STEPS = 1000
_BLOCK = 4_000_000

Folds = list[tuple[Array, Array]]


@dataclass(frozen=True, eq=False)
class Probe:
    """How well a label is read from each layer; arrays (L + 1,), NaN for a layer in which all items are the same.

    Attributes
    ----------
    measure: "balanced accuracy" or "R2".
    score: held-out accuracy as the mean over classes, equal to plain accuracy where classes are; or R2 against the
        training fold's mean. An item whose class has no training item counts as wrong.
    low, high: its 95 % interval over held-out items, no test against chance: Wilson's for classes, on the number of
        independent items that groups and unequal classes leave; for R2 from resampling held-out scores by group.
    accuracy: plain held-out accuracy, of the same answers; None for a number.
    least_squares: the score of the least-squares probe, by the same measure on the same folds.
    chance: its mean over permuted labels.
    p, p_corrected, p_fdr: one-sided, of the least-squares probe; alone, by the maximum over layers, by
        Benjamini-Hochberg.
    n_permutations: permutations used; n_units: groups; n_folds: folds; n_classes: 0 for a number.
    unit: what was permuted: "groups" or "items within groups" ("items" without groups).
    reason: why values are missing in every layer, or None.
    missing: layer -> why it has no value.
    """

    measure: Literal["balanced accuracy", "R2"]
    score: Array
    low: Array
    high: Array
    accuracy: Array | None
    least_squares: Array
    chance: Array
    p: Array
    p_corrected: Array
    p_fdr: Array
    n_permutations: int
    n_units: int
    n_folds: int
    n_classes: int
    unit: str
    reason: str | None
    missing: Mapping[int, str]


# --- Folds --------------------------------------------------------------------------------------------------------


def _folds(codes: Array, n_folds: int, seed: int) -> Folds:
    """Folds of whole groups, without a look at the labels, so that they suit permuted ones as well."""
    from sklearn.model_selection import GroupKFold  # here, since whoever draws a probe need not wait for it

    splitter = GroupKFold(min(n_folds, len(np.unique(codes))), shuffle=True, random_state=seed)
    return list(splitter.split(codes, groups=codes))


def _can_split(y: Array, codes: Array, is_number: bool) -> bool:
    counts = np.unique(y, return_counts=True)[1]
    return len(np.unique(codes)) > 1 and (is_number or (len(counts) > 1 and int(counts.max()) > 1))


# --- Row space ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Rows:
    """A fold's items in the row space of its training items, for K layers, r <= t training items' directions.

    train (K, t, r + 1), test (K, s, r + 1): coordinates, the last one the intercept's 1; squares (K, r + 1): the sum
    of squares of each training coordinate; kept (K, r + 1): 1 for a penalised direction, 0 for the intercept.
    """

    train: Array
    test: Array
    squares: Array
    kept: Array


def _gram(x: Array) -> Array:
    """(K, n, n) inner products of the items of each layer of x (n, K, d), around the mean of all items.

    The shift changes nothing after a fold's own centring, but keeps a large common mean from costing digits.
    """
    layers = (x[:, layer].astype(np.float64) for layer in range(x.shape[1]))
    return np.stack([centred @ centred.T for centred in (layer - layer.mean(axis=0) for layer in layers)])


def _centred_gram(gram: Array, train: Array, rows: Array) -> Array:
    """(K, rows, train) inner products around the training items' mean, whose mean squared norm becomes 1."""
    inside = gram[:, train[:, None], train]
    means = inside.mean(axis=2)
    centre = means.mean(axis=1)[:, None, None]
    scale = np.trace(inside, axis1=1, axis2=2) / len(train) - centre[:, 0, 0]
    crossed = gram[:, rows[:, None], train]
    centred = crossed - crossed.mean(axis=2, keepdims=True) - means[:, None, :] + centre
    return np.asarray(centred / np.where(scale > 0, scale, 1.0)[:, None, None])


def _with_intercept(coordinates: Array) -> Array:
    return np.concatenate([coordinates, np.ones((*coordinates.shape[:2], 1))], axis=2)


def _rows(gram: Array, train: Array, test: Array) -> _Rows:
    values, vectors = np.linalg.eigh(_centred_gram(gram, train, train))
    kept = values > 1e-10 * values.max(axis=1, keepdims=True)
    squares = np.where(kept, values, 0.0)
    roots = np.sqrt(squares)[:, None, :]
    inverse = np.divide(1.0, roots, out=np.zeros_like(roots), where=roots > 0)
    inside, outside = vectors * roots, _centred_gram(gram, train, test) @ vectors * inverse
    intercept = np.full((len(gram), 1), float(len(train)))
    return _Rows(
        train=_with_intercept(inside),
        test=_with_intercept(outside),
        squares=np.hstack([squares, intercept]),
        kept=np.hstack([np.ones_like(squares), np.zeros_like(intercept)]),
    )


# --- The two probes -----------------------------------------------------------------------------------------------


def _softmax(logits: Array) -> Array:
    """Probabilities over the last axis."""
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=-1, keepdims=True))


def _logistic(rows: _Rows, targets: Array, strengths: Array, tolerance: float) -> Array:
    """Held-out class probabilities (K, P, s, C) of L2 multinomial logistic regression with strengths (K, P).

    Minimises the summed cross-entropy + strength / 2 * squared weights by accelerated steps against Boehning's bound
    of the curvature (1992), which is diagonal in these coordinates, with a restart where momentum runs uphill.

    Parameters
    ----------
    targets: (t, C) one-hot labels of the training items; a class without a training item gets probability 0.
    tolerance: largest slope of the loss, summed over items, at which to stop.
    """
    inputs, held_out = rows.train[:, None], rows.test[:, None]
    transposed = np.ascontiguousarray(np.swapaxes(rows.train, 1, 2))[:, None]
    penalty = strengths[:, :, None, None] * rows.kept[:, None, :, None]
    curvature = np.maximum(rows.squares[:, None, :, None] / 2 + penalty, 1e-12)
    unseen = np.where(targets.any(axis=0), 0.0, -np.inf)
    weights = np.zeros((*strengths.shape, inputs.shape[-1], targets.shape[1]))
    ahead, pace = weights, np.ones((*strengths.shape, 1, 1))
    for _ in range(_MAX_STEPS):
        gradient = transposed @ (_softmax(inputs @ ahead + unseen) - targets) + penalty * ahead
        moved = ahead - gradient / curvature
        step = moved - weights
        if np.abs(gradient).max() < tolerance:
            break
        uphill = (gradient * step).sum(axis=(2, 3), keepdims=True) > 0
        pace = np.where(uphill, 1.0, pace)
        next_pace = (1 + np.sqrt(1 + 4 * pace**2)) / 2
        ahead, weights, pace = moved + np.where(uphill, 0.0, (pace - 1) / next_pace) * step, moved, next_pace
    return _softmax(held_out @ moved + unseen)


def _ridge(rows: _Rows, targets: Array, strengths: Array, tolerance: float) -> Array:
    """Held-out predictions (K, P, s, 1) of ridge regression on targets (t, 1) with strengths (K, P); exact."""
    pulled = np.swapaxes(rows.train, 1, 2) @ targets
    shrunk = rows.squares[:, None, :] + strengths[:, :, None] * rows.kept[:, None, :]
    inverse = np.divide(1.0, shrunk, out=np.zeros_like(shrunk), where=shrunk > 0)
    return np.asarray(rows.test[:, None] @ (pulled[:, None] * inverse[..., None]))


def _cross_entropy(predicted: Array, targets: Array) -> Array:
    """(K, P) summed over held-out items."""
    return np.asarray(-(targets * np.log(np.maximum(predicted, 1e-12))).sum(axis=(2, 3)))


def _squared_error(predicted: Array, targets: Array) -> Array:
    """(K, P) summed over held-out items."""
    return np.asarray(((predicted - targets) ** 2).sum(axis=(2, 3)))


@dataclass(frozen=True)
class _Model:
    """A probe: how it predicts, and what its inner folds minimise."""

    fit: Callable[[_Rows, Array, Array, float], Array]
    loss: Callable[[Array, Array], Array]


_CLASSIFIER = _Model(_logistic, _cross_entropy)
_REGRESSOR = _Model(_ridge, _squared_error)


def _chosen_strengths(model: _Model, gram: Array, train: Array, inner: Folds, targets: Array) -> Array:
    """(K, 1) the strength with the least loss on the inner folds, the strongest of equals."""
    candidates = np.tile(STRENGTHS, (len(gram), 1))
    losses = np.zeros(candidates.shape)
    for fitted, held_out in inner:
        rows = _rows(gram, train[fitted], train[held_out])
        predicted = model.fit(rows, targets[train[fitted]], candidates, _INNER_TOLERANCE)
        losses += model.loss(predicted, targets[train[held_out]])
    return np.take_along_axis(candidates, np.argmin(losses, axis=1)[:, None], axis=1)


def _held_out(model: _Model, gram: Array, y: Array, targets: Array, codes: Array, folds: Folds, seed: int) -> Array:
    """(K, n, C) what the probe that has not seen its group says of each item: its number, or each class's gain."""
    predicted = np.empty((len(gram), *targets.shape))
    for train, test in folds:
        can_split = _can_split(y[train], codes[train], model is _REGRESSOR)
        inner = _folds(codes[train], INNER_FOLDS, seed) if can_split else []
        strengths = _chosen_strengths(model, gram, train, inner, targets)
        said = model.fit(_rows(gram, train, test), targets[train], strengths, _TOLERANCE)[:, 0]
        predicted[:, test] = _gains(said, targets[train].mean(axis=0)) if model is _CLASSIFIER else said
    return predicted


def _gains(probabilities: Array, shares: Array) -> Array:
    """How far the log-probability of each class (..., C) rises above that of its share (C,) of the training items."""
    seen = shares > 0
    logs = np.log(np.maximum(probabilities, np.finfo(float).tiny))
    return np.where(seen, logs - np.log(np.where(seen, shares, 1.0)), -np.inf)


# --- Chance -------------------------------------------------------------------------------------------------------


def _hat(gram: Array, folds: Folds) -> tuple[Array, Array]:
    """The least-squares probe as linear maps of labels (n,), for every item held out.

    Returns
    -------
    (K, n, n) to the prediction less the training mean; (n, n) to the training mean.
    """
    hat, means = np.zeros(gram.shape), np.zeros(gram.shape[1:])
    for train, test in folds:
        inside = _centred_gram(gram, train, train) + _LEAST_SQUARES_STRENGTH * np.eye(len(train))
        slopes = np.linalg.solve(inside, np.swapaxes(_centred_gram(gram, train, test), 1, 2))
        hat[:, test[:, None], train] = np.swapaxes(slopes - slopes.mean(axis=1, keepdims=True), 1, 2)
        means[np.ix_(test, train)] = 1 / len(train)
    return hat, means


def _balanced_accuracies(hat: Array, means: Array, labels: Array) -> Array:
    """(B, K) held-out balanced accuracy of the least-squares probe for labels (B, n), numbers of classes."""
    one_hot = np.eye(int(labels.max()) + 1)[labels]
    flat = one_hot.transpose(1, 0, 2).reshape(labels.shape[1], -1)
    unseen = np.where(means @ flat > 0, 0.0, -np.inf)
    weights = np.stack([_class_weights(row) for row in labels])
    said = ((layer @ flat + unseen).reshape(*labels.T.shape, -1).argmax(axis=2).T for layer in hat)
    return np.stack([((classes == labels) * weights).sum(axis=1) for classes in said], axis=1)


def _r_squares(hat: Array, means: Array, labels: Array) -> Array:
    """(B, K) held-out R2 of the least-squares probe for labels (B, n), numbers."""
    around = labels - labels @ means.T
    total = (around**2).sum(axis=1)
    return np.stack([1 - ((around - labels @ layer.T) ** 2).sum(axis=1) / total for layer in hat], axis=1)


def _permuted_labels(y: Array, codes: Array, n_permutations: int, seed: int) -> tuple[Array, str, int]:
    """Labels (B, n) permuted in their own unit, the unit's name, and how many units can move."""
    rng = np.random.default_rng(seed)
    n_groups = int(codes.max()) + 1
    values = np.unique(y, return_inverse=True)[1]
    first = np.unique(codes, return_index=True)[1]
    if np.array_equal(values, values[first][codes]):
        moved = first[permutations(values[first], np.zeros(n_groups, dtype=int), n_permutations, rng)]
        return y[moved[:, codes]], "items" if n_groups == len(y) else "groups", n_groups
    varied = sum(len(np.unique(values[codes == code])) > 1 for code in range(n_groups))
    return y[permutations(values, codes, n_permutations, rng)], "items within groups", varied


@dataclass(frozen=True, eq=False)
class _Chance:
    """The least-squares probe: its score (K,), mean over permuted labels (K,), p, permutations, unit, why no p."""

    observed: Array
    score: Array
    p: PValues
    n_permutations: int
    unit: str
    reason: str | None


def _chance(
    gram: Array, y: Array, codes: Array, n_classes: int, folds: Folds, n_permutations: int, seed: int
) -> _Chance:
    labels, unit, n_units = _permuted_labels(y, codes, n_permutations, seed)
    statistic = _balanced_accuracies if n_classes else _r_squares
    hat, means = _hat(gram, folds)
    step = max(1, _BLOCK // (len(y) * max(n_classes, 1)))
    parts = [statistic(hat, means, labels[start : start + step]) for start in range(0, len(labels), step)]
    null, reason = np.vstack([np.empty((0, len(gram))), *parts]), too_few(n_units)
    observed = statistic(hat, means, y[None])[0]
    p = PValues.absent(len(gram)) if reason else p_values(observed, null)
    return _Chance(observed, mean_of_known(null), p, len(labels), unit, reason)


# --- The probe ----------------------------------------------------------------------------------------------------


def _class_weights(y: Array) -> Array:
    """(n,) what each item counts for balanced accuracy: every class alike, 1 in all."""
    _, values, counts = np.unique(y, return_inverse=True, return_counts=True)
    return np.asarray(1 / (len(counts) * counts[values]))


def _class_score(predicted: Array, y: Array, codes: Array) -> dict[str, Array]:
    """Balanced accuracy, its interval, and plain accuracy, each (K,), of gains (K, n, C)."""
    right = (predicted.argmax(axis=2) == y).T.astype(float)
    weights = _class_weights(y)[:, None]
    low, high = share_interval(right, codes, weights)
    return {"score": (right * weights).sum(axis=0), "low": low, "high": high, "accuracy": right.mean(axis=0)}


def _number_score(
    predicted: Array, y: Array, codes: Array, folds: Folds, n_bootstrap: int, seed: int
) -> dict[str, Array]:
    """R2 and its interval, each (K,), of predictions (K, n, 1): groups are resampled after all folds were fitted."""
    baseline = np.empty(len(y))
    for train, test in folds:
        baseline[test] = y[train].mean()
    total = np.tile(((y - baseline) ** 2)[:, None], (1, len(predicted)))
    explained = total - ((predicted[:, :, 0] - y) ** 2).T
    n_units = int(codes.max()) + 1
    above, below = (sums_by_unit(part, codes, n_units) for part in (explained, total))
    weights = bootstrap_weights(n_units, n_bootstrap, np.random.default_rng(seed))
    low, high = percentile_interval(ratio_samples(above, below, weights))
    return {"score": ratio_samples(above, below, np.ones((1, n_units)))[0], "low": low, "high": high}


@dataclass(frozen=True, eq=False)
class _Label:
    """A label as numbers: which items have it, their values, and what a probe is fitted to (m, C)."""

    known: Array
    values: Array
    targets: Array
    n_classes: int

    @classmethod
    def of(cls, y: Array) -> "_Label":
        if np.issubdtype(y.dtype, np.floating):
            known = np.isfinite(y)
            return cls(known, y[known].astype(float), y[known, None].astype(float), 0)
        names, values = np.unique(y, return_inverse=True)
        return cls(np.ones(len(y), dtype=bool), values, np.eye(len(names))[values], len(names))

    @property
    def model(self) -> _Model:
        return _CLASSIFIER if self.n_classes else _REGRESSOR


def _unusable(label: _Label, codes: Array, layers: Array) -> str | None:
    """Why nothing can be probed, or None; layers (L + 1,) are those in which items differ."""
    if len(np.unique(label.values)) < 2:
        return "the label has one value only: there is nothing to tell apart"
    if not _can_split(label.values, codes, not label.n_classes):
        short = "fewer than 2 groups" if len(np.unique(codes)) < 2 else "every item has a class of its own"
        return f"{short}: no item can be held out"
    return None if layers.any() else "no layer has embeddings that differ between items and are finite"


def _result(
    label: _Label,
    codes: Array,
    layers: Array,
    arrays: Mapping[str, Array],
    *,
    missing: Mapping[int, str],
    n_permutations: int = 0,
    n_folds: int = 0,
    unit: str = "",
    reason: str | None,
) -> Probe:
    """The probe's result; a layer that was not probed is NaN in every array."""

    def filled(name: str) -> Array:
        values = np.full(len(layers), np.nan)
        values[layers] = arrays.get(name, np.nan)
        return values

    return Probe(
        measure="balanced accuracy" if label.n_classes else "R2",
        score=filled("score"),
        low=filled("low"),
        high=filled("high"),
        accuracy=filled("accuracy") if label.n_classes else None,
        least_squares=filled("least_squares"),
        chance=filled("chance"),
        p=filled("p"),
        p_corrected=filled("p_corrected"),
        p_fdr=filled("p_fdr"),
        n_permutations=n_permutations,
        n_units=len(np.unique(codes)),
        n_folds=n_folds,
        n_classes=label.n_classes,
        unit=unit,
        reason=reason,
        missing=missing,
    )


def probe(
    x: Array,
    y: Array | Sequence[object],
    groups: Array | Sequence[object] | None = None,
    *,
    n_folds: int = 5,
    n_permutations: int = 1000,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> Probe:
    """How well a label is read from each layer's embeddings, on held-out groups.

    Parameters
    ----------
    x: (n, L + 1, d) embeddings.
    y: (n,) labels; floats are numbers (ridge, R2; items with NaN are left out), all else are classes.
    groups: (n,) what folds keep whole; None = single items, right only where items share no text.
    n_folds: at most; fewer where there are fewer groups.
    n_permutations: label permutations for chance and p.
    n_bootstrap: resamples of groups for the interval of R2.
    seed: draws folds, permutations and resamples.

    Raises
    ------
    AnalysisError: shapes do not fit.
    """
    x, labels = np.asarray(x), np.asarray(y)
    if x.ndim != 3 or labels.shape != x.shape[:1]:
        raise AnalysisError(
            f"Embeddings of shape {x.shape} do not fit labels of shape {labels.shape}.",
            "Give (items, layers, dimensions) and one label for each item.",
        )
    label = _Label.of(labels)
    x, codes = x[label.known], unit_codes(unit_codes(groups, len(x))[label.known], int(label.known.sum()))
    missing = missing_layers(x)
    layers = np.array([layer not in missing for layer in range(x.shape[1])])
    if reason := _unusable(label, codes, layers):
        return _result(label, codes, layers, {}, missing=missing, reason=reason)
    gram, y = _gram(x[:, layers]), label.values
    folds = _folds(codes, n_folds, seed)
    predicted = _held_out(label.model, gram, y, label.targets, codes, folds, seed)
    score = (
        _class_score(predicted, y, codes)
        if label.n_classes
        else _number_score(predicted, y, codes, folds, n_bootstrap, seed)
    )
    chance = _chance(gram, y, codes, label.n_classes, folds, n_permutations, seed)
    return _result(
        label,
        codes,
        layers,
        {**score, "least_squares": chance.observed, "chance": chance.score, **vars(chance.p)},
        missing=missing,
        n_permutations=chance.n_permutations,
        n_folds=len(folds),
        unit=chance.unit,
        reason=chance.reason,
    )
