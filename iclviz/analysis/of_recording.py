"""The measures of one recording: which arrays, which groups and which defaults go into each analysis.

Units follow the recording: a hypothesis is permuted and resampled in its own groups, a label is probed with the groups
that its folds keep whole, and mean attention ratios resample the coarsest groups.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from iclviz.analysis.attention import (
    Heads,
    LogRatioSummary,
    Rows,
    attention_ratio,
    attention_ratio_by_head,
    log_ratio_summary,
)
from iclviz.analysis.behaviour import coarsest_groups
from iclviz.analysis.probing import Probe, probe
from iclviz.analysis.rounding import missing_layers
from iclviz.analysis.rsa import AlignmentTest, Metric, alignment_test, rsms
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
    """(n, L + 1, d) float32 embeddings of a pooling.

    Raises
    ------
    AnalysisError: the recording does not keep that pooling.
    """
    if pooling not in recording.embeddings:
        raise unknown(AnalysisError, "pooling of this recording", pooling, list(recording.embeddings))
    return np.asarray(recording.embeddings[pooling], dtype=np.float32)


def recording_rsms(recording: Recording, pooling: str = "query_mean", metric: Metric = "cosine") -> Array:
    """(L + 1, n, n) RSMs of a recording."""
    return rsms(embeddings(recording, pooling), metric)


def recording_alignment(
    recording: Recording,
    hypothesis: str,
    pooling: str = "query_mean",
    metric: Metric = "cosine",
    n_permutations: int = 1000,
) -> AlignmentTest:
    """Alignment of each layer with one of the recording's hypotheses, in the hypothesis's own unit.

    Raises
    ------
    AnalysisError: no such hypothesis or pooling.
    """
    if hypothesis not in recording.hypotheses:
        raise unknown(AnalysisError, "hypothesis", hypothesis, list(recording.hypotheses))
    x = embeddings(recording, pooling)
    groups = recording.groups.get(hypothesis)
    test = alignment_test(rsms(x, metric), recording.hypotheses[hypothesis], groups, n_permutations=n_permutations)
    exact = missing_layers(x)
    return replace(test, missing={layer: exact.get(layer, why) for layer, why in test.missing.items()})


def probed_labels(recording: Recording) -> list[str]:
    """Labels that have fold groups; one without would be read off shared text."""
    return [label for label in recording.labels if label in recording.groups]


def recording_probe(recording: Recording, label: str, pooling: str = "query_mean", n_permutations: int = 1000) -> Probe:
    """The probe of one of the recording's labels, folds held to the label's groups.

    Raises
    ------
    AnalysisError: no such label or pooling.
    """
    if label not in probed_labels(recording):
        raise unknown(AnalysisError, "label to probe", label, probed_labels(recording))
    return probe(
        embeddings(recording, pooling), recording.labels[label], recording.groups[label], n_permutations=n_permutations
    )


def recording_log_ratio(recording: Recording, heads: Heads = "mean", rows: Rows = "response") -> LogRatioSummary:
    """Mean log attention ratio (relevant over irrelevant) of each layer, (L,)."""
    ratio = attention_ratio(recording, heads=heads, rows=rows)
    return log_ratio_summary(ratio, coarsest_groups(recording))


def recording_log_ratio_by_head(recording: Recording, rows: Rows = "response") -> LogRatioSummary:
    """The same for each layer and head, (L, H)."""
    return log_ratio_summary(attention_ratio_by_head(recording, rows=rows), coarsest_groups(recording))
