"""The measures of one recording: which arrays, which groups and which defaults go into each analysis.

Units follow the recording: a hypothesis is permuted in its own groups, a label is probed with the groups that its folds
keep whole, and intervals resample the coarsest groups, which alone are independent of each other.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from iclviz.analysis.attention import (
    Heads,
    LogRatioSummary,
    Per,
    Rows,
    attention_ratio,
    attention_ratio_by_head,
    bounded_ratios,
    bounded_ratios_by_head,
    log_ratio_summary,
)
from iclviz.analysis.behaviour import coarsest_groups
from iclviz.analysis.correlations import Method
from iclviz.analysis.probing import Probe, probe
from iclviz.analysis.resolution import missing_layers
from iclviz.analysis.room import share_of_largest
from iclviz.analysis.rsa import AlignmentTest, Metric, alignment_test, rsm, rsms
from iclviz.contrasts import UNIT
from iclviz.errors import AnalysisError, unknown
from iclviz.recording import Array, Recording

PAGE_PERMUTATIONS = 200
"""Permutations of a probe's labels where somebody waits for the answer; the API's default is 1,000."""


def demonstration_scope(recordings: Iterable[Recording]) -> str:
    """What every statement about these conditions is limited to, "" where none of them shows demonstrations.

    One demonstration set says nothing of others, so figures end with this.
    """
    shown = [recording.spec.demonstrations.canonical() for recording in recordings]
    sets = list(dict.fromkeys(one for one in shown if one.k))
    if not sets:
        return ""
    seeds = ", ".join(str(seed) for seed in sorted({one.seed for one in sets}))
    if len(sets) == 1:
        return f"for this demonstration set only (seed {seeds})"
    return f"for these demonstration sets only (one seed each: {seeds})"


def embeddings(recording: Recording, pooling: str) -> Array:
    """(n, L + 1, d) embeddings of a pooling, in the type that keeps them, float16 or float32.

    Raises
    ------
    AnalysisError: the recording does not keep that pooling.
    """
    if pooling not in recording.embeddings:
        raise unknown(AnalysisError, "pooling of this recording", pooling, list(recording.embeddings))
    return np.asarray(recording.embeddings[pooling])


def said_by(recording: Recording, hypothesis: str) -> Array:
    """(n, n) one of the recording's hypotheses.

    Raises
    ------
    AnalysisError: no such hypothesis.
    """
    if hypothesis not in recording.hypotheses:
        raise unknown(AnalysisError, "hypothesis", hypothesis, list(recording.hypotheses))
    return np.asarray(recording.hypotheses[hypothesis])


def recording_rsms(
    recording: Recording, pooling: str = "query_mean", metric: Metric = "cosine", drop_largest: float = 0.0
) -> Array:
    """(L + 1, n, n) RSMs of a recording."""
    return rsms(embeddings(recording, pooling), metric, drop_largest=drop_largest)


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
    said = said_by(recording, hypothesis)
    x = embeddings(recording, pooling)
    groups = recording.groups.get(hypothesis)
    matrices = rsms(x, metric, drop_largest=drop_largest)
    test = alignment_test(
        matrices,
        said,
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
        text_share=share_of_largest(matrices[0], said, method),
    )


def text_share(recording: Recording, hypothesis: str, pooling: str, metric: Metric = "cosine") -> float:
    """How far the prompts' text alone, layer 0, is aligned with a hypothesis, as a share of the largest alignment.

    Raises
    ------
    AnalysisError: no such hypothesis or pooling.
    """
    return share_of_largest(rsm(embeddings(recording, pooling)[:, 0], metric), said_by(recording, hypothesis))


def probed_labels(recording: Recording) -> list[str]:
    """Labels that have fold groups; one without would be read off shared text."""
    return [label for label in recording.labels if label in recording.groups]


def is_number(recording: Recording, label: str) -> bool:
    """Whether a label is a number, and so probed by ridge and R2."""
    return bool(np.issubdtype(np.asarray(recording.labels[label]).dtype, np.floating))


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


def recording_log_ratio(
    recording: Recording,
    heads: Heads = "mean",
    rows: Rows = "response",
    over: str = "relevant",
    under: str = "irrelevant",
    per: Per = "token",
) -> LogRatioSummary:
    """Mean log attention ratio of each layer, (L,); options as for `attention_ratio`."""
    ratio = attention_ratio(recording, over, under, heads, rows, per)
    bounded = bounded_ratios(recording, over, under, heads, rows)
    return log_ratio_summary(ratio, coarsest_groups(recording), bounded=bounded)


def recording_log_ratio_by_head(
    recording: Recording,
    rows: Rows = "response",
    over: str = "relevant",
    under: str = "irrelevant",
    per: Per = "token",
) -> LogRatioSummary:
    """The same for each layer and head, (L, H)."""
    ratio = attention_ratio_by_head(recording, over, under, rows, per)
    bounded = bounded_ratios_by_head(recording, over, under, rows)
    return log_ratio_summary(ratio, coarsest_groups(recording), bounded=bounded)
