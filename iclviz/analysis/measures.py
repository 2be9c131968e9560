"""What a model's inside is measured by, item by item: own alignment, held-out probe evidence, log attention ratio."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import spearmanr

from iclviz.analysis.attention import (
    Heads,
    Per,
    Rows,
    attention_ratio,
    attention_ratio_by_head,
    bounded_ratios,
    bounded_ratios_by_head,
)
from iclviz.analysis.behaviour import nats_held
from iclviz.analysis.of_recording import embeddings, held_out_probe, probe_of, probed_labels, recording_rsms, said_by
from iclviz.analysis.pairs import Comparison, check_layers
from iclviz.analysis.resolution import resolution, settled, tied
from iclviz.analysis.rsa import Metric, item_alignment, rsms
from iclviz.analysis.statistics import mean_of_known
from iclviz.errors import AnalysisError, unknown
from iclviz.recording import Array, Recording

_SUMS = 1e-9
"""What sums in float64 leave of equal values."""

Measure = Literal["alignment", "probe", "attention_ratio"]


@dataclass(frozen=True)
class Measuring:
    """How an item is measured; None stands for the recording's first hypothesis and first probed label.

    Attributes
    ----------
    hypothesis, pooling, metric: of its own alignment; label: of its held-out evidence in a probe, over `pooling`.
    heads, rows, over, under, per: of its log attention ratio.
    """

    hypothesis: str | None = None
    label: str | None = None
    pooling: str = "query_mean"
    metric: Metric = "cosine"
    heads: Heads = "mean"
    rows: Rows = "response"
    over: str = "relevant"
    under: str = "irrelevant"
    per: Per = "token"

    def of(self, recording: Recording) -> "tuple[str, str]":
        """The hypothesis and the label for a recording, "" where it has none."""
        hypothesis = self.hypothesis or next(iter(recording.hypotheses), "")
        return hypothesis, self.label or next(iter(probed_labels(recording)), "")


def ratio_of(recording: Recording, how: Measuring, by_head: bool = False) -> Array:
    """The attention ratio of each item, (n, L), or (n, L, H) by head."""
    if by_head:
        return attention_ratio_by_head(recording, how.over, how.under, how.rows, how.per)
    return attention_ratio(recording, how.over, how.under, how.heads, how.rows, how.per)


def log_ratio_resolution(recordings: Iterable[Recording]) -> float:
    """The least difference that log attention ratios of all of these hold."""
    return max(map(nats_held, recordings))


def bounds_of(recording: Recording, how: Measuring, by_head: bool = False) -> Array:
    """Where the attention ratio of an item is only a bound, (n, L), or (n, L, H) by head."""
    if by_head:
        return bounded_ratios_by_head(recording, how.over, how.under, how.rows)
    return bounded_ratios(recording, how.over, how.under, how.heads, how.rows)


def log_ratio_changes(comparison: Comparison, how: Measuring, by_head: bool = False) -> Array:
    """(S, m, L), or (S, m, L, H) by head, B minus A of each item's log attention ratio.

    NaN where both are bounds on the same side: their difference may be anything.
    """
    a, b = comparison.values(lambda recording, items: np.log(ratio_of(recording, how, by_head))[items])
    return _but_of_bounds(comparison, how, by_head, a, b)


def _but_of_bounds(comparison: Comparison, how: Measuring, by_head: bool, a: Array, b: Array) -> Array:
    """B minus A of log attention ratios, NaN where both are bounds on the same side."""
    bounds = comparison.values(lambda recording, items: bounds_of(recording, how, by_head)[items])
    alike = (bounds[0] > 0) & (bounds[1] > 0) & (np.sign(a) == np.sign(b))
    return np.where(alike, np.nan, b - a)


def _item_alignment(recording: Recording, how: Measuring, items: Array) -> Array:
    hypothesis, _ = how.of(recording)
    said = said_by(recording, hypothesis)
    return item_alignment(recording_rsms(recording, how.pooling, how.metric), said)[items]


def _item_evidence(recording: Recording, how: Measuring, items: Array) -> Array:
    _, label = how.of(recording)
    return held_out_probe(recording, label, how.pooling, items).item_evidence


def _item_log_ratio(recording: Recording, how: Measuring, items: Array) -> Array:
    return np.log(ratio_of(recording, how))[items]


MEASURES: Mapping[str, Callable[[Recording, Measuring, Array], Array]] = {
    "alignment": _item_alignment,
    "probe": _item_evidence,
    "attention_ratio": _item_log_ratio,
}
"""Measure -> what each of some items (m,) has in each layer, (m, L + 1), or (m, L) for blocks. RSMs are made of all
items of a recording, probes of these alone, so that those of two recordings have seen the same ones.
"""


def _alignment_resolution(recording: Recording, how: Measuring, items: Array, value: Array) -> Array:
    hypothesis, _ = how.of(recording)
    said, x = said_by(recording, hypothesis), embeddings(recording, how.pooling)
    return resolution(lambda moved: item_alignment(rsms(moved, how.metric), said)[items], x)


def _evidence_resolution(recording: Recording, how: Measuring, items: Array, value: Array) -> Array:
    _, label = how.of(recording)

    def of(moved: Array) -> Array:
        return probe_of(recording, label, moved, items).item_evidence

    return resolution(of, embeddings(recording, how.pooling)[items], value)


def _log_ratio_resolution(recording: Recording, how: Measuring, items: Array, value: Array) -> Array:
    return np.full(value.shape[1], log_ratio_resolution([recording]))


RESOLUTIONS: Mapping[str, Callable[[Recording, Measuring, Array, Array], Array]] = {
    "alignment": _alignment_resolution,
    "probe": _evidence_resolution,
    "attention_ratio": _log_ratio_resolution,
}
"""Measure -> the least difference that it holds in each layer (K,), from its value (m, K)."""


def first_layer(measure: str) -> int:
    """The number of a measure's first column: attention belongs to blocks, which count from 1."""
    return 1 if measure == "attention_ratio" else 0


def measure_of(recording: Recording, measure: str, measuring: Measuring | None, items: Array) -> Array:
    """(m, K) a measure of some items (m,) in each layer.

    Raises
    ------
    AnalysisError: an unknown measure, hypothesis or label.
    """
    if measure not in MEASURES:
        raise unknown(AnalysisError, "measure", measure, list(MEASURES))
    return MEASURES[measure](recording, measuring or Measuring(), items)


def measure_change(comparison: Comparison, measure: str, measuring: Measuring | None = None) -> Array:
    """(S, m, K) B minus A of a measure of each item in each layer, 0 where its numbers hold no difference.

    Raises
    ------
    AnalysisError: an unknown measure, hypothesis or label, or models with different numbers of layers.
    """
    return settled(*_change(comparison, measure, measuring))


def tied_change(comparison: Comparison, measure: str, measuring: Measuring | None = None) -> Array:
    """The same, items whose changes differ by less than that being ties: what ranks may be taken of."""
    change, least = _change(comparison, measure, measuring)
    return tied(settled(change, least).swapaxes(1, 2), least[:, 0]).swapaxes(1, 2)


def _change(comparison: Comparison, measure: str, measuring: Measuring | None) -> tuple[Array, Array]:
    """(S, m, K) as it was computed, and the least difference that it holds, (S, 1, K)."""
    (a, least_a), (b, least_b) = held_values(comparison, measure, measuring)
    is_ratio = measure == "attention_ratio"
    change = _but_of_bounds(comparison, measuring or Measuring(), False, a, b) if is_ratio else b - a
    return change, np.hypot(least_a, least_b) + _SUMS


def held_values(
    comparison: Comparison, measure: str, measuring: Measuring | None = None
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """In A and in B: a measure of each item and layer, (S, m, K), and the least difference that it holds, (S, 1, K).

    Raises
    ------
    AnalysisError: an unknown measure, hypothesis or label, or models with different numbers of layers.
    """
    check_layers(comparison)
    how = measuring or Measuring()

    def of(recording: Recording, items: Array) -> Array:
        value = measure_of(recording, measure, how, items)
        return np.vstack([value, RESOLUTIONS[measure](recording, how, items, value)])

    a, b = comparison.values(of)
    return (a[:, :-1], a[:, -1:]), (b[:, :-1], b[:, -1:])


@dataclass(frozen=True)
class ConditionPoints:
    """Conditions as points, label -> (mean of a measure, mean score), and Spearman's rho over them.

    There is no p: conditions share items, baseline and nested demonstrations, and all rise with k.
    """

    points: Mapping[str, tuple[float, float]]
    rho: float


def across_conditions(
    recordings: Mapping[str, Recording],
    measure: str,
    score: str,
    measuring: Measuring | None = None,
) -> list[ConditionPoints]:
    """Each condition's mean of a measure in every column (layer, or block), against its mean score.

    Conditions without a value are left out.

    Raises
    ------
    AnalysisError: an unknown measure, score, hypothesis or label.
    """
    if measure not in MEASURES:
        raise unknown(AnalysisError, "measure", measure, list(MEASURES))
    how = measuring or Measuring()
    scored = {label: one for label, one in recordings.items() if score in one.scores}
    scores = {label: float(mean_of_known(np.asarray(one.scores[score], float))) for label, one in scored.items()}
    means = {label: mean_of_known(MEASURES[measure](one, how, np.arange(one.n_items))) for label, one in scored.items()}
    n_columns = min((len(of_layers) for of_layers in means.values()), default=0)
    return [
        _condition_points({label: (float(means[label][column]), scores[label]) for label in scored})
        for column in range(n_columns)
    ]


def _condition_points(means: Mapping[str, tuple[float, float]]) -> ConditionPoints:
    points = {label: point for label, point in means.items() if np.isfinite(point).all()}
    values = np.array(list(points.values())).reshape(-1, 2)
    varied = len(values) > 2 and bool((np.ptp(values, axis=0) > 0).all())
    return ConditionPoints(points, float(spearmanr(*values.T).statistic) if varied else float("nan"))
