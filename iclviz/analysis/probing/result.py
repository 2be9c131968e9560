"""The result of a probe."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from iclviz.analysis.results import Tested
from iclviz.recording import Array

ScoreName = Literal["balanced accuracy", "R2"]


def _empty() -> Array:
    return np.empty(0)


@dataclass(frozen=True, eq=False)
class Probe(Tested):
    """How well a label is read from each layer; arrays (L + 1,), NaN for a layer in which all items are the same.

    Attributes
    ----------
    measure: "balanced accuracy" or "R2".
    estimate: the score, held-out accuracy as the mean over classes, equal to plain accuracy where classes are; or R2
        against the training fold's mean. An item whose class has no training item counts as wrong.
    low, high: its 95 % interval over held-out items, no test against chance: Wilson's for classes, on the number of
        independent items that groups and unequal classes leave, wider where groups are few; for R2 the jackknife's.
    accuracy: plain held-out accuracy, of the same answers; None for a number.
    least_squares: the score of the least-squares probe, by the same measure on the same folds.
    chance: its mean over permuted labels.
    p, p_corrected, p_fdr: one-sided, of the least-squares probe; alone, by the maximum over layers, by
        Benjamini-Hochberg.
    n_permutations: permutations used; n_units: groups; n_folds: folds; n_classes: 0 for a number.
    unit: what was permuted: "groups", "items within groups" ("items" without groups), or, where items are copies,
        "units within groups" or "items within units".
    reason: why values are missing in every layer, or None.
    missing: layer -> why it has no value.
    selectivity: score minus that of a control task, whose labels are random for each type of item, both on folds that
        spread each type's items; what the probe reads beyond which type it has before it (Hewitt and Liang 2019).
    control_score: mean score of the control tasks; adding the selectivity gives the label's score on those folds.
    selectivity_reason: why these two are missing in every layer, or None.
    item_scores: (n, L + 1) what each held-out item adds: 1 right or 0 wrong, mean = accuracy; or minus its squared
        error over the mean one of the training fold's mean, mean = R2 - 1. NaN for items without a label.
    item_evidence: (n, L + 1) log of the held-out probability of the true class over its share of the training fold, NaN
        for a class without a training item; for a number the same as item_scores.
    group_values: (n, L + 1) what each item's group adds: the jackknife's pseudo-values, whose mean over groups is the
        least-squares probe's balanced accuracy, or -log(1 - R2) of a number.
    confusion: (L + 1, C, C) how many held-out items of a class (row) are named as a class (column); None for
        a number, or where nothing was probed.
    classes: the C names, in the order of confusion; () for a number.
    """

    measure: ScoreName
    accuracy: Array | None
    least_squares: Array
    chance: Array
    p_fdr: Array
    n_permutations: int
    n_units: int
    n_folds: int
    n_classes: int
    unit: str
    reason: str | None
    missing: Mapping[int, str]
    selectivity: Array = field(default_factory=_empty)
    control_score: Array = field(default_factory=_empty)
    selectivity_reason: str | None = None
    item_scores: Array = field(default_factory=_empty)
    item_evidence: Array = field(default_factory=_empty)
    group_values: Array = field(default_factory=_empty)
    confusion: Array | None = None
    classes: tuple[str, ...] = ()

    @property
    def score(self) -> Array:
        """The estimate: how well the label is read."""
        return self.estimate
