"""A label as what a probe is fitted to, and why there may be nothing to fit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from iclviz.analysis.probing.models import CLASSIFIER, REGRESSOR, Model
from iclviz.analysis.resolution import missing_layers
from iclviz.analysis.statistics import unit_codes
from iclviz.errors import AnalysisError
from iclviz.recording import Array


@dataclass(frozen=True, eq=False)
class Label:
    """A label of m items as numbers.

    Attributes
    ----------
    values: (m,) numbers of classes, or the numbers themselves.
    targets: (m, C) one-hot classes, or (m, 1) numbers: what a probe is fitted to.
    classes: the C names, () for a number.
    """

    values: Array
    targets: Array
    classes: tuple[str, ...]

    @classmethod
    def of(cls, y: Array) -> "Label":
        """The label of items that all have one, y (m,): floats are numbers, all else are classes."""
        if np.issubdtype(y.dtype, np.floating):
            numbers = y.astype(float)
            return cls(numbers, numbers[:, None], ())
        names, values = np.unique(y, return_inverse=True)
        return cls(values, np.eye(len(names))[values], tuple(str(name) for name in names))

    def part(self, rows: Array) -> "Label":
        """The label of some of the items; the classes stay."""
        return replace(self, values=self.values[rows], targets=self.targets[rows])

    def encoded(self, values: Array) -> Array:
        """Other values (..., m) of this label as targets (..., m, C)."""
        return np.eye(len(self.classes))[values] if self.classes else values[..., None]

    @property
    def model(self) -> Model:
        """The probe that fits it."""
        return CLASSIFIER if self.classes else REGRESSOR


@dataclass(frozen=True, eq=False)
class Subject:
    """What is probed: a label, and the items and layers that it can be read from.

    Attributes
    ----------
    label: of the m items that have one.
    known: (n,) which items these are.
    codes: (m,) the number of each one's group, from 0.
    layers: (L + 1,) in which layers items differ and are finite.
    missing: layer -> why it has no value.
    reason: why nothing can be probed, or None.
    """

    label: Label
    known: Array
    codes: Array
    layers: Array
    missing: dict[int, str]
    reason: str | None

    @classmethod
    def of(
        cls, y: Array | Sequence[object], groups: Array | Sequence[object] | None, x: Array, *others: Array
    ) -> "Subject":
        """The subject of labels y (n,) and embeddings (n, L + 1, d), all arrays of the same items.

        Raises
        ------
        AnalysisError: shapes do not fit.
        """
        labels = np.asarray(y)
        for one in (x, *others):
            if one.ndim != 3 or labels.shape != one.shape[:1] or one.shape[1:] != x.shape[1:]:
                raise AnalysisError(
                    f"Embeddings of shape {one.shape} do not fit labels of shape {labels.shape}"
                    + (f" and embeddings of shape {x.shape}." if others else "."),
                    "Give (items, layers, dimensions) and one label for each item.",
                )
        known = _known(labels)
        label, codes = Label.of(labels[known]), unit_codes(unit_codes(groups, len(x))[known], int(known.sum()))
        missing: dict[int, str] = {}
        for one in (*others, x):
            missing |= missing_layers(one[known])
        layers = np.array([layer not in missing for layer in range(x.shape[1])], dtype=bool)
        reason = unusable(label, codes)
        if reason is None and not layers.any():
            reason = "no layer has embeddings that differ between items and are finite"
        return cls(label, known, codes, layers, missing, reason)

    def seen(self, x: Array) -> Array:
        """(m, K, d) what embeddings (n, L + 1, d) say of these items in these layers."""
        return np.asarray(x[np.ix_(self.known, self.layers)])

    def over_layers(self, values: Array | float) -> Array:
        """(L + 1, ...) of values (K, ...), NaN in layers without one."""
        values = np.asarray(values, dtype=float)
        filled = np.full((len(self.layers), *values.shape[1:]), np.nan)
        filled[self.layers] = values
        return filled

    def over_items(self, values: Array | float) -> Array:
        """(n, L + 1) of values (m, K), NaN for items and layers without one."""
        filled = np.full((len(self.known), len(self.layers)), np.nan)
        filled[np.ix_(self.known, self.layers)] = values
        return filled


def _known(y: Array) -> Array:
    """(n,) which items have a label: a number that is finite, a class that is not the empty text."""
    if np.issubdtype(y.dtype, np.floating):
        return np.isfinite(y)
    return np.array([name not in ("", b"") for name in y.tolist()], dtype=bool)


def can_split(values: Array, codes: Array, is_number: bool) -> bool:
    """Whether items with these values (m,) can be held out, some of their classes still being trained on."""
    counts = np.unique(values, return_counts=True)[1]
    return len(np.unique(codes)) > 1 and (is_number or (len(counts) > 1 and int(counts.max()) > 1))


def unusable(label: Label, codes: Array) -> str | None:
    """Why a label of items in groups (m,) cannot be probed, or None."""
    if not len(codes):
        return "no item has a label"
    if len(np.unique(label.values)) < 2:
        return "the label has one value only: there is nothing to tell apart"
    if not can_split(label.values, codes, not label.classes):
        short = "fewer than 2 groups" if len(np.unique(codes)) < 2 else "every item has a class of its own"
        return f"{short}: no item can be held out"
    return None
