"""Class distance: how far apart the classes of a label lie in each layer, cross-validated (crossnobis-like).

With q_cd the mean inner product, around the mean of all items, of two items of the classes c and d that are of
different groups, q_cc + q_dd - 2 q_cd is on average the squared distance of the two classes' means: no item meets
itself, or an item of its group, in any product, so classes that do not differ have 0 on average, where the distance of
means is always above. Its mean over all pairs of classes is divided by the variance of items within their classes
(summed over dimensions), so that conditions and layers can be compared.

It is a sum over pairs of groups, whose error has two parts (Hoeffding 1948): what each group brings to all its pairs,
and what is each pair's own. Leaving out each group (jackknife) counts each pair's own part twice, so it is taken out
once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from scipy.stats import t

from iclviz.analysis.behaviour import coarsest_groups
from iclviz.analysis.change import Change, mean_change
from iclviz.analysis.comparison import Comparison, layers_alike
from iclviz.analysis.measure import LABEL, POOLING, ByLayer, Measure, Measuring, Resampling, Titles
from iclviz.analysis.probing.chance import permuted_labels
from iclviz.analysis.probing.labels import Subject
from iclviz.analysis.probing.row_space import gram
from iclviz.analysis.progress import steps
from iclviz.analysis.recordings import embeddings, is_number
from iclviz.analysis.resolution import resolution
from iclviz.analysis.statistics import PValues, p_values, quotient, too_few, unit_codes
from iclviz.analysis.swaps import N_PERMUTATIONS, Swapped, swap_tested, swapped
from iclviz.analysis.wording import pooling_title
from iclviz.contrasts import UNIT
from iclviz.recording import Array, Recording

LEAST_GROUPS = 3
"""Of a class, for it to count: where one is left out, two have to be left."""
TOO_FEW = f"fewer than two classes have {LEAST_GROUPS} groups of items"


@dataclass(frozen=True, eq=False)
class Cells:
    """Sums over the items of one class in one group, of m items in M cells.

    Attributes
    ----------
    members: (m, M) 1 where an item is of a cell, items of classes of too few groups in none.
    classes, groups, units: (M,) numbers of each cell, from 0; a unit is what is independent, one group or several.
    """

    members: Array
    classes: Array
    groups: Array
    units: Array

    @classmethod
    def of(cls, labels: Array, codes: Array, units: Array) -> "Cells":
        """The cells of items' labels, groups and units, (m,) each."""
        found = np.unique(np.stack([labels, codes, units]), axis=1)
        n_units = np.bincount(np.unique(found[[0, 2]], axis=1)[0], minlength=int(labels.max()) + 1)
        of_classes, of_groups, of_units = found[:, n_units[found[0]] >= LEAST_GROUPS]
        members = (labels[:, None] == of_classes) & (codes[:, None] == of_groups)
        return cls(members.astype(float), np.unique(of_classes, return_inverse=True)[1], of_groups, of_units)

    @cached_property
    def counts(self) -> Array:
        """(M,) items of each cell."""
        return np.asarray(self.members.sum(axis=0))

    @cached_property
    def n_classes(self) -> int:
        """Classes of enough groups."""
        return len(np.unique(self.classes))

    @cached_property
    def by_class(self) -> Array:
        """(M, C) 1 for the class of each cell."""
        return np.asarray(np.eye(self.n_classes)[self.classes])

    @cached_property
    def by_unit(self) -> Array:
        """(M, U) 1 for the unit of each cell."""
        return np.asarray(np.eye(int(self.units.max()) + 1)[self.units])

    @cached_property
    def apart(self) -> Array:
        """(M, M) 1 for cells of different groups."""
        return np.asarray(self.groups[:, None] != self.groups, dtype=float)

    @cached_property
    def pairs(self) -> Array:
        """(M, M) pairs of items of different groups."""
        return np.asarray(np.outer(self.counts, self.counts) * self.apart)

    @cached_property
    def pairs_left_out(self) -> Array:
        """(U, 1, C, C) how many such pairs of classes are left without each unit."""
        return _left_out(self.pairs[None], self)

    def sums(self, products: Array) -> tuple[Array, Array]:
        """(K, M, M) inner products of the cells' sums, and (K, M) sums of squares, of products (K, m, m) of items."""
        return self.members.T @ products @ self.members, np.diagonal(products, axis1=1, axis2=2) @ self.members


def _pair_means(inner: Array, cells: Cells) -> tuple[Array, Array]:
    """(K, C, C) the mean inner products q of the module's text, and how many pairs of items each is of, (C, C)."""
    counts = cells.by_class.T @ cells.pairs @ cells.by_class
    sums = cells.by_class.T @ (inner * cells.apart) @ cells.by_class
    return quotient(sums, np.broadcast_to(counts, sums.shape)), counts


def _left_out(pairs: Array, cells: Cells) -> Array:
    """(U, K, C, C) sums over pairs of cells (K, M, M) of classes, each unit left out in turn."""
    one_hot, units = cells.by_class, cells.by_unit
    rows = pairs @ one_hot
    together = (pairs * (cells.units[:, None] == cells.units)) @ one_hot
    of_units, inside = (np.einsum("mu,mc,kmd->ukcd", units, one_hot, part, optimize=True) for part in (rows, together))
    return np.asarray(one_hot.T @ rows - of_units - np.swapaxes(of_units, 2, 3) + inside)


def _coefficients(n_classes: int) -> Array:
    """(C, C) how much each q counts in the mean over pairs of classes."""
    n_pairs = n_classes * (n_classes - 1) / 2
    return (n_classes * np.eye(n_classes) - 1) / n_pairs


def _within(inner: Array, squares: Array, cells: Cells) -> Array:
    """(K, M) what each cell adds to the variance of items within their classes; NaN where there is none."""
    one_hot, counts = cells.by_class, cells.counts
    sizes = counts @ one_hot
    on_means = (one_hot.T @ inner) / sizes[:, None]
    between = np.einsum("kcm,mc->kc", on_means, one_hot) / sizes
    of_cells = np.arange(len(counts))
    left = squares - 2 * on_means[:, cells.classes, of_cells] + counts * between[:, cells.classes]
    spread = left.sum(axis=1, keepdims=True)
    exists = spread > 1e-12 * np.maximum(squares.sum(axis=1, keepdims=True), 1e-300)
    return np.where(exists, left / max(counts.sum() - cells.n_classes, 1), np.nan)


def class_distance(products: Array, cells: Cells) -> Array:
    """(K,) the class distance of items with inner products (K, m, m) around their mean; NaN with fewer than two
    classes of enough groups.
    """
    if cells.n_classes < 2:
        return np.full(len(products), np.nan)
    inner, squares = cells.sums(products)
    return np.asarray(_distance(inner, cells) / _within(inner, squares, cells).sum(axis=1))


def _distance(inner: Array, cells: Cells) -> Array:
    return np.asarray((_coefficients(cells.n_classes) * _pair_means(inner, cells)[0]).sum(axis=(1, 2)))


def _without_units(inner: Array, squares: Array, cells: Cells) -> Array:
    """(U, K) the class distance without each unit."""
    one_hot, units = cells.by_class, cells.by_unit
    sums = _left_out(inner * cells.apart, cells)
    means = quotient(sums, np.broadcast_to(cells.pairs_left_out, sums.shape))
    distance = (_coefficients(cells.n_classes) * means).sum(axis=(2, 3))
    of_means = np.diagonal(_left_out(inner, cells), axis1=2, axis2=3)
    sizes = (cells.counts @ one_hot - (units * cells.counts[:, None]).T @ one_hot)[:, None]
    left = squares.sum(axis=1) - units.T @ squares.T - (of_means / sizes).sum(axis=2)
    return np.asarray(distance / quotient(left, np.broadcast_to(sizes.sum(axis=2) - cells.n_classes, left.shape)))


@dataclass(frozen=True, eq=False)
class Parts:
    """A class distance, or a difference of two, taken apart by units.

    Attributes
    ----------
    estimate: (K,).
    by_pair: (K, U, U) what each pair of units adds to its deviation from its mean.
    influence: (K, U) what each unit brings to it; squares sum to the jackknife's variance.
    """

    estimate: Array
    by_pair: Array
    influence: Array

    @classmethod
    def of(cls, inner: Array, squares: Array, cells: Cells) -> "Parts":
        """The parts of the class distance of cells with inner products (K, M, M) and sums of squares (K, M)."""
        means, n_pairs = _pair_means(inner, cells)
        weights = quotient(_coefficients(cells.n_classes), n_pairs)[cells.classes][:, cells.classes] * cells.apart
        expected = means[:, cells.classes][:, :, cells.classes] * np.outer(cells.counts, cells.counts)
        units = cells.by_unit
        variance = _within(inner, squares, cells).sum(axis=1)
        estimate = _distance(inner, cells) / variance
        return cls(
            estimate,
            units.T @ (weights * (inner - expected)) @ units / variance[:, None, None],
            ((estimate - _without_units(inner, squares, cells)) * np.sqrt(_kept_share(cells))[:, None]).T,
        )

    def minus(self, other: "Parts") -> "Parts":
        """The difference of two distances of the same units."""
        return Parts(self.estimate - other.estimate, self.by_pair - other.by_pair, self.influence - other.influence)

    @property
    def error(self) -> Array:
        """(K,) the standard error."""
        apart = self.by_pair * (1 - np.eye(self.by_pair.shape[1]))
        pairs = 2 * (apart**2).sum(axis=(1, 2))
        return np.asarray(np.sqrt(np.maximum((self.influence**2).sum(axis=1) - pairs, pairs)))


def _kept_share(cells: Cells) -> Array:
    """(U,) the share (G - 1) / G of a class's units that is kept when one is left out, the mean over a unit's cells."""
    one_hot, units = cells.by_class, cells.by_unit
    n_units = ((units.T @ one_hot) > 0).sum(axis=0)
    share = units.T @ ((n_units - 1) / n_units)[cells.classes]
    return np.asarray(share / np.maximum(units.sum(axis=0), 1))


def item_distances(products: Array, labels: Array, codes: Array) -> Array:
    """(K, m) how far apart the classes lie by each item alone: with m the classes' means over items of other groups
    than that of the item i of class c,

        2 (m_c - m_d) . x_i - q_cc + q_dd

    is on average the squared distance of c and d; its mean over the other classes d, over the variance within classes.
    NaN for items of classes of too few groups.

    Parameters
    ----------
    products: (K, m, m) inner products of the items' embeddings around their mean.
    labels: (m,) numbers of classes from 0; codes: (m,) numbers of groups.
    """
    cells = Cells.of(labels, codes, codes)
    found = np.full((len(products), len(labels)), np.nan)
    if cells.n_classes < 2:
        return found
    inner, squares = cells.sums(products)
    kept = cells.members.any(axis=1)
    own = cells.classes[cells.members[kept].argmax(axis=1)]
    one_hot, others = np.eye(cells.n_classes)[own], (codes[kept][:, None] != codes[kept]).astype(float)
    items = np.flatnonzero(kept)
    means = (products[:, items[:, None], items] * others) @ one_hot / (others @ one_hot)
    gains = 2 * means - np.diagonal(_pair_means(inner, cells)[0], axis1=1, axis2=2)[:, None, :]
    mine = np.take_along_axis(gains, own[None, :, None], axis=2)
    apart = (mine - gains).sum(axis=2) / (cells.n_classes - 1)
    found[:, kept] = apart / _within(inner, squares, cells).sum(axis=1)[:, None]
    return found


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
}""",
        "hoeffding1948class": r"""@article{hoeffding1948class,
  title   = {A Class of Statistics with Asymptotically Normal Distribution},
  author  = {Hoeffding, Wassily},
  journal = {The Annals of Mathematical Statistics},
  volume  = {19},
  number  = {3},
  pages   = {293--325},
  year    = {1948}
}""",
    }

    def absent(self, recording: Recording, measuring: Measuring) -> str | None:
        """Why there is none: no label has groups to hold out, or the label is a number."""
        label = measuring.of(recording)[1]
        if not label:
            return "no label of the items has groups that could be held out"
        return "the label is a number and has no classes" if is_number(recording, label) else None

    def short_subject(self, recording: Recording, measuring: Measuring, titles: Titles) -> str:
        """Of which label."""
        return f"{self.short} of “{titles[measuring.of(recording)[1]]}”"

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
        """The distance of each layer, its interval by Student's distribution over groups, against permuted labels."""
        x = embeddings(recording, measuring.pooling)
        subject = _subject(recording, measuring, x, np.arange(recording.n_items))
        independent = unit_codes(coarsest_groups(recording), recording.n_items)[subject.known]
        absent = np.full(x.shape[1], np.nan)
        n_units = len(np.unique(independent))
        if subject.reason:
            return ByLayer(absent, absent, absent, absent, absent, absent, n_units, subject.reason, subject.missing)
        products, labels = gram(subject.seen(x)), subject.label.values
        cells = Cells.of(labels, subject.codes, unit_codes(independent, len(independent)))
        if cells.n_classes < 2:
            missing = subject.missing | dict.fromkeys(np.flatnonzero(subject.layers).tolist(), TOO_FEW)
            return ByLayer(absent, absent, absent, absent, absent, absent, n_units, TOO_FEW, missing)
        parts = Parts.of(*cells.sums(products), cells)
        half = t.ppf(0.975, max(n_units - 1, 1)) * parts.error
        null, reason = _null(recording, products, labels, subject.codes, subject.known)
        p = PValues.absent(len(half)) if reason else p_values(parts.estimate, null)
        return ByLayer(
            estimate=subject.over_layers(parts.estimate),
            low=subject.over_layers(parts.estimate - half),
            high=subject.over_layers(parts.estimate + half),
            p=subject.over_layers(p.p),
            p_corrected=subject.over_layers(p.p_corrected),
            reference=subject.over_layers(np.zeros(len(half))),
            n_units=n_units,
            reason=reason,
            missing=subject.missing,
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
        return swap_tested(mean_change(np.stack(changes), None), swaps)

    def methods(self, recordings: Sequence[Recording], measuring: Measuring, titles: Titles, used: Resampling) -> str:
        """Which distance, of what, and how it was tested."""
        if self.absent(recordings[0], measuring):
            return ""
        label = titles[measuring.of(recordings[0])[1]]
        return (
            f"As an exploratory measure, the distance between the classes of “{label}” in embeddings "
            f"({pooling_title(measuring.pooling)}) was the cross-validated squared distance of their means over the "
            "variance within classes [@walther2016reliability], from inner products of items of different groups "
            "alone, with intervals from the error of such sums [@hoeffding1948class] and one-sided p values from "
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
    return subject.over_items(item_distances(gram(subject.seen(x)), subject.label.values, subject.codes).T)


def _null(recording: Recording, products: Array, labels: Array, codes: Array, known: Array) -> tuple[Array, str | None]:
    """(B, K) the distance with permuted labels, and why there is no p, or None."""
    copies = recording.factors.get(UNIT)
    alike = None if copies is None else unit_codes(np.asarray(copies)[known], len(codes))
    permuted, _, n_movable = permuted_labels(labels, codes, N_PERMUTATIONS, 0, alike)
    if reason := too_few(n_movable):
        return np.empty((0, len(products))), reason
    drawn = steps(list(permuted), "permuting labels")
    return np.stack([class_distance(products, Cells.of(one, codes, codes)) for one in drawn]), None


def _compared(subject: Subject, a: Array, b: Array, groups: Array | None) -> tuple[Array, Swapped]:
    """(U, L + 1) B minus A and what each unit brings to its deviation, and B minus A with units swapped."""
    n = len(subject.codes)
    units = subject.codes if groups is None else unit_codes(groups[subject.known], n)
    cells = Cells.of(subject.label.values, subject.codes, units)
    n_units = int(units.max()) + 1
    if cells.n_classes < 2:
        absent = np.full((n_units, len(subject.layers)), np.nan)
        return absent, Swapped(absent[0], absent[0], absent[:0], TOO_FEW)
    both = gram(np.concatenate([_sized(subject.seen(one)) for one in (a, b)]))
    n_cells, sides = len(cells.units), np.kron(np.eye(2), cells.members)
    inner, squares = sides.T @ both @ sides, np.diagonal(both, axis1=1, axis2=2) @ sides

    def parts(crossed: Array) -> Parts:
        """B minus A with these units (U,) swapped."""
        of_b = np.arange(n_cells) + n_cells * ~crossed[cells.units]
        of_a = np.arange(n_cells) + n_cells * crossed[cells.units]
        ours, theirs = (Parts.of(inner[:, side[:, None], side], squares[:, side], cells) for side in (of_a, of_b))
        return theirs.minus(ours)

    def studentised(crossed: Array) -> tuple[Array, Array]:
        found = parts(crossed)
        return found.estimate, np.divide(
            found.estimate, found.error, out=np.zeros_like(found.error), where=found.error > 0
        )

    difference = parts(np.zeros(n_units, dtype=bool))
    influence = difference.influence - difference.influence.mean(axis=1, keepdims=True)
    spread = np.sqrt((influence**2).sum(axis=1) / (n_units * max(n_units - 1, 1)))
    scale = np.divide(difference.error, spread, out=np.ones_like(spread), where=spread > 0)
    of_units = difference.estimate[:, None] + scale[:, None] * influence
    swap = swapped(studentised, units)
    wide = [subject.over_layers(part.T).T for part in (swap.difference[None], swap.observed[None], swap.null)]
    return subject.over_layers(of_units).T, Swapped(wide[0][0], wide[1][0], wide[2], swap.reason)


def _sized(x: Array) -> Array:
    """Embeddings (m, K, d) around their mean, of mean squared norm 1 in each layer: a shift or a stretch that all items
    share would be noise where sides are mixed.
    """
    centred = x - x.mean(axis=0)
    return np.asarray(centred / np.sqrt((centred**2).sum(axis=2).mean(axis=0))[:, None])


MEASURE = ClassDistance()
