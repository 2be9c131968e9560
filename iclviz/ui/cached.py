"""What several pages ask of recordings, and what they take from answers at once."""

import textwrap

import numpy as np
import streamlit as st

from iclviz.analysis import score_changes
from iclviz.analysis.behaviour import ScoreSummary, score_summary
from iclviz.analysis.change import Change
from iclviz.analysis.comparison import Comparison
from iclviz.analysis.item_maps import ItemMap, clustered_order, item_map
from iclviz.analysis.rsa import Metric
from iclviz.natural_units import NaturalUnit
from iclviz.points import ItemPoints
from iclviz.recording import Array, Recording
from iclviz.tasks import task


@st.cache_data(show_spinner=False, max_entries=64)
def clusters(key: str, making: tuple[str, Metric, float, int], _rsm: Array) -> Array:
    """(n,) the order in which clusters of a layer's items stand side by side."""
    return clustered_order(_rsm)


@st.cache_data(show_spinner=False, max_entries=64)
def plane(key: str, making: tuple[str, Metric, float, int], _rsm: Array) -> ItemMap:
    """The items of a layer in a plane."""
    return item_map(_rsm, making[1])


@st.cache_data(show_spinner=False, max_entries=32)
def axis_shares(key: str, making: tuple[str, Metric, float], _stack: Array) -> Array:
    """(L + 1,) how much of the spread of a layer's items its largest axis holds."""
    return np.array([item_map(rsm, making[1]).shares[0] for rsm in _stack])


@st.cache_data(show_spinner=False, max_entries=64)
def score_change(keys: tuple[str, ...], score: str, _comparison: Comparison) -> tuple[Change, int]:
    """B minus A of a score, and how many items have one."""
    of_items = score_changes.score_change(_comparison, score)
    return score_changes.score_difference(_comparison, score), int(np.isfinite(of_items).any(axis=0).sum())


@st.cache_data(show_spinner=False, max_entries=256)
def score(key: str, name: str, _recording: Recording, unit: NaturalUnit | None = None) -> ScoreSummary:
    """A score with its interval, as people say it."""
    return score_summary(_recording, name, unit=unit)


@st.cache_data(show_spinner=False, max_entries=256)
def points(key: str, place: int, _recording: Recording) -> ItemPoints | None:
    """What a picture of an item shows; None where items are no points."""
    spec, the_task = _recording.spec, task(_recording.spec.task)
    data = the_task.data(spec.n_items, spec.seed, spec.task_options)
    return the_task.points(data, place, spec.demonstrations, spec.task_options)


TEXT_LENGTH = 60


@st.cache_data(show_spinner=False, max_entries=32)
def item_texts(key: str, _recording: Recording) -> list[str]:
    """N beginnings of the items' own queries, for hovers."""
    texts = (
        "".join(tokens[start : len(ids)])
        for tokens, start, ids in zip(_recording.tokens, _recording.query_start, _recording.prompt_ids, strict=True)
    )
    return [textwrap.shorten(text, TEXT_LENGTH, placeholder=" …") for text in texts]


def largest_common_layer(recordings: list[Recording]) -> int:
    """The last layer that all of them have."""
    return int(np.min([recording.n_layers for recording in recordings]))
