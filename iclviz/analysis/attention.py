"""Attention ratio: how much of a response's attention goes to relevant text, over how much to irrelevant text.

For response tokens r, spans s (relevant) and t (irrelevant) and post-softmax attention a[i, j] of token i to token j

    A(r, s, t) = mean_{i in r} mean_{j in s} a[i, j] / mean_{i in r} mean_{j in t} a[i, j]

per item, layer and head; heads are joined after the averages over tokens. A span of no tokens, or one that gets no
attention (a sliding window that does not reach it), gives NaN, never 0 or infinity. Statistics belong on log A, whose
zero is no null: nearness alone moves it, so compare conditions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from iclviz.analysis.statistics import mean_interval
from iclviz.errors import AnalysisError, unknown
from iclviz.recording import Array, Recording
from iclviz.spans import ROLES

Rows = Literal["response", "last"]
Per = Literal["token", "mass"]
Heads = Literal["mean", "max"]


@dataclass(frozen=True, eq=False)
class LogRatioSummary:
    """Mean log attention ratio of each layer with its 95 % interval; arrays (L,), natural logarithm.

    Attributes
    ----------
    mean, low, high: over the items that have a ratio.
    n: (L,) items that have one.
    n_units: groups that were resampled.
    """

    mean: Array
    low: Array
    high: Array
    n: Array
    n_units: int


_ROWS: dict[str, Callable[[Recording], dict[str, Array]]] = {
    "response": lambda recording: dict(recording.attention),
    "last": lambda recording: dict(recording.attention_last),
}


def _rows(recording: Recording, rows: str) -> dict[str, Array]:
    if rows not in _ROWS:
        raise unknown(AnalysisError, "rows", rows, list(_ROWS))
    return _ROWS[rows](recording)


def _mass(recording: Recording, role: str, rows: str) -> Array:
    """(n, L, H) attention mass on a role's tokens, NaN where an item has none of them or none is reached."""
    masses = _rows(recording, rows)
    if role not in masses:
        raise unknown(AnalysisError, "role", role, [known for known in ROLES if known in masses])
    mass = masses[role].astype(np.float64)
    present = np.asarray(recording.span_lengths[role])[:, None, None] > 0
    return np.where(present & (mass > 0), mass, np.nan)


def _lengths(recording: Recording, role: str, per: str) -> Array:
    """(n, 1) what a role's mass is divided by."""
    lengths = {"token": np.asarray(recording.span_lengths[role], dtype=float), "mass": np.ones(recording.n_items)}
    if per not in lengths:
        raise unknown(AnalysisError, "per", per, list(lengths))
    return lengths[per][:, None]


def _mean_of_masses(over: Array, under: Array) -> tuple[Array, Array]:
    # A head whose window misses a span adds nothing to the mean; only where every head does is there no ratio.
    above, below = (
        np.where((mass > 0).any(axis=2), np.nansum(mass, axis=2) / mass.shape[2], np.nan) for mass in (over, under)
    )
    return above, below


def _head_of_most_mass(over: Array, under: Array) -> tuple[Array, Array]:
    most = np.argmax(np.nan_to_num(over) + np.nan_to_num(under), axis=2)[:, :, None]
    return np.take_along_axis(over, most, axis=2)[:, :, 0], np.take_along_axis(under, most, axis=2)[:, :, 0]


_HEADS: dict[str, Callable[[Array, Array], tuple[Array, Array]]] = {
    "mean": _mean_of_masses,
    "max": _head_of_most_mass,
}


def attention_ratio(
    recording: Recording,
    over: str = "relevant",
    under: str = "irrelevant",
    heads: Heads = "mean",
    rows: Rows = "response",
    per: Per = "token",
) -> Array:
    """The attention ratio of each item and layer, (n, L).

    Parameters
    ----------
    recording: its attention masses and span lengths are read.
    over: the role above the fraction line.
    under: the role below it.
    heads: "mean" divides the means over heads; "max" takes the one head with the most mass on both roles together.
    rows: "response", attention of the response's tokens, or "last", of the prompt's last token.
    per: "token" divides each mass by its span's length first, "mass" does not.

    Raises
    ------
    AnalysisError: an unknown role or option.
    """
    if heads not in _HEADS:
        raise unknown(AnalysisError, "heads", heads, list(_HEADS))
    above, below = _HEADS[heads](_mass(recording, over, rows), _mass(recording, under, rows))
    return np.asarray((above / _lengths(recording, over, per)) / (below / _lengths(recording, under, per)))


def attention_ratio_by_head(
    recording: Recording,
    over: str = "relevant",
    under: str = "irrelevant",
    rows: Rows = "response",
    per: Per = "token",
) -> Array:
    """The attention ratio of each item, layer and head, (n, L, H); options as for `attention_ratio`."""
    above = _mass(recording, over, rows) / _lengths(recording, over, per)[:, :, None]
    return np.asarray(above / (_mass(recording, under, rows) / _lengths(recording, under, per)[:, :, None]))


def missing_reasons(
    recording: Recording,
    over: str = "relevant",
    under: str = "irrelevant",
    heads: Heads = "mean",
    rows: Rows = "response",
) -> dict[str, int]:
    """Why values of `attention_ratio` are missing: reason -> number of (item, layer) values, n * L of them in all."""
    missing = np.isnan(attention_ratio(recording, over, under, heads, rows))
    reached = np.isfinite(attention_ratio(recording, over, under, "mean", rows))
    reasons: dict[str, int] = {}
    for role in dict.fromkeys((over, under)):
        empty = (np.asarray(recording.span_lengths[role]) == 0)[:, None]
        reasons[f"the prompt has no {role} tokens"] = int((missing & empty).sum())
        missing &= ~empty
    reasons["no attention reaches one of the spans"] = int((missing & ~reached).sum())
    reasons["the strongest head reaches only one of the spans"] = int((missing & reached).sum())
    return {reason: count for reason, count in reasons.items() if count}


def log_ratio_summary(
    ratio: Array, groups: Array | Sequence[object] | None = None, *, n_bootstrap: int = 1000, seed: int = 0
) -> LogRatioSummary:
    """Mean log A of each layer over items (n, L), with the interval from resampling groups."""
    summary = mean_interval(np.log(ratio), groups, n_bootstrap=n_bootstrap, seed=seed)
    return LogRatioSummary(summary.mean, summary.low, summary.high, summary.n, summary.n_units)


def role_split(recording: Recording, rows: Rows = "response") -> dict[str, Array]:
    """Role -> (L,) its share of all attention, the mean over items and heads; the roles of a layer sum to 1."""
    masses = _rows(recording, rows)
    return {role: masses[role].mean(axis=(0, 2), dtype=np.float64) for role in ROLES if role in masses}
