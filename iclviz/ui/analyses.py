"""Analyses of recordings, kept by recording and parameters: they are pure, so equal questions have equal answers."""

from typing import Any

import numpy as np
import streamlit as st

from iclviz.analysis import of_recording
from iclviz.analysis.attention import LogRatioSummary, missing_reasons, role_split
from iclviz.analysis.behaviour import ScoreSummary, score_summary
from iclviz.analysis.probing import Probe
from iclviz.analysis.rsa import AlignmentTest
from iclviz.recording import Array, Recording


@st.cache_resource(show_spinner=False, max_entries=16)
def rsm_stack(key: str, pooling: str, metric: Any, _recording: Recording) -> Array:
    """(L + 1, n, n) RSMs; shared, so never changed."""
    stack = of_recording.recording_rsms(_recording, pooling, metric)
    stack.setflags(write=False)
    return stack


@st.cache_data(show_spinner="Testing the alignment of every layer …", max_entries=128)
def alignment(key: str, hypothesis: str, pooling: str, metric: Any, _recording: Recording) -> AlignmentTest:
    """Alignment of every layer with a hypothesis, 1,000 permutations."""
    return of_recording.recording_alignment(_recording, hypothesis, pooling, metric)


@st.cache_data(show_spinner="Training a probe on every layer …", max_entries=128)
def probe(key: str, label: str, pooling: str, _recording: Recording) -> Probe:
    """Probe of every layer, 200 permutations."""
    return of_recording.recording_probe(_recording, label, pooling, of_recording.PAGE_PERMUTATIONS)


@st.cache_data(show_spinner=False, max_entries=128)
def log_ratio(key: str, heads: Any, rows: Any, _recording: Recording) -> LogRatioSummary:
    """Mean log attention ratio of every layer."""
    return of_recording.recording_log_ratio(_recording, heads, rows)


@st.cache_data(show_spinner=False, max_entries=128)
def log_ratio_by_head(key: str, rows: Any, _recording: Recording) -> LogRatioSummary:
    """Mean log attention ratio of every layer and head."""
    return of_recording.recording_log_ratio_by_head(_recording, rows)


@st.cache_data(show_spinner=False, max_entries=128)
def missing(key: str, heads: Any, rows: Any, _recording: Recording) -> dict[str, int]:
    """Why attention ratios are missing, with how many."""
    return missing_reasons(_recording, heads=heads, rows=rows)


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
