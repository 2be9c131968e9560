"""Class distance: how far apart the classes of a label lie in each layer, cross-validated (crossnobis-like).

For two classes c and d and an item i of class c that was held out with its group, with m the means of the classes over
the training items, and q the mean inner product of two training items of one class and of different groups,

    s_i = 2 (m_c - m_d) . x_i - q_c + q_d

is on average the squared distance of the two classes' means: no item meets itself, or an item of its group, in any
product, so classes that do not differ have 0 on average, where the distance of means is always above. The mean of the
classes' means of s, over all pairs of classes, is divided by the variance of items within their classes (summed over
dimensions), so that conditions and layers can be compared.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from iclviz.analysis.behaviour import coarsest_groups
from iclviz.analysis.change import Change, mean_change
from iclviz.analysis.comparison import Comparison, layers_alike
from iclviz.analysis.measure import LABEL, POOLING, ByLayer, Measure, Measuring, Resampling, Titles
from iclviz.analysis.probing.chance import permuted_labels
from iclviz.analysis.probing.folds import group_folds
from iclviz.analysis.probing.labels import Subject
from iclviz.analysis.probing.row_space import gram
from iclviz.analysis.progress import steps
from iclviz.analysis.recordings import embeddings, is_number
from iclviz.analysis.resolution import resolution
from iclviz.analysis.statistics import PValues, mean_of_known, p_values, too_few, unit_codes
from iclviz.analysis.swaps import N_PERMUTATIONS, Swapped, jackknife_interval, swap_tested, swapped_mean
from iclviz.analysis.wording import pooling_title
from iclviz.contrasts import UNIT
from iclviz.recording import Array, Recording

N_FOLDS = 5


def item_distances(products: Array, labels: Array, codes: Array, folds: Sequence[tuple[Array, Array]]) -> Array:
    """(K, m) what each held-out item adds: its mean over all items, classes counting alike, is the class distance.

    Parameters
    ----------
    products: (K, m, m) inner products of the items' embeddings, around any common point.
    labels: (m,) numbers of classes from 0; codes: (m,) numbers of groups.
    folds: (items to train on, items held out) of each; classes of fewer than two training groups are left out, and
        their items add NaN.
    """
    n_classes = int(labels.max()) + 1
    one_hot = np.eye(n_classes)[labels]
    found = np.full((len(products), len(labels)), np.nan)
    for train, test in folds:
        counts, members = one_hot[train].sum(axis=0), one_hot[train]
        means = np.divide(members, counts, out=np.zeros_like(members), where=counts > 0).T
        apart_groups = (codes[train][:, None] != codes[train]).astype(float)
        n_pairs = np.einsum("tc,tu,uc->c", members, apart_groups, members)
        inner = products[:, train[:, None], train] * apart_groups
        squares = np.einsum("tc,ktc->kc", members, inner @ members) / np.maximum(n_pairs, 1)
        counts = np.where(n_pairs > 0, counts, 0)
        gains = means @ products[:, train[:, None], test] - squares[:, :, None] / 2
        own = gains[:, labels[test], np.arange(len(test))]
        others = (counts > 0)[None, :, None] & (np.arange(n_classes)[:, None] != labels[test])[None]
        apart = np.where(others, own[:, None] - gains, 0.0).sum(axis=1)
        n_others = others.sum(axis=1)
        is_trained = (counts[labels[test]] > 0)[None] & (n_others > 0)
        found[:, test] = np.where(is_trained, 2 * apart / np.maximum(n_others, 1), np.nan)
    weights = _class_weights(labels, np.isfinite(found).all(axis=0))
    return np.asarray(found * weights / _within(products, one_hot)[:, None])


def _class_weights(labels: Array, known: Array) -> Array:
    """(m,) how much each known item counts, 1 on average, so that classes count alike."""
    sizes = np.bincount(labels[known], minlength=int(labels.max()) + 1)
    n_there = np.count_nonzero(sizes)
    weights = np.divide(sizes.sum() / max(n_there, 1), sizes, out=np.zeros(len(sizes)), where=sizes > 0)
    return np.asarray(weights[labels])


def _within(products: Array, one_hot: Array) -> Array:
    """(K,) the variance of items within their classes, summed over dimensions; NaN where there is none."""
    counts = one_hot.sum(axis=0)
    around = one_hot @ (one_hot / counts).T
    squares = np.trace(products, axis1=1, axis2=2)
    left = squares - np.einsum("ij,kij->k", around, products, optimize=True)
    variance = left / max(len(one_hot) - np.count_nonzero(counts), 1)
    return np.where(variance > 1e-12 * np.maximum(squares, 1e-300), variance, np.nan)


class ClassDistance(Measure):
    """The cross-validated squared distance between a label's classes."""

    name, title = "class_distance", "distance between the label's classes"
    axis = "Squared distance (in variances)"
    about = (
        "How far apart the classes of a label lie, as the cross-validated squared distance of their means over the "
        "variance within classes. Zero is what classes have that do not differ; unlike a probe's score it has no "
        "ceiling, and it weighs every dimension by its spread alone."
    )
    page, order = "probing", 10
    options = (LABEL, POOLING)
    references: ClassVar[Mapping[str, str]] = {
        "walther2016reliability": r"""@article{walther2016reliability,
  title   = {Reliability of dissimilarity measures for multi-voxel pattern analysis},
  author  = {Walther, Alexander and Nili, Hamed and Ejaz, Naveed and Alink, Arjen and Kriegeskorte, Nikolaus},
  journal = {NeuroImage},
  volume  = {137},
  pages   = {188--200},
  year    = {2016}
}"""
    }

    def absent(self, recording: Recording, measuring: Measuring) -> str | None:
        """Why there is none: no label has groups to hold out, or the label is a number."""
        label = measuring.of(recording)[1]
        if not label:
            return "no label of the items has groups that could be held out"
        return "the label is a number and has no classes" if is_number(recording, label) else None

    def subject(self, recording: Recording, measuring: Measuring, titles: Titles) -> str:
        """The distance between one label's classes."""
        return f"distance between the classes of “{titles[measuring.of(recording)[1]]}”"

    def of_items(self, recording: Recording, measuring: Measuring, items: Array) -> Array:
        """(m, L + 1) what each item adds to the distance, NaN for items without a label."""
        return _of_items(recording, measuring, embeddings(recording, measuring.pooling)[items], items)

    def resolution(self, recording: Recording, measuring: Measuring, items: Array, values: Array) -> Array:
        """(L + 1,) ten times what rounding moves it."""
        x = embeddings(recording, measuring.pooling)[items]
        return resolution(lambda moved: _of_items(recording, measuring, moved, items), x, values)

    def of_condition(self, recording: Recording, measuring: Measuring) -> ByLayer:
        """The distance of each layer, its interval from leaving out each group, against permuted labels."""
        x = embeddings(recording, measuring.pooling)
        subject = _subject(recording, measuring, x, np.arange(recording.n_items))
        independent = unit_codes(coarsest_groups(recording), recording.n_items)[subject.known]
        absent = np.full(x.shape[1], np.nan)
        n_units = len(np.unique(independent))
        if subject.reason:
            return ByLayer(absent, absent, absent, absent, absent, absent, n_units, subject.reason, subject.missing)
        products, codes, labels = gram(subject.seen(x)), subject.codes, subject.label.values
        estimate = _distance(products, labels, codes)
        kept = [np.flatnonzero(independent != group) for group in np.unique(independent)]
        without = np.stack([_distance(products[:, one[:, None], one], labels[one], codes[one]) for one in kept])
        low, high = jackknife_interval(estimate, without)
        null, reason = _null(recording, products, labels, codes, subject.known)
        p = PValues.absent(len(estimate)) if reason else p_values(estimate, null)
        alone = subject.layers & np.isnan(subject.over_layers(estimate))
        return ByLayer(
            estimate=subject.over_layers(estimate),
            low=subject.over_layers(low),
            high=subject.over_layers(high),
            p=subject.over_layers(p.p),
            p_corrected=subject.over_layers(p.p_corrected),
            reference=subject.over_layers(np.zeros(len(estimate))),
            n_units=n_units,
            reason=reason,
            missing=subject.missing
            | dict.fromkeys(np.flatnonzero(alone).tolist(), "no class has three groups of items"),
        )

    def change(self, comparison: Comparison, measuring: Measuring) -> Change:
        """B minus A of the distance among the common items; p from swapping A and B of groups."""
        first = comparison.first
        same = layers_alike(comparison, measuring.pooling)
        changes, swaps = [], []
        for pair in comparison.pairs:
            a, b = (embeddings(one, measuring.pooling)[comparison.items(one)].astype(np.float64) for one in pair)
            b[:, same] = a[:, same]
            subject = _subject(first, measuring, a, comparison.items(first), b)
            if subject.reason:
                change = np.full((len(a), a.shape[1]), np.nan)
                return mean_change(np.stack([change] * comparison.n_seeds), comparison.groups)
            change, swap = _compared(subject, a, b, comparison.groups)
            changes.append(change)
            swaps.append(swap)
        return swap_tested(mean_change(np.stack(changes), comparison.groups), swaps)

    def methods(self, recordings: Sequence[Recording], measuring: Measuring, titles: Titles, used: Resampling) -> str:
        """Which distance, of what, and how it was tested."""
        if self.absent(recordings[0], measuring):
            return ""
        return (
            f"As an exploratory measure, the distance between the classes of "
            f"“{titles[measuring.of(recordings[0])[1]]}” in "
            f"embeddings ({pooling_title(measuring.pooling)}) was the cross-validated squared distance of their "
            f"means over "
            "the variance within classes [@walther2016reliability], with whole groups held out in "
            f"{N_FOLDS} folds, intervals from leaving out each group [@efron1981jackknife] and one-sided p values from "
            f"permuting labels in their own unit ({N_PERMUTATIONS} permutations); differences between conditions were "
            "tested by swapping the conditions of whole groups."
        )


def _subject(recording: Recording, measuring: Measuring, x: Array, items: Array, *others: Array) -> Subject:
    """The label of some items, by their places (m,), and the layers of embeddings (m, L + 1, d) to read it from."""
    label = measuring.of(recording)[1]
    return Subject.of(
        np.asarray(recording.labels[label])[items], np.asarray(recording.groups[label])[items], x, *others
    )


def _of_items(recording: Recording, measuring: Measuring, x: Array, items: Array) -> Array:
    subject = _subject(recording, measuring, x, items)
    if subject.reason:
        return subject.over_items(np.nan)
    folds = group_folds(subject.codes, N_FOLDS, 0)
    return subject.over_items(item_distances(gram(subject.seen(x)), subject.label.values, subject.codes, folds).T)


def _distance(products: Array, labels: Array, codes: Array) -> Array:
    """(K,) the class distance of items with inner products (K, m, m); NaN where nothing can be held out."""
    values = np.unique(labels, return_inverse=True)[1]
    if len(np.unique(codes)) < 2 or values.max() < 1:
        return np.full(len(products), np.nan)
    groups = unit_codes(codes, len(codes))
    return mean_of_known(item_distances(products, values, groups, group_folds(groups, N_FOLDS, 0)).T)


def _null(recording: Recording, products: Array, labels: Array, codes: Array, known: Array) -> tuple[Array, str | None]:
    """(B, K) the distance with permuted labels, and why there is no p, or None."""
    copies = recording.factors.get(UNIT)
    alike = None if copies is None else unit_codes(np.asarray(copies)[known], len(codes))
    permuted, _, n_movable = permuted_labels(labels, codes, N_PERMUTATIONS, 0, alike)
    if reason := too_few(n_movable):
        return np.empty((0, len(products))), reason
    return np.stack([_distance(products, one, codes) for one in steps(list(permuted), "permuting labels")]), None


def _compared(subject: Subject, a: Array, b: Array, groups: Array | None) -> tuple[Array, Swapped]:
    """(m, L + 1) what each item adds to B minus A, and that with groups swapped."""
    sides = [_sized(subject.seen(one)) for one in (a, b)]
    both, n = gram(np.concatenate(sides)), len(subject.codes)
    folds = group_folds(subject.codes, N_FOLDS, 0)

    def of_side(places: Array) -> Array:
        return item_distances(both[:, places[:, None], places], subject.label.values, subject.codes, folds)

    change = of_side(np.arange(n, 2 * n)) - of_side(np.arange(n))
    units = subject.codes if groups is None else unit_codes(groups[subject.known], n)
    swap = swapped_mean(of_side, units)
    wide = [subject.over_layers(part.T).T for part in (swap.difference[None], swap.observed[None], swap.null)]
    return subject.over_items(change.T), Swapped(wide[0][0], wide[1][0], wide[2], swap.reason)


def _sized(x: Array) -> Array:
    """Embeddings (m, K, d) around their mean, of mean squared norm 1 in each layer: a shift or a stretch that all items
    share would be noise where sides are mixed.
    """
    centred = x - x.mean(axis=0)
    return np.asarray(centred / np.sqrt((centred**2).sum(axis=2).mean(axis=0))[:, None])


MEASURE = ClassDistance()
