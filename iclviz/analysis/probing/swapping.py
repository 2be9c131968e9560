"""Whether a probe reads more of a label in B than in A: A and B of whole groups change sides, and both are fitted anew.

If the two conditions hold equally much of a label, the embeddings of a group could as well have come the other way
round. So each group's embeddings stay or change sides, all together, and the least-squares probe, which is one linear
solution, is fitted to either side again: what two fits owe to the sample they share is in every rearrangement as in the
data. Each condition is centred on its items' mean and brought to one size first, or a shift that all items share would
be noise where sides are mixed. The statistic is the difference of balanced accuracy, or of -log(1 - R2).
"""

from dataclasses import dataclass

import numpy as np

from iclviz.analysis.paired import flips
from iclviz.analysis.probing.fitting import LEAST_SQUARES_STRENGTH
from iclviz.analysis.probing.folds import Folds, group_folds
from iclviz.analysis.probing.jackknife import log_scale
from iclviz.analysis.probing.labels import Label, Subject
from iclviz.analysis.probing.row_space import gram, inner_products
from iclviz.analysis.probing.scores import point_score
from iclviz.analysis.progress import steps
from iclviz.analysis.statistics import no_p_reason, unit_codes
from iclviz.recording import Array

N_FOLDS = 5
_BLOCK = 2_000_000
"""Inner products that are held of one side's rearrangements at a time: 16 MB."""


@dataclass(frozen=True, eq=False)
class Swapped:
    """B minus A of a least-squares probe, (L + 1,), NaN where a layer has no value; the same with groups swapped,
    (B, L + 1); and why there is no p, or None.
    """

    observed: Array
    null: Array
    reason: str | None


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
        return Swapped(absent, np.empty((0, len(absent))), reason)
    n, folds = len(units), group_folds(subject.codes, N_FOLDS, seed)
    both = gram(np.concatenate([_sized(subject.seen(side)) for side in (a, b)]))
    signs = np.empty((0, int(units.max()) + 1))
    if not reason:
        signs = flips(signs.shape[1], n_permutations, np.random.default_rng(seed))
    every = np.vstack([np.ones((1, signs.shape[1])), signs])[:, units] < 0
    block = max(1, _BLOCK // both[:, :n, :n].size)
    blocks = steps(range(0, len(every), block), "swapping A and B")
    differences = np.vstack([_differences(subject.label, both, every[at : at + block], folds) for at in blocks])
    filled = subject.over_layers(differences.T).T
    return Swapped(filled[0], filled[1:], reason)


def _differences(label: Label, both: Array, crossed: Array, folds: Folds) -> Array:
    """(b, K) B minus A of items with inner products (K, 2m, 2m), A's first, of which some (b, m) change sides."""
    n = crossed.shape[1]
    here = np.arange(n)
    before, after = here + n * crossed, here + n * ~crossed
    scores = []
    for side in (before, after):
        products = both[:, side[:, :, None], side[:, None, :]]
        scores.append(_score(label, products.reshape(-1, n, n), folds).reshape(len(both), -1).T)
    return np.asarray(scores[1] - scores[0])


def _sized(x: Array) -> Array:
    """Embeddings (m, K, d) around their mean, of mean squared norm 1 in each layer."""
    centred = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    return np.asarray(centred / np.sqrt((centred**2).sum(axis=2).mean(axis=0))[:, None])


def _score(label: Label, products: Array, folds: Folds) -> Array:
    """(K,) the least-squares probe's balanced accuracy, or -log(1 - R2), of items with inner products (K, m, m)."""
    said = np.empty((len(products), *label.targets.shape))
    for train, test in folds:
        inside, seen = (inner_products(products, train, rows) for rows in (train, test))
        targets = label.targets[train]
        around = targets - targets.mean(axis=0)
        weights = np.linalg.solve(inside + LEAST_SQUARES_STRENGTH * np.eye(len(train)), around[None])
        said[:, test] = seen @ weights
        if label.classes:
            said[:, test] = np.where(targets.mean(axis=0) > 0, said[:, test], -np.inf)
        else:
            said[:, test] += targets.mean(axis=0)
    score = point_score(label, label.values, said, folds)
    return score if label.classes else log_scale(score)
