"""Alignment: how far each layer's similarities of items go with a hypothesis."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from iclviz.analysis.behaviour import coarsest_groups
from iclviz.analysis.change import Difference, alignment_difference, hypotheses_difference
from iclviz.analysis.comparison import Comparison, check_layers, layers_alike, of_comparison
from iclviz.analysis.correlations import Method
from iclviz.analysis.hypothesis_permutations import arrangement
from iclviz.analysis.measure import (
    DROPPED,
    HYPOTHESIS,
    METRIC,
    OUTLIERS,
    POOLING,
    Measure,
    MeasureOption,
    Measuring,
    Resampling,
    Titles,
    offered,
)
from iclviz.analysis.recordings import embeddings, hypothesis_of, recording_rsms
from iclviz.analysis.resolution import missing_layers, resolution
from iclviz.analysis.results import Estimates
from iclviz.analysis.rsa import AlignmentTest, Metric, alignment_test, item_alignment, rsms
from iclviz.analysis.statistics import MIN_UNITS, unit_codes
from iclviz.analysis.text_ceiling import no_room, share_of_largest
from iclviz.analysis.wording import UNITS, pooling_title
from iclviz.contrasts import UNIT
from iclviz.questions.question import of_recording
from iclviz.recording import Array, Recording

METHODS: dict[str, str] = {
    "spearman": "Spearman's rho",
    "pearson": "Pearson's r",
    "tau-a": "Kendall's tau-a",
    "rho-a": "rho-a",
}

METHOD = MeasureOption(
    "method",
    "Correlation",
    "How two matrices are correlated. Spearman for one hypothesis over layers; rho-a to compare two hypotheses, "
    "since Spearman favours those with many ties.",
    offered("spearman", "pearson", "rho-a"),
    METHODS,
)


@of_recording
def recording_alignment(
    recording: Recording,
    hypothesis: str,
    pooling: str = "query_mean",
    metric: Metric = "cosine",
    n_permutations: int = 1000,
    *,
    method: Method = "spearman",
    drop_largest: float = 0.0,
) -> AlignmentTest:
    """Alignment of each layer with one of the recording's hypotheses, in the hypothesis's own unit.

    `drop_largest` leaves out that share of the dimensions, those of largest variance, as a check.

    Raises
    ------
    AnalysisError: no such hypothesis or pooling.
    """
    predictions = hypothesis_of(recording, hypothesis)
    x = embeddings(recording, pooling)
    groups = recording.groups.get(hypothesis)
    matrices = rsms(x, metric, drop_largest=drop_largest)
    test = alignment_test(
        matrices,
        predictions,
        groups,
        independent=coarsest_groups(recording),
        units=recording.factors.get(UNIT),
        method=method,
        n_permutations=n_permutations,
    )
    exact = missing_layers(x)
    return replace(
        test,
        missing={layer: exact.get(layer, why) for layer, why in test.missing.items()},
        text_share=share_of_largest(matrices[0], predictions, method),
    )


@of_comparison
def alignment_change(
    comparison: Comparison, hypothesis: str, pooling: str = "query_mean", metric: Metric = "cosine",
    method: Method = "spearman",
) -> Difference:  # fmt: skip
    """B minus A of each layer's alignment with a hypothesis.

    Raises
    ------
    AnalysisError: no such hypothesis or pooling, or models with different numbers of layers.
    """
    check_layers(comparison)
    first = comparison.first
    predictions, items = hypothesis_of(first, hypothesis), comparison.items(first)

    def stacks(side: int) -> Array:
        different = {id(one): one for one in comparison.side(side)}
        return np.stack([_rsms(one, comparison.items(one), pooling, metric) for one in different.values()])

    before, after = stacks(0), stacks(1)
    same = layers_alike(comparison, pooling)
    after[:, same] = before[:, same] = before[:1, same]
    return alignment_difference(before, after, predictions[np.ix_(items, items)], comparison.groups, method=method)


@of_recording
def recording_hypotheses_difference(
    recording: Recording, hypotheses: tuple[str, str], pooling: str = "query_mean", metric: Metric = "cosine"
) -> Difference:
    """How much better each layer agrees with the first hypothesis than with the second, by rho-a.

    Raises
    ------
    AnalysisError: no such hypothesis or pooling.
    """
    one, other = (hypothesis_of(recording, name) for name in hypotheses)
    stack = recording_rsms(recording, pooling, metric)
    return hypotheses_difference(stack, one, other, coarsest_groups(recording))


def _rsms(recording: Recording, items: Array, pooling: str, metric: Metric) -> Array:
    rsms = recording_rsms(recording, pooling, metric)
    return np.asarray(rsms[:, items[:, None], items])


class Alignment(Measure):
    """The correlation of each layer's similarity matrix with a hypothesis."""

    name, title, axis = "alignment", "alignment with the hypothesis", "Alignment (Spearman's rho)"
    about = (
        "How far items that a hypothesis calls alike are represented alike, as the correlation of each layer's matrix "
        "of similarities with the hypothesis's. It is about geometry as a whole: a label that few dimensions hold can "
        "be read by a probe and leave no trace here."
    )
    page, order, figure = "rsa", 0, "alignment-by-layer"
    needs_room = True
    options = (HYPOTHESIS, POOLING, METRIC, METHOD, DROPPED)

    def absent(self, recording: Recording, measuring: Measuring) -> str | None:
        """Why there is none: the items have no hypothesis."""
        return None if measuring.of(recording)[0] else "the items have no hypothesis"

    def short_subject(self, recording: Recording, measuring: Measuring, titles: Titles) -> str:
        """With which hypothesis."""
        return f"{self.short} with “{titles[measuring.of(recording)[0]]}”"

    def subject(self, recording: Recording, measuring: Measuring, titles: Titles) -> str:
        """The alignment with one hypothesis."""
        return f"alignment with “{titles[measuring.of(recording)[0]]}”"

    def of_items(self, recording: Recording, measuring: Measuring, items: Array) -> Array:
        """(m, L + 1) each item's own alignment: its row of the RSM against its row of the hypothesis."""
        matrix = hypothesis_of(recording, measuring.of(recording)[0])
        return item_alignment(recording_rsms(recording, measuring.pooling, measuring.metric), matrix)[items]

    def resolution(self, recording: Recording, measuring: Measuring, items: Array, values: Array) -> Array:
        """(L + 1,) ten times what rounding moves it."""
        matrix, x = hypothesis_of(recording, measuring.of(recording)[0]), embeddings(recording, measuring.pooling)
        return resolution(lambda moved: item_alignment(rsms(moved, measuring.metric), matrix)[items], x)

    def of_condition(self, recording: Recording, measuring: Measuring) -> AlignmentTest:
        """The alignment of each layer, against permuted hypotheses."""
        return recording_alignment(
            recording,
            measuring.of(recording)[0],
            measuring.pooling,
            measuring.metric,
            method=measuring.value(METHOD, recording),
            drop_largest=OUTLIERS if measuring.value(DROPPED, recording) else 0.0,
        )

    def change(self, comparison: Comparison, measuring: Measuring) -> Difference:
        """B minus A of the alignment; all dimensions are kept."""
        first = comparison.first
        return alignment_change(
            comparison, measuring.of(first)[0], measuring.pooling, measuring.metric, measuring.value(METHOD, first)
        )

    def words(self, recording: Recording, measuring: Measuring, titles: Titles) -> dict[str, Any]:
        """The hypothesis's title."""
        return {"hypothesis": titles[measuring.of(recording)[0]]}

    def notes(
        self, results: Sequence[Estimates], recording: Recording, measuring: Measuring, titles: Titles
    ) -> list[str]:
        """Whether the text alone meets the hypothesis."""
        shares = [one.text_share for one in results if isinstance(one, AlignmentTest) and np.isfinite(one.text_share)]
        note = no_room(max(shares, default=np.nan), titles[measuring.of(recording)[0]])
        return [note] if note else []

    def methods(self, recordings: Sequence[Recording], measuring: Measuring, titles: Titles, used: Resampling) -> str:
        """What was pooled, correlated and permuted."""
        first = recordings[0]
        hypothesis, _ = measuring.of(first)
        unit, n_units = _permuted(first, hypothesis)
        p = (
            f"p values are one-sided, from {used.alignment_permutations:,} permutations of {UNITS[unit]} (all of them "
            "where there are fewer), (1 + b)/(1 + B) [@phipson2010permutation], corrected over layers by the maximum "
            "of values standardised by each layer's own null [@westfall1993resampling]"
            if n_units >= MIN_UNITS
            else f"no p value is given, since there are only {n_units} units to permute"
        )
        return (
            f"Hidden states of layers 0 (input of the first block) to {first.n_layers} (output of the last block, "
            f"before the final norm) were pooled over prompt tokens ({pooling_title(measuring.pooling)}). "
            f"Representational similarity [@kriegeskorte2008representational] was {measuring.metric} after subtracting "
            f"the mean over items; alignment with the hypothesis “{titles[hypothesis]}” was Spearman's correlation "
            f"over pairs of items, without the diagonal; {p}. Intervals (95 %) are percentiles of "
            f"{used.n_bootstrap:,} bootstrap resamples of {'single items' if unit == 'items' else 'groups'}, ranks "
            "recomputed, pairs of copies of one group left out [@nili2014toolbox; @schuett2023statistical]; "
            "differences between conditions apply one resample to both, with two-sided p values by inverting it."
        )


def _permuted(recording: Recording, hypothesis: str) -> tuple[str, int]:
    """What permutations of a hypothesis move, and how many of them there are."""
    matrix = np.asarray(recording.hypotheses[hypothesis], dtype=float)
    units = arrangement(matrix, unit_codes(recording.groups.get(hypothesis), recording.n_items))
    return units.unit, units.n_units


MEASURE = Alignment()
