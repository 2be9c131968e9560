"""Analyses of recordings, kept by recording and parameters: they are pure, so equal questions have equal answers."""

from typing import Any

import numpy as np
import streamlit as st

from iclviz.analysis import of_pairs, of_recording
from iclviz.analysis.attention import LogRatioSummary, attention_ratio, missing_reasons, role_split
from iclviz.analysis.behaviour import ScoreSummary, coarsest_groups, score_summary
from iclviz.analysis.comparing import Change, Difference, hypotheses_difference
from iclviz.analysis.composite import CompositeToSimple
from iclviz.analysis.headlines import Headline, headline, link_points
from iclviz.analysis.item_maps import ItemMap, clustered_order, item_map
from iclviz.analysis.layer_similarity import cka_by_layer, second_order
from iclviz.analysis.measures import ConditionPoints, Measuring, across_conditions, first_layer
from iclviz.analysis.paired import PairedTest
from iclviz.analysis.pairs import Comparison
from iclviz.analysis.probing import Probe, Transfer, layer_transfer, probe_transfer
from iclviz.analysis.reliability import NoiseCeiling, noise_ceiling
from iclviz.analysis.rsa import AlignmentTest
from iclviz.analysis.surface import SurfaceControl, surface_control, surface_rsms
from iclviz.recording import Array, Recording

Keys = tuple[str, ...]


@st.cache_resource(show_spinner=False, max_entries=16)
def rsm_stack(key: str, pooling: str, metric: Any, drop_largest: float, _recording: Recording) -> Array:
    """(L + 1, n, n) RSMs; shared, so never changed."""
    stack = of_recording.recording_rsms(_recording, pooling, metric, drop_largest)
    stack.setflags(write=False)
    return stack


@st.cache_data(show_spinner=False, max_entries=64)
def clusters(key: str, pooling: str, metric: Any, drop_largest: float, layer: int, _recording: Recording) -> Array:
    """(n,) the order in which clusters of a layer's items stand side by side."""
    return clustered_order(rsm_stack(key, pooling, metric, drop_largest, _recording)[layer])


@st.cache_data(show_spinner=False, max_entries=64)
def plane(key: str, pooling: str, metric: Any, drop_largest: float, layer: int, _recording: Recording) -> ItemMap:
    """The items of a layer in a plane."""
    return item_map(rsm_stack(key, pooling, metric, drop_largest, _recording)[layer], metric)


@st.cache_data(show_spinner="Testing the alignment of every layer …", max_entries=128)
def alignment(
    key: str, hypothesis: str, pooling: str, metric: Any, method: Any, drop_largest: float, _recording: Recording
) -> AlignmentTest:
    """Alignment of every layer with a hypothesis, 1,000 permutations."""
    return of_recording.recording_alignment(
        _recording, hypothesis, pooling, metric, method=method, drop_largest=drop_largest
    )


@st.cache_data(show_spinner="Comparing the alignment of A and B …", max_entries=64)
def alignment_change(
    keys: Keys, hypothesis: str, pooling: str, metric: Any, method: Any, _comparison: Comparison
) -> Difference:
    """B minus A of every layer's alignment."""
    return of_pairs.alignment_change(_comparison, hypothesis, pooling, metric, method)


@st.cache_data(show_spinner="Comparing the two hypotheses …", max_entries=64)
def hypotheses(key: str, names: tuple[str, str], pooling: str, metric: Any, _recording: Recording) -> Difference:
    """How much better every layer agrees with the first hypothesis than with the second, by rho-a."""
    stack = rsm_stack(key, pooling, metric, 0.0, _recording)
    one, other = (_recording.hypotheses[name] for name in names)
    return hypotheses_difference(stack, one, other, coarsest_groups(_recording))


@st.cache_data(show_spinner="Removing surface from the alignment …", max_entries=64)
def surface(key: str, hypothesis: str, pooling: str, metric: Any, _recording: Recording) -> SurfaceControl:
    """The alignment of every layer with surface removed."""
    stack = rsm_stack(key, pooling, metric, 0.0, _recording)
    return surface_control(stack, _recording.hypotheses[hypothesis], surface_rsms(_recording, pooling))


@st.cache_data(show_spinner="Comparing the layers …", max_entries=64)
def layers_alike(key: str, other: str, pooling: str, metric: Any, measure: str, _a: Recording, _b: Recording) -> Array:
    """(L + 1, L' + 1) second-order similarity of the layers of two recordings of the same items."""
    if measure == "cka":
        return cka_by_layer(of_recording.embeddings(_a, pooling), of_recording.embeddings(_b, pooling))
    return second_order(rsm_stack(key, pooling, metric, 0.0, _a), rsm_stack(other, pooling, metric, 0.0, _b))


@st.cache_data(show_spinner="Comparing demonstration seeds …", max_entries=64)
def ceiling(keys: Keys, pooling: str, metric: Any, _recordings: list[Recording]) -> NoiseCeiling:
    """What the RSMs of several demonstration seeds have in common."""
    return noise_ceiling(np.stack([rsm_stack(one.key, pooling, metric, 0.0, one) for one in _recordings]))


@st.cache_data(show_spinner="Comparing composite with simple prompts …", max_entries=64)
def composite(key: str, simple: str, pooling: str, metric: Any, _a: Recording, _b: Recording) -> CompositeToSimple:
    """Composite items against their simple prompts."""
    return of_pairs.recording_composite_to_simple(_a, _b, pooling, metric)


@st.cache_data(show_spinner="Training a probe on every layer …", max_entries=128)
def probe(
    key: str, label: str, pooling: str, strength: float | None, dimensions: int | None, _recording: Recording
) -> Probe:
    """Probe of every layer, 200 permutations."""
    return of_recording.recording_probe(
        _recording, label, pooling, of_recording.PAGE_PERMUTATIONS, strength=strength, dimensions=dimensions
    )


@st.cache_data(show_spinner="Comparing the probes of A and B …", max_entries=64)
def probe_change(keys: Keys, label: str, pooling: str, _comparison: Comparison) -> Change:
    """B minus A of every layer's held-out score."""
    return of_pairs.probe_change(_comparison, label, pooling)


@st.cache_data(show_spinner="Testing the probes of one layer on all others …", max_entries=32)
def transfer_between_layers(key: str, label: str, pooling: str, _recording: Recording) -> Array:
    """(L + 1, L + 1) probes of one layer tested on another."""
    x = of_recording.embeddings(_recording, pooling)
    return layer_transfer(x, _recording.labels[label], _recording.groups[label])


@st.cache_data(show_spinner="Testing A's probes on B …", max_entries=32)
def transfer(keys: Keys, label: str, pooling: str, _comparison: Comparison) -> Transfer:
    """Probes of the first A tested on the first B."""
    a, b = _comparison.pairs[0]
    x, y = (of_recording.embeddings(one, pooling)[_comparison.items(one)] for one in (a, b))
    labels, groups = (np.asarray(table[label])[_comparison.items(a)] for table in (a.labels, a.groups))
    return probe_transfer(x, labels, y, groups)


@st.cache_data(show_spinner=False, max_entries=128)
def log_ratio(key: str, measuring: Measuring, _recording: Recording) -> LogRatioSummary:
    """Mean log attention ratio of every layer."""
    return of_recording.recording_log_ratio(
        _recording, measuring.heads, measuring.rows, measuring.over, measuring.under, measuring.per
    )


@st.cache_data(show_spinner=False, max_entries=128)
def log_ratio_by_head(key: str, measuring: Measuring, _recording: Recording) -> LogRatioSummary:
    """Mean log attention ratio of every layer and head."""
    how = (measuring.rows, measuring.over, measuring.under, measuring.per)
    return of_recording.recording_log_ratio_by_head(_recording, *how)


@st.cache_data(show_spinner=False, max_entries=128)
def log_ratio_of_items(key: str, measuring: Measuring, block: int, _recording: Recording) -> Array:
    """(n,) log attention ratio of every item in one block."""
    how = (measuring.over, measuring.under, measuring.heads, measuring.rows)
    return np.log(attention_ratio(_recording, *how, measuring.per)[:, block - 1])


@st.cache_data(show_spinner="Comparing the attention of A and B …", max_entries=64)
def log_ratio_change(keys: Keys, measuring: Measuring, by_head: bool, _comparison: Comparison) -> Change:
    """B minus A of the log attention ratio."""
    return of_pairs.log_ratio_change(_comparison, measuring, by_head)


@st.cache_data(show_spinner=False, max_entries=64)
def relevance(key: str, measuring: Measuring, by_head: bool, _recording: Recording) -> PairedTest:
    """The same text when it is relevant against when it is not."""
    return of_pairs.relevance_test(_recording, measuring, by_head)


@st.cache_data(show_spinner=False, max_entries=128)
def missing(key: str, measuring: Measuring, _recording: Recording) -> dict[str, int]:
    """Why attention ratios are missing, with how many."""
    return missing_reasons(_recording, measuring.over, measuring.under, measuring.heads, measuring.rows)


@st.cache_data(show_spinner=False, max_entries=64)
def score_change(keys: Keys, score: str, _comparison: Comparison) -> Change:
    """B minus A of a score."""
    return of_pairs.score_difference(_comparison, score)


@st.cache_data(show_spinner="Computing the headline …", max_entries=32)
def summary(keys: Keys, score: str, measuring: Measuring, _comparison: Comparison) -> Headline:
    """The headline of a comparison."""
    return headline(_comparison, score, measuring)


@st.cache_data(show_spinner=False, max_entries=64)
def conditions(
    keys: Keys, measure: str, score: str, layer: int, measuring: Measuring, _recordings: dict[str, Recording]
) -> ConditionPoints:
    """Conditions as points: a measure in one layer against a score."""
    return across_conditions(_recordings, measure, score, layer - first_layer(measure), measuring)


@st.cache_data(show_spinner=False, max_entries=64)
def points(
    keys: Keys, measure: str, score: str, layer: int, measuring: Measuring, _comparison: Comparison
) -> tuple[Array, Array]:
    """The items behind a link in one layer."""
    return link_points(_comparison, measure, score, layer, measuring)


@st.cache_data(show_spinner=False, max_entries=128)
def split(key: str, rows: Any, _recording: Recording) -> dict[str, Array]:
    """Share of attention of every role, by layer."""
    return role_split(_recording, rows)


@st.cache_data(show_spinner=False, max_entries=256)
def score(key: str, name: str, _recording: Recording) -> ScoreSummary:
    """A score with its interval."""
    return score_summary(_recording, name)


def largest_common_layer(recordings: list[Recording]) -> int:
    """The last layer that all of them have."""
    return int(np.min([recording.n_layers for recording in recordings]))
