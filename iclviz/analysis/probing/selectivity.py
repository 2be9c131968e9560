"""Selectivity of a probe: what it reads of a label beyond what it would reach by memorising types of items.

Hewitt and Liang, Designing and Interpreting Probes with Control Tasks (2019). A type is what items have in common
that a probe could memorise, the same query text or the same group.

1. A control task gives every type the label of a random type: a random item of each type lends its label, and these
   are permuted among types, so that they come from the label's own distribution.
2. The probe of the label and that of the control task, with the same strength, are scored on the same folds, over
   which each type's items are spread, so that memorising types would do for the control task. The strength is chosen
   for the label, on inner folds of the same kind.
3. Selectivity is the label's score minus the mean one of several control tasks.

Items whose type does not repeat are left out: nothing could be memorised for them.
"""

from dataclasses import dataclass

import numpy as np

from iclviz.analysis.probing.fitting import Settings, fitted_folds
from iclviz.analysis.probing.folds import type_folds
from iclviz.analysis.probing.labels import Label, unusable
from iclviz.analysis.probing.logistic import COARSE
from iclviz.analysis.probing.row_space import inner_products
from iclviz.analysis.probing.scores import point_score
from iclviz.recording import Array


@dataclass(frozen=True, eq=False)
class Selectivity:
    """Selectivity and the mean score of the control tasks, each (K,), or why there are none."""

    selectivity: Array
    control_score: Array
    reason: str | None

    @classmethod
    def absent(cls, n_layers: int, reason: str) -> "Selectivity":
        """NaN for every layer."""
        return cls(np.full(n_layers, np.nan), np.full(n_layers, np.nan), reason)


def selectivity(label: Label, gram: Array, types: Array, n_controls: int, settings: Settings) -> Selectivity:
    """The selectivity of the probe of a label (n items).

    Parameters
    ----------
    gram: (K, n, n) inner products of the items.
    types: (n,) the number of each item's type, from 0.
    n_controls: control tasks to draw; 0 = none, and no selectivity.
    """
    if n_controls < 1:
        return Selectivity.absent(len(gram), "no control task was asked for")
    repeated = np.flatnonzero(np.bincount(types)[types] > 1)
    label, types = label.part(repeated), np.unique(types[repeated], return_inverse=True)[1]
    controls = _control_labels(label, types, n_controls, settings.seed)
    if reason := _obstacle(label, types, controls):
        return Selectivity.absent(len(gram), reason)
    gram = gram[:, repeated[:, None], repeated]
    values = np.concatenate([label.values[None], controls])
    targets = label.encoded(values)
    folds = type_folds(types, settings.n_folds, settings.seed)
    answers = np.empty((len(gram), *targets.shape))
    for fold in fitted_folds(label, gram, types, folds, settings, type_folds):
        products = inner_products(gram, fold.train, fold.test)
        answers[:, :, fold.test] = fold.answers(label, targets, products, COARSE)
    real, *control = (point_score(label, values[turn], answers[:, turn], folds) for turn in range(len(values)))
    control_score = np.mean(control, axis=0)
    return Selectivity(real - control_score, control_score, None)


def _obstacle(label: Label, types: Array, controls: Array) -> str | None:
    """Why there is no selectivity, or None."""
    if not len(types):
        return "no type repeats: there is nothing about an item that could be memorised"
    if not types.any():
        return "one type alone repeats: all items would have the same control label"
    if reason := unusable(label, types):
        return f"of the items whose type repeats, {reason}"
    return None if len(controls) else "every control task that was drawn has one label only"


def _control_labels(label: Label, types: Array, n_controls: int, seed: int) -> Array:
    """(R, n) labels of the control tasks, R <= n_controls of more than one value."""
    rng = np.random.default_rng(seed)
    controls = np.empty((n_controls, len(types)), dtype=label.values.dtype)
    for control in controls:
        shuffled = rng.permutation(len(types))
        lenders = shuffled[np.unique(types[shuffled], return_index=True)[1]]
        control[:] = label.values[rng.permutation(lenders)][types]
    return controls[np.ptp(controls, axis=1) > 0] if len(types) else controls[:0]
