"""The analyses that pages ask for: each takes recordings, in the order of a question's keys, and plain arguments.

Those of one condition take one recording; comparisons take A and B of each demonstration seed in turn.
"""

from collections.abc import Mapping

import numpy as np

from iclviz.analysis import layer_similarity, of_pairs, of_recording, score_table
from iclviz.analysis.attention import (
    By,
    LogRatioSummary,
    RoleShares,
    Rows,
    TextAttention,
    attention_on_text,
    attention_ratio,
    missing_reasons,
    role_shares,
    role_split,
)
from iclviz.analysis.behaviour import coarsest_groups
from iclviz.analysis.comparing import Change, Difference, hypotheses_difference
from iclviz.analysis.composite import CompositeToSimple
from iclviz.analysis.correlations import Method
from iclviz.analysis.effects import Effect, measure_effect, score_effect
from iclviz.analysis.headlines import Headline, LevelScore, headline, score_by_level
from iclviz.analysis.measures import ConditionPoints, Measuring, across_conditions, bounds_of, measure_change
from iclviz.analysis.paired import PairedTest
from iclviz.analysis.pairs import Comparison, compare
from iclviz.analysis.probing import Probe, Transfer, layer_transfer, probe_transfer
from iclviz.analysis.reliability import NoiseCeiling, noise_ceiling
from iclviz.analysis.rsa import AlignmentTest, Metric
from iclviz.analysis.score_table import ScoreRow
from iclviz.analysis.surface import SurfaceControl, surface_control, surface_rsms
from iclviz.contrasts import Contrast
from iclviz.questions.question import Recordings, analysis
from iclviz.recording import Array


def compared(recordings: Recordings) -> Comparison:
    """A and B of each demonstration seed in turn, as a comparison."""
    return compare(recordings[::2], recordings[1::2])


@analysis
def rsm_stack(recordings: Recordings, pooling: str, metric: Metric, drop_largest: float) -> Array:
    """(L + 1, n, n) float32 RSMs of one condition."""
    return of_recording.recording_rsms(recordings[0], pooling, metric, drop_largest)


@analysis
def alignment(
    recordings: Recordings, hypothesis: str, pooling: str, metric: Metric, method: Method, drop_largest: float
) -> AlignmentTest:
    """Alignment of every layer with a hypothesis, 1,000 permutations."""
    return of_recording.recording_alignment(
        recordings[0], hypothesis, pooling, metric, method=method, drop_largest=drop_largest
    )


@analysis
def alignment_change(
    recordings: Recordings, hypothesis: str, pooling: str, metric: Metric, method: Method
) -> Difference:
    """B minus A of every layer's alignment."""
    return of_pairs.alignment_change(compared(recordings), hypothesis, pooling, metric, method)


@analysis
def hypotheses(recordings: Recordings, names: tuple[str, str], pooling: str, metric: Metric) -> Difference:
    """How much better every layer agrees with the first hypothesis than with the second, by rho-a."""
    one, other = (recordings[0].hypotheses[name] for name in names)
    stack = of_recording.recording_rsms(recordings[0], pooling, metric)
    return hypotheses_difference(stack, one, other, coarsest_groups(recordings[0]))


@analysis
def surface(recordings: Recordings, hypothesis: str, pooling: str, metric: Metric) -> SurfaceControl:
    """The alignment of every layer with surface removed."""
    stack = of_recording.recording_rsms(recordings[0], pooling, metric)
    return surface_control(stack, recordings[0].hypotheses[hypothesis], surface_rsms(recordings[0], pooling))


@analysis
def layers_alike(recordings: Recordings, pooling: str, metric: Metric, measure: str) -> Array:
    """(L + 1, L' + 1) second-order similarity of the layers of two conditions of the same items."""
    if measure == "cka":
        x, y = (of_recording.embeddings(one, pooling) for one in recordings)
        return layer_similarity.cka_by_layer(x, y)
    a, b = (of_recording.recording_rsms(one, pooling, metric) for one in recordings)
    return layer_similarity.second_order(a, b)


@analysis
def ceiling(recordings: Recordings, pooling: str, metric: Metric) -> NoiseCeiling:
    """What the RSMs of several demonstration seeds have in common."""
    return noise_ceiling(np.stack([of_recording.recording_rsms(one, pooling, metric) for one in recordings]))


@analysis
def composite(recordings: Recordings, pooling: str, metric: Metric) -> CompositeToSimple:
    """Composite items against their simple prompts."""
    items, simple = recordings
    return of_pairs.recording_composite_to_simple(items, simple, pooling, metric)


@analysis
def probe(recordings: Recordings, label: str, pooling: str, strength: float | None, dimensions: int | None) -> Probe:
    """Probe of every layer, 200 permutations."""
    return of_recording.recording_probe(
        recordings[0], label, pooling, of_recording.PAGE_PERMUTATIONS, strength=strength, dimensions=dimensions
    )


@analysis
def probe_change(recordings: Recordings, label: str, pooling: str) -> Change:
    """B minus A of every layer's held-out score."""
    return of_pairs.probe_change(compared(recordings), label, pooling)


@analysis
def transfer_between_layers(recordings: Recordings, label: str, pooling: str) -> Array:
    """(L + 1, L + 1) probes of one layer tested on another."""
    one = recordings[0]
    return layer_transfer(of_recording.embeddings(one, pooling), one.labels[label], one.groups[label])


@analysis
def transfer(recordings: Recordings, label: str, pooling: str) -> Transfer:
    """Probes of the first A tested on the first B."""
    comparison = compared(recordings)
    a, b = comparison.pairs[0]
    x, y = (of_recording.embeddings(one, pooling)[comparison.items(one)] for one in (a, b))
    labels, groups = (np.asarray(table[label])[comparison.items(a)] for table in (a.labels, a.groups))
    return probe_transfer(x, labels, y, groups)


@analysis
def log_ratio(recordings: Recordings, measuring: Measuring) -> LogRatioSummary:
    """Mean log attention ratio of every block."""
    how = (measuring.heads, measuring.rows, measuring.over, measuring.under, measuring.per)
    return of_recording.recording_log_ratio(recordings[0], *how)


@analysis
def log_ratio_by_head(recordings: Recordings, measuring: Measuring) -> LogRatioSummary:
    """Mean log attention ratio of every block and head."""
    how = (measuring.rows, measuring.over, measuring.under, measuring.per)
    return of_recording.recording_log_ratio_by_head(recordings[0], *how)


@analysis
def log_ratio_of_items(recordings: Recordings, measuring: Measuring) -> Array:
    """(n, L) log attention ratio of every item in every block."""
    how = (measuring.over, measuring.under, measuring.heads, measuring.rows, measuring.per)
    return np.log(attention_ratio(recordings[0], *how))


@analysis
def log_ratio_change(recordings: Recordings, measuring: Measuring, by_head: bool) -> Change:
    """B minus A of the log attention ratio."""
    return of_pairs.log_ratio_change(compared(recordings), measuring, by_head)


@analysis
def relevance(recordings: Recordings, measuring: Measuring, by_head: bool) -> PairedTest:
    """The same text when it is relevant against when it is not."""
    return of_pairs.relevance_test(recordings[0], measuring, by_head)


@analysis
def missing(recordings: Recordings, measuring: Measuring) -> Mapping[str, int]:
    """Why attention ratios are missing, with how many."""
    return missing_reasons(recordings[0], measuring.over, measuring.under, measuring.heads, measuring.rows)


@analysis
def bounded(recordings: Recordings, measuring: Measuring) -> int:
    """How many attention ratios are only bounds."""
    return int(bounds_of(recordings[0], measuring).sum())


@analysis
def split(recordings: Recordings, rows: Rows) -> Mapping[str, Array]:
    """Share of attention of every role, by block."""
    return role_split(recordings[0], rows)


@analysis
def shares(recordings: Recordings, block: int, head: int | None, rows: Rows) -> RoleShares:
    """Share of attention of every role in one block and head, or the mean over heads."""
    return role_shares(recordings[0], block, head, rows, coarsest_groups(recordings[0]))


@analysis
def on_text(recordings: Recordings, item: int, block: int, head: int | None, rows: Rows, by: By) -> TextAttention:
    """What every token of one item gets of the attention in one block and head."""
    return attention_on_text(recordings[0], item, block, head, rows, by)


@analysis
def summary(recordings: Recordings, score: str, measuring: Measuring, contrast: Contrast | None) -> Headline:
    """The headline of a comparison."""
    return headline(compared(recordings), score, measuring, contrast)


@analysis
def score_levels(recordings: Recordings, contrast: Contrast, score: str) -> tuple[Mapping[str, LevelScore], Effect]:
    """A score at each level of a contrast's factor, and the effect on it."""
    comparison = compared(recordings)
    return score_by_level(comparison, contrast, score), score_effect(comparison, contrast, score)


@analysis
def score_rows(recordings: Recordings, scores: tuple[str, ...]) -> list[ScoreRow]:
    """Scores of A and B as a table, with standardised sizes and mixed models."""
    return score_table.score_rows(compared(recordings), scores)


@analysis
def effect(recordings: Recordings, contrast: Contrast, measure: str, measuring: Measuring) -> Effect:
    """An effect within a condition on a measure of each item, in A and in B, and how far it changed."""
    return measure_effect(compared(recordings), contrast, measure, measuring)


@analysis
def points(recordings: Recordings, measure: str, measuring: Measuring) -> Array:
    """(m, K) each common item's change of a measure in every layer, the mean over seeds."""
    return np.asarray(measure_change(compared(recordings), measure, measuring).mean(axis=0))


@analysis
def conditions(
    recordings: Recordings, labels: tuple[str, ...], measure: str, score: str, measuring: Measuring
) -> list[ConditionPoints]:
    """Conditions as points in every layer: a measure against a score."""
    return across_conditions(dict(zip(labels, recordings, strict=True)), measure, score, measuring)
