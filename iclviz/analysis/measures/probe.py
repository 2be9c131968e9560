"""Probe: how well a linear probe reads a label from each layer, on groups of items that it has not seen."""

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from iclviz.analysis.behaviour import coarsest_groups
from iclviz.analysis.change import Change, mean_change
from iclviz.analysis.comparison import Comparison, check_layers, layers_alike, of_comparison
from iclviz.analysis.measure import LABEL, POOLING, Measure, MeasureOption, Measuring, Resampling, Titles, offered
from iclviz.analysis.probing import STRENGTHS, Probe, Transfer, layer_transfer, probe, probe_transfer
from iclviz.analysis.probing.swapping import swapped
from iclviz.analysis.recordings import embeddings, is_number, probed_labels
from iclviz.analysis.resolution import resolution
from iclviz.analysis.statistics import unit_codes
from iclviz.analysis.swaps import Swapped, swap_tested
from iclviz.contrasts import UNIT
from iclviz.errors import AnalysisError, unknown
from iclviz.questions.question import of_recording
from iclviz.recording import Array, Recording

PERMUTATIONS = 200
"""Permutations of a probe's labels where somebody waits for the answer; the API's default is 1,000."""

DIMENSIONS_OFFERED = (2, 4, 8, 16, 32)
STRENGTH = MeasureOption(
    "strength",
    "Strength",
    "The L2 penalty. Chosen inside the training folds, unless you fix it to see how the result depends on it.",
    offered(None, *STRENGTHS.tolist()),
    {None: "Chosen inside folds"},
    lambda value: f"{float(value):g}",
)
DIMENSIONS = MeasureOption(
    "dimensions",
    "Dimensions",
    "Principal components of the training fold that the probe reads.",
    offered(None, *DIMENSIONS_OFFERED),
    {None: "All"},
    lambda value: f"{value} principal components",
)


@of_recording
def recording_probe(
    recording: Recording,
    label: str,
    pooling: str = "query_mean",
    n_permutations: int = 1000,
    *,
    strength: float | None = None,
    dimensions: int | None = None,
    n_controls: int = 5,
    items: Array | None = None,
) -> Probe:
    """The probe of one of the recording's labels, folds held to the label's groups.

    `strength`, `dimensions` and `n_controls` are those of `probe`; `items` (m,) are places of items, None = all.

    Raises
    ------
    AnalysisError: no such label or pooling.
    """
    kept = np.arange(recording.n_items) if items is None else items
    return _probe(
        recording,
        label,
        embeddings(recording, pooling)[kept],
        kept,
        n_permutations=n_permutations,
        strength=strength,
        dimensions=dimensions,
        n_controls=n_controls,
    )


def _probe(recording: Recording, label: str, x: Array, kept: Array, **options: Any) -> Probe:
    if label not in probed_labels(recording):
        raise unknown(AnalysisError, "label to probe", label, probed_labels(recording))
    independent = coarsest_groups(recording)
    return probe(
        x,
        np.asarray(recording.labels[label])[kept],
        np.asarray(recording.groups[label])[kept],
        independent=None if independent is None else independent[kept],
        copies=copies[kept] if (copies := recording.factors.get(UNIT)) is not None else None,
        **options,
    )


_HELD_OUT: WeakKeyDictionary[Recording, dict[tuple[str, str, bytes], Probe]] = WeakKeyDictionary()
"""Probes without permutations and control tasks, kept as long as their recording: many comparisons ask for them."""


def held_out_probe(recording: Recording, label: str, pooling: str, items: Array | None = None) -> Probe:
    """The probe of a label without a test, for what it says of each held-out item.

    items: (m,) places of the items that it is made of, for two probes to be made of the same ones; None = all.

    Raises
    ------
    AnalysisError: no such label or pooling.
    """
    kept = _HELD_OUT.setdefault(recording, {})
    places = np.arange(recording.n_items) if items is None else np.asarray(items)
    name = (label, pooling, places.tobytes())
    if name not in kept:
        kept[name] = probe_of(recording, label, embeddings(recording, pooling)[places], places)
    return kept[name]


def probe_of(recording: Recording, label: str, x: Array, items: Array) -> Probe:
    """The probe of a label without a test, made of other embeddings x (m, L + 1, d) of some items (m,).

    Raises
    ------
    AnalysisError: no such label.
    """
    return _probe(recording, label, x, items, n_permutations=0, n_controls=0)


@of_comparison
def probe_change(
    comparison: Comparison, label: str, pooling: str = "query_mean", n_permutations: int = PERMUTATIONS
) -> Change:
    """B minus A of what a held-out probe reads of a label in each layer, both probes made of the common items.

    Of classes it is the difference of the least-squares probe's balanced accuracy; of numbers that of -log(1 - R2), how
    many times smaller (as a logarithm) the unexplained variance is in B. Both are taken apart by groups with the
    jackknife, which gives estimate and interval. p comes from swapping A and B of whole groups and fitting the
    least-squares probe anew (`probing.swapping`); over demonstration seeds, groups' part of the error is that of the
    swaps and seeds' that of the seeds, and p is Student's.

    Raises
    ------
    AnalysisError: no such label or pooling, or models with different numbers of layers.
    """
    check_layers(comparison)
    change = comparison.change(lambda recording, items: held_out_probe(recording, label, pooling, items).group_values)
    same = layers_alike(comparison, pooling)
    change[:, :, same] = np.where(np.isfinite(change[:, :, same]), 0.0, np.nan)
    folds = unit_codes(comparison.of_items(comparison.first.groups[label]), change.shape[1])
    labelled = np.flatnonzero(np.isfinite(change).any(axis=(0, 2)))
    firsts = labelled[np.unique(folds[labelled], return_index=True)[1]]
    units = None if comparison.groups is None else comparison.groups[firsts]
    test = mean_change(change[:, firsts], units)
    swaps = [_swapped(comparison, pair, label, pooling, same, n_permutations) for pair in comparison.pairs]
    return swap_tested(test, swaps)


def _swapped(
    comparison: Comparison, pair: tuple[Recording, Recording], label: str, pooling: str, same: Array,
    n_permutations: int,
) -> Swapped:  # fmt: skip
    a, b = (embeddings(one, pooling)[comparison.items(one)] for one in pair)
    b[:, same] = a[:, same]
    first = comparison.first
    labels, folds = (comparison.of_items(values[label]) for values in (first.labels, first.groups))
    assert labels is not None
    return swapped(a, b, labels, folds, comparison.groups, n_permutations=n_permutations)


@of_recording
def recording_layer_transfer(recording: Recording, label: str, pooling: str = "query_mean") -> Array:
    """(L + 1, L + 1) the score of probes of one layer tested on another."""
    return layer_transfer(embeddings(recording, pooling), recording.labels[label], recording.groups[label])


@of_comparison
def recording_transfer(comparison: Comparison, label: str, pooling: str = "query_mean") -> Transfer:
    """Probes of A of the first demonstration seed, tested on its B."""
    a, b = comparison.pairs[0]
    x, y = (embeddings(one, pooling)[comparison.items(one)] for one in (a, b))
    labels, groups = (np.asarray(table[label])[comparison.items(a)] for table in (a.labels, a.groups))
    return probe_transfer(x, labels, y, groups)


class ProbeScore(Measure):
    """The held-out score of a linear probe of a label."""

    name, title, axis = "probe", "what a probe reads of the label", "Held-out score"
    about = (
        "How well a linear probe reads a label from each layer's embeddings of items whose group it has not seen. "
        "What can be read need not be used by the model."
    )
    page, order, figure = "probing", 1, "probe-by-layer"
    options = (LABEL, POOLING, STRENGTH, DIMENSIONS)

    def absent(self, recording: Recording, measuring: Measuring) -> str | None:
        """Why there is none: no label has groups to hold out."""
        return None if measuring.of(recording)[1] else "no label of the items has groups that could be held out"

    def short_subject(self, recording: Recording, measuring: Measuring, titles: Titles) -> str:
        """Of which label."""
        return f"{self.short} of “{titles[measuring.of(recording)[1]]}”"

    def subject(self, recording: Recording, measuring: Measuring, titles: Titles) -> str:
        """The probe of one label."""
        return f"probe of “{titles[measuring.of(recording)[1]]}”"

    def change_subject(self, recording: Recording, measuring: Measuring, titles: Titles) -> str:
        """What `probe_change` compares of a label."""
        label = measuring.of(recording)[1]
        if is_number(recording, label):
            return f"−log(1 − R²) of the ridge probe of “{titles[label]}”"
        return f"held-out balanced accuracy of the least-squares probe of “{titles[label]}”"

    def of_items(self, recording: Recording, measuring: Measuring, items: Array) -> Array:
        """(m, L + 1) the held-out evidence of each item's true class."""
        return held_out_probe(recording, measuring.of(recording)[1], measuring.pooling, items).item_evidence

    def resolution(self, recording: Recording, measuring: Measuring, items: Array, values: Array) -> Array:
        """(L + 1,) ten times what rounding moves it."""
        label = measuring.of(recording)[1]

        def evidence(moved: Array) -> Array:
            return probe_of(recording, label, moved, items).item_evidence

        return resolution(evidence, embeddings(recording, measuring.pooling)[items], values)

    def of_condition(self, recording: Recording, measuring: Measuring) -> Probe:
        """The probe of each layer, against permuted labels."""
        return recording_probe(
            recording,
            measuring.of(recording)[1],
            measuring.pooling,
            PERMUTATIONS,
            strength=measuring.value(STRENGTH, recording),
            dimensions=measuring.value(DIMENSIONS, recording),
        )

    def change(self, comparison: Comparison, measuring: Measuring) -> Change:
        """B minus A of the held-out score; all dimensions are kept and strengths chosen inside folds."""
        return probe_change(comparison, measuring.of(comparison.first)[1], measuring.pooling)

    def words(self, recording: Recording, measuring: Measuring, titles: Titles) -> dict[str, Any]:
        """The label's title."""
        return {"label": titles[measuring.of(recording)[1]]}

    def methods(self, recordings: Sequence[Recording], measuring: Measuring, titles: Titles, used: Resampling) -> str:
        """Which probe was fitted, held out and permuted."""
        first = recordings[0]
        label = measuring.label
        if label is None or label not in first.groups:
            return "No label was probed."
        n_groups = len(np.unique(first.groups[label]))
        kind, score, interval = (
            ("ridge regression", "R²", ", their intervals from the jackknife over groups [@efron1981jackknife]")
            if is_number(first, label)
            else ("multinomial logistic regression (L2)", "balanced accuracy", ", their intervals Wilson's")
        )
        return (
            f"The label “{titles[label]}” was read from each layer by {kind}, its strength chosen inside the training "
            f"folds alone; {min(5, n_groups)} folds kept each of {n_groups} groups whole, and scores are held-out "
            f"{score}{interval}. "
            "Chance and one-sided p values come from a least-squares probe of fixed strength on the same folds, its "
            f"labels permuted in their own unit {used.probe_permutations:,} times; selectivity is the score less that "
            "of control labels that are random for each type of item [@hewitt2019designing]."
        )


MEASURE = ProbeScore()
