"""Whether a probe reads more of a label in B than in A: A and B of whole groups change sides, and both are fitted anew.

If the two conditions hold equally much of a label, the embeddings of a group could as well have come the other way
round. So each group's embeddings stay or change sides, all together, and the least-squares probe, which is one linear
solution, is fitted to either side again: what two fits owe to the sample they share is in every rearrangement as in the
data. Each condition is centred on its items' mean and brought to one size first, or a shift that all items share would
be noise where sides are mixed. What is compared is balanced accuracy, or -log(1 - R2). Its difference is divided by the
standard error that groups' own held-out differences give it, in the data as in every rearrangement: where A and B hold
the label along different directions, mixed sides read less of it and vary less, and plain differences found 12 to 23 %
of what was not there.
"""

from functools import partial

import numpy as np

from iclviz.analysis.paired import flips
from iclviz.analysis.probing.fitting import LEAST_SQUARES_STRENGTH
from iclviz.analysis.probing.folds import Folds, group_folds
from iclviz.analysis.probing.labels import Label, Subject
from iclviz.analysis.probing.row_space import gram, inner_products
from iclviz.analysis.probing.scores import class_weights
from iclviz.analysis.progress import steps
from iclviz.analysis.statistics import no_p_reason, unit_codes
from iclviz.analysis.swaps import Swapped
from iclviz.recording import Array

N_FOLDS = 5
_LEAST = 1e-9
_BLOCK = 2_000_000
"""Inner products that are held of one side's rearrangements at a time: 16 MB."""


def swapped(
    a: Array,
    b: Array,
    y: Array,
    groups: Array | None,
    independent: Array | None = None,
    *,
    n_permutations: int = 200,
    seed: int = 0,
) -> Swapped:
    """The difference of least-squares probes of a label between two conditions, and its null.

    Parameters
    ----------
    a, b: (n, L + 1, d) embeddings of the same items.
    y: (n,) labels, as of `probe`.
    groups: (n,) what folds keep whole.
    independent: (n,) what changes sides as a whole; None = the groups.
    seed: draws folds and swaps.

    Raises
    ------
    AnalysisError: shapes do not fit.
    """
    subject = Subject.of(y, groups, a, b)
    units = subject.codes if independent is None else unit_codes(independent, len(y))[subject.known]
    units = unit_codes(units, len(units))
    reason = subject.reason or no_p_reason(units)
    if subject.reason:
        absent = np.full(len(subject.layers), np.nan)
        return Swapped(absent, absent, np.empty((0, len(absent))), reason)
    n, folds = len(units), group_folds(subject.codes, N_FOLDS, seed)
    both = gram(np.concatenate([_sized(subject.seen(side)) for side in (a, b)]))
    signs = np.empty((0, int(units.max()) + 1))
    if not reason:
        signs = flips(signs.shape[1], n_permutations, np.random.default_rng(seed))
    every = np.vstack([np.ones((1, signs.shape[1])), signs])[:, units] < 0
    block = max(1, _BLOCK // both[:, :n, :n].size)
    blocks = steps(range(0, len(every), block), "swapping A and B")
    compare = partial(_differences, subject.label, both, units, folds)
    parts = [compare(every[at : at + block]) for at in blocks]
    differences, ratios = (subject.over_layers(np.vstack(part).T).T for part in zip(*parts, strict=True))
    return Swapped(differences[0], ratios[0], ratios[1:], reason)


def _differences(label: Label, both: Array, units: Array, folds: Folds, crossed: Array) -> tuple[Array, Array]:
    """(b, K) B minus A, and that over its standard error, of items with inner products (K, 2m, 2m), A's first, of which
    some (b, m) change sides; units (m,) are independent.
    """
    n = crossed.shape[1]
    here = np.arange(n)
    worth = []
    for side in (here + n * crossed, here + n * ~crossed):
        products = both[:, side[:, :, None], side[:, None, :]]
        worth.append(_worth(label, products.reshape(-1, n, n), folds).reshape(len(both), -1, n).swapaxes(0, 1))
    of_units = [one @ np.eye(int(units.max()) + 1)[units] for one in worth]
    if label.classes:
        parts = of_units[1] - of_units[0]
        difference = parts.sum(axis=2)
        parts = parts - parts.mean(axis=2, keepdims=True)
    else:
        totals = [one.sum(axis=2, keepdims=True) for one in of_units]
        difference = np.log(totals[0] / totals[1])[..., 0]
        parts = of_units[0] / totals[0] - of_units[1] / totals[1]
    n_units = parts.shape[2]
    error = np.sqrt((parts**2).sum(axis=2) * n_units / (n_units - 1))
    return difference, np.divide(difference, error, out=np.zeros_like(error), where=error > _LEAST)


def _sized(x: Array) -> Array:
    """Embeddings (m, K, d) around their mean, of mean squared norm 1 in each layer."""
    centred = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    return np.asarray(centred / np.sqrt((centred**2).sum(axis=2).mean(axis=0))[:, None])


def _worth(label: Label, products: Array, folds: Folds) -> Array:
    """(K, m) what each held-out item of inner products (K, m, m) adds to balanced accuracy, or its squared error."""
    predictions = np.empty((len(products), *label.targets.shape))
    for train, test in folds:
        inside, seen = (inner_products(products, train, rows) for rows in (train, test))
        targets = label.targets[train]
        around = targets - targets.mean(axis=0)
        weights = np.linalg.solve(inside + LEAST_SQUARES_STRENGTH * np.eye(len(train)), around[None])
        predictions[:, test] = seen @ weights
        if label.classes:
            predictions[:, test] = np.where(targets.mean(axis=0) > 0, predictions[:, test], -np.inf)
        else:
            predictions[:, test] += targets.mean(axis=0)
    if label.classes:
        return np.asarray((predictions.argmax(axis=2) == label.values) * class_weights(label.values))
    return np.asarray((predictions[:, :, 0] - label.values) ** 2)
