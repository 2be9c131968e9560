"""Attention ratio: how much of the attention goes to one role of text over how much goes to another, in logarithms."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from iclviz.analysis.attention import (
    JOINED,
    LOOKING,
    AttentionRows,
    Heads,
    LogRatioSummary,
    Per,
    attention_ratio,
    attention_ratio_by_head,
    bounded_ratios,
    bounded_ratios_by_head,
    log_ratio_summary,
)
from iclviz.analysis.behaviour import coarsest_groups, nats_held
from iclviz.analysis.change import Change, mean_change
from iclviz.analysis.comparison import Comparison, check_layers, of_comparison
from iclviz.analysis.measure import HEADS, OVER, PER, ROWS, UNDER, Measure, Measuring, Resampling, Titles
from iclviz.analysis.paired import PairedTest, paired_test
from iclviz.analysis.resolution import settled
from iclviz.errors import AnalysisError
from iclviz.questions.question import of_recording
from iclviz.recording import Array, Recording


@of_recording
def recording_log_ratio(
    recording: Recording,
    heads: Heads = "mean",
    rows: AttentionRows = "response",
    over: str = "relevant",
    under: str = "irrelevant",
    per: Per = "token",
) -> LogRatioSummary:
    """Mean log attention ratio of each layer, (L,); options as for `attention_ratio`."""
    ratio = attention_ratio(recording, over, under, heads, rows, per)
    bounded = bounded_ratios(recording, over, under, heads, rows)
    return log_ratio_summary(ratio, coarsest_groups(recording), bounded=bounded)


@of_recording
def recording_log_ratio_by_head(
    recording: Recording,
    rows: AttentionRows = "response",
    over: str = "relevant",
    under: str = "irrelevant",
    per: Per = "token",
) -> LogRatioSummary:
    """The same for each layer and head, (L, H)."""
    ratio = attention_ratio_by_head(recording, over, under, rows, per)
    bounded = bounded_ratios_by_head(recording, over, under, rows)
    return log_ratio_summary(ratio, coarsest_groups(recording), bounded=bounded)


def ratio_of(recording: Recording, measuring: Measuring, by_head: bool = False) -> Array:
    """The attention ratio of each item, (n, L), or (n, L, H) by head."""
    if by_head:
        return attention_ratio_by_head(recording, measuring.over, measuring.under, measuring.rows, measuring.per)
    return attention_ratio(recording, measuring.over, measuring.under, measuring.heads, measuring.rows, measuring.per)


def bounds_of(recording: Recording, measuring: Measuring, by_head: bool = False) -> Array:
    """Where the attention ratio of an item is only a bound, (n, L), or (n, L, H) by head."""
    if by_head:
        return bounded_ratios_by_head(recording, measuring.over, measuring.under, measuring.rows)
    return bounded_ratios(recording, measuring.over, measuring.under, measuring.heads, measuring.rows)


def log_ratio_resolution(recordings: Iterable[Recording]) -> float:
    """The least difference that log attention ratios of all of these hold."""
    return max(map(nats_held, recordings))


def log_ratio_changes(comparison: Comparison, measuring: Measuring, by_head: bool = False) -> Array:
    """(S, m, L), or (S, m, L, H) by head, B minus A of each item's log attention ratio.

    NaN where both are bounds on the same side: their difference may be anything.
    """
    a, b = comparison.values(lambda recording, items: np.log(ratio_of(recording, measuring, by_head))[items])
    return _but_of_bounds(comparison, measuring, by_head, a, b)


def _but_of_bounds(comparison: Comparison, measuring: Measuring, by_head: bool, a: Array, b: Array) -> Array:
    """B minus A of log attention ratios, NaN where both are bounds on the same side."""
    bounds = comparison.values(lambda recording, items: bounds_of(recording, measuring, by_head)[items])
    alike = (bounds[0] > 0) & (bounds[1] > 0) & (np.sign(a) == np.sign(b))
    return np.where(alike, np.nan, b - a)


@of_comparison
def log_ratio_change(comparison: Comparison, measuring: Measuring | None = None, by_head: bool = False) -> Change:
    """B minus A of the log attention ratio, arrays (L,), or (L, H) by head, corrected over all of them.

    Raises
    ------
    AnalysisError: an unknown role or option, or models with different numbers of layers.
    """
    check_layers(comparison)
    least = log_ratio_resolution(one for pair in comparison.pairs for one in pair)
    change = settled(log_ratio_changes(comparison, measuring or Measuring(), by_head), least)
    shape = change.shape[2:]
    test = mean_change(change.reshape(*change.shape[:2], -1), comparison.groups)
    return _reshaped(test, shape)


def _reshaped(test: Change, shape: tuple[int, ...]) -> Change:
    arrays = {name: value.reshape(shape) for name, value in vars(test).items() if isinstance(value, np.ndarray)}
    return type(test)(**{**vars(test), **arrays})


@of_recording
def relevance_test(recording: Recording, measuring: Measuring | None = None, by_head: bool = False) -> PairedTest:
    """The same text when it is relevant against when it is not: its share of attention over balanced groups.

    Where every group asks about each of its k pieces of text once, each piece is relevant in one item and irrelevant in
    the others, at the same place. If relevance does nothing, the pieces' shares of the attention to all of them add up
    to 1 over the group's items, whatever their places and lengths: the mean of the relevant piece's share is 1 / k. The
    estimate is that mean less 1 / k, arrays (L,), or (L, H) by head. (Log ratios have no such null for k > 2.) Groups
    that are not balanced are left out; `per` is not read, since shares are of whole masses.

    Raises
    ------
    AnalysisError: the recording has no "position" label, or no balanced group.
    """
    measuring = measuring or Measuring()
    if "position" not in recording.labels or "position" not in recording.groups:
        raise AnalysisError(
            "This task does not ask about the same text in turn, so no text is relevant once and irrelevant once.",
            "Take reading comprehension with balanced positions.",
        )
    groups, positions = recording.groups["position"], np.asarray(recording.labels["position"])
    every = np.unique(positions)
    balanced = [code for code in np.unique(groups) if np.array_equal(np.sort(positions[groups == code]), every)]
    kept = np.flatnonzero(np.isin(groups, balanced))
    if len(every) < 2 or not len(kept):
        raise AnalysisError("No group asks about each of its pieces of text once.", "Take balanced positions.")
    ratio = ratio_of(recording, replace(measuring, per="mass"), by_head)
    share = ratio / (1 + ratio) - 1 / len(every)
    return paired_test(settled(share, log_ratio_resolution([recording]) / 4)[kept], groups[kept])


class AttentionRatio(Measure):
    """The log attention ratio of each block."""

    name, title = "attention_ratio", "the attention ratio of the last prompt token"
    axis = "Log attention ratio (natural log)"
    about = (
        "How much of the attention goes to text of one role over how much goes to text of another, in each block. "
        "Zero is no null, since nearness alone moves it: conditions are compared."
    )
    page, order, first_layer, figure = "attention", 2, 1, "attention-ratio-by-layer"
    options = (OVER, UNDER, HEADS, ROWS, PER)

    def subject(self, recording: Recording, measuring: Measuring, titles: Titles) -> str:
        """Whose attention to what over what."""
        counted = "" if measuring.per == "token" else ", all its text"
        return (
            f"log attention ratio of {measuring.over} over {measuring.under} text{counted}, of "
            f"{LOOKING[measuring.rows]}, "
            f"{JOINED[measuring.heads]}"
        )

    def change_subject(self, recording: Recording, measuring: Measuring, titles: Titles) -> str:
        """The same, in fewer words where nothing but the rows is chosen."""
        usual = Measuring()
        if all(getattr(measuring, one.name) == getattr(usual, one.name) for one in (OVER, UNDER, HEADS, PER)):
            return f"log attention ratio of {LOOKING[measuring.rows]}"
        return self.subject(recording, measuring, titles)

    def of_items(self, recording: Recording, measuring: Measuring, items: Array) -> Array:
        """(m, L) the log ratio of each item."""
        return np.asarray(np.log(ratio_of(recording, measuring))[items])

    def resolution(self, recording: Recording, measuring: Measuring, items: Array, values: Array) -> Array:
        """(L,) what log attention holds in the model's arithmetic."""
        return np.full(values.shape[1], log_ratio_resolution([recording]))

    def change_of_items(self, comparison: Comparison, measuring: Measuring, a: Array, b: Array) -> Array:
        """(S, m, L) B minus A, NaN where both are bounds on the same side."""
        return _but_of_bounds(comparison, measuring, False, a, b)

    def of_condition(self, recording: Recording, measuring: Measuring) -> LogRatioSummary:
        """The mean log ratio of each block."""
        return recording_log_ratio(
            recording, measuring.heads, measuring.rows, measuring.over, measuring.under, measuring.per
        )

    def change(self, comparison: Comparison, measuring: Measuring) -> Change:
        """B minus A of the log ratio."""
        return log_ratio_change(comparison, measuring)

    def words(self, recording: Recording, measuring: Measuring, titles: Titles) -> dict[str, Any]:
        """Roles and rows."""
        return {
            "over": measuring.over,
            "under": measuring.under,
            "rows": measuring.rows,
            "heads": measuring.heads,
            "per": measuring.per,
        }

    def methods(self, recordings: Sequence[Recording], measuring: Measuring, titles: Titles, used: Resampling) -> str:
        """What was divided by what, in which conditions."""
        held = [bool((np.asarray(one.span_lengths["irrelevant"]) > 0).any()) for one in recordings]
        if not any(held):
            return "No prompt held irrelevant text, so no attention ratio was computed."
        where = "" if all(held) else ", in the conditions whose prompts hold irrelevant text"
        return (
            "The attention ratio is the mean attention of response tokens to relevant text over that to irrelevant "
            f"text, per token, for each head, heads joined by the mean of their attention{where}; statistics are on "
            "its natural logarithm. The headline takes the attention of the last prompt token."
        )


MEASURE = AttentionRatio()
