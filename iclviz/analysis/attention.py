"""Attention ratio: how much of a response's attention goes to relevant text, over how much to irrelevant text.

For response tokens r, spans s (relevant) and t (irrelevant) and post-softmax attention a[i, j] of token i to token j

    A(r, s, t) = mean_{i in r} mean_{j in s} a[i, j] / mean_{i in r} mean_{j in t} a[i, j]

per item, layer and head; heads are joined after the averages over tokens. A span of no tokens, or one that gets no
attention (a sliding window that does not reach it), gives NaN, never 0 or infinity. Statistics belong on log A, whose
zero is no null: nearness alone moves it, so compare conditions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import rankdata

from iclviz.analysis.statistics import mean_interval
from iclviz.errors import AnalysisError, unknown
from iclviz.recording import Array, Recording
from iclviz.spans import ROLES

Rows = Literal["response", "last"]
Per = Literal["token", "mass"]
Heads = Literal["mean", "max"]
By = Literal["role", "token"]


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


@dataclass(frozen=True, eq=False)
class RoleShares:
    """Share of a block's or a head's attention that each role of text gets; arrays (S,), S roles that get any.

    Attributes
    ----------
    roles: their names.
    mean, low, high: over items, with the 95 % interval.
    tokens: how many tokens of the role an item has on average.
    n, n_units: items, and groups of them that were resampled.
    """

    roles: tuple[str, ...]
    mean: Array
    low: Array
    high: Array
    tokens: Array
    n: int
    n_units: int


@dataclass(frozen=True, eq=False)
class TextAttention:
    """Attention that each token of one item gets in a block or a head; arrays (T,), T tokens of prompt + response.

    Attributes
    ----------
    tokens, roles: each token's text and role.
    mass: share of the attention; by role, each token has the mean over its role's tokens.
    of_roles: role -> the mean over its tokens, of the roles that the item has.
    rank: 1 = most; tokens of equal mass share one.
    sinks: what often takes most whatever the text says: special tokens and, token by token, the first one.
    looking: the tokens whose attention it is.
    """

    tokens: tuple[str, ...]
    roles: tuple[str, ...]
    mass: Array
    of_roles: Mapping[str, float]
    rank: Array
    sinks: Array
    looking: Array


_ROWS: dict[str, Callable[[Recording], dict[str, Array]]] = {
    "response": lambda recording: dict(recording.attention),
    "last": lambda recording: dict(recording.attention_last),
}


_TOKEN_ROWS: dict[str, Callable[[Recording], Mapping[int, Array]]] = {
    "response": lambda recording: recording.token_attention,
    "last": lambda recording: recording.token_attention_last,
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


def first_token_roles(recording: Recording) -> dict[str, float]:
    """Role -> the share of items whose prompt begins in text of it: where an attention sink often is."""
    roles, counts = np.unique([spans[0].role for spans in recording.spans], return_counts=True)
    return {str(role): float(count) / recording.n_items for role, count in zip(roles, counts, strict=True)}


def _at(masses: Array, block: int, head: int | None) -> Array:
    """(...) of masses (..., L, H): those of a block, from 1, in one head, or their mean over heads."""
    of_block = masses[..., block - 1, :].astype(np.float64)
    return np.asarray(of_block.mean(axis=-1) if head is None else of_block[..., head])


def role_shares(
    recording: Recording,
    block: int,
    head: int | None = None,
    rows: Rows = "response",
    groups: Array | Sequence[object] | None = None,
) -> RoleShares:
    """The share of each role in one block, from 1, and one head; None is the mean over heads.

    An item without any token of a role gives it nothing, so that shares sum to 1.
    """
    shares = {role: _at(mass, block, head) for role, mass in _rows(recording, rows).items()}
    roles = tuple(role for role in ROLES if role in shares and shares[role].any())
    of = mean_interval(np.column_stack([shares[role] for role in roles]), groups)
    tokens = np.array([np.mean(recording.span_lengths[role]) for role in roles])
    return RoleShares(roles, of.mean, of.low, of.high, tokens, recording.n_items, of.n_units)


def _of_roles(recording: Recording, item: int, block: int, head: int | None, rows: str) -> dict[str, float]:
    """Role -> its mass over its number of tokens, of the roles that an item has."""
    masses, lengths = _rows(recording, rows), recording.span_lengths
    roles = dict.fromkeys(span.role for span in recording.spans[item])
    return {role: float(_at(masses[role][item], block, head) / lengths[role][item]) for role in roles}


def _mass_by_role(recording: Recording, item: int, block: int, head: int | None, rows: str) -> Array:
    of_roles = _of_roles(recording, item, block, head, rows)
    return np.array([of_roles[span.role] for span in recording.spans[item] for _ in range(len(span))])


def _mass_by_token(recording: Recording, item: int, block: int, head: int | None, rows: str) -> Array:
    kept = _TOKEN_ROWS[rows](recording)
    if item not in kept:
        problem = f"Attention token by token was not kept of item {item}."
        raise AnalysisError(problem, f"Run this condition with attention_items=({item},).")
    return _at(np.moveaxis(kept[item], -1, 0), block, head)


_BY: dict[str, Callable[[Recording, int, int, int | None, str], Array]] = {
    "role": _mass_by_role,
    "token": _mass_by_token,
}


def attention_on_text(
    recording: Recording, item: int, block: int, head: int | None = None, rows: Rows = "response", by: By = "role"
) -> TextAttention:
    """What the tokens of one item get of the attention in one block and head.

    Parameters
    ----------
    recording: its attention masses, tokens and spans are read.
    item: the item's place, from 0; block: from 1; head: from 0, None is the mean over heads.
    rows: "response", attention of the response's tokens, or "last", of the prompt's last token.
    by: "role", the mass of each role over its number of tokens, or "token", where the recording kept it of this item.

    Raises
    ------
    AnalysisError: an unknown option, or an item of which attention was not kept token by token.
    """
    for name, value, known in (("rows", rows, _ROWS), ("by", by, _BY)):
        if value not in known:
            raise unknown(AnalysisError, name, value, list(known))
    mass = _BY[by](recording, item, block, head, rows)
    places = np.arange(len(mass))
    roles = tuple(span.role for span in recording.spans[item] for _ in range(len(span)))
    of_prompt = len(recording.prompt_ids[item])
    return TextAttention(
        tokens=tuple(recording.tokens[item]),
        roles=roles,
        mass=mass,
        of_roles=_of_roles(recording, item, block, head, rows),
        rank=rankdata(-mass, method="dense").astype(int),
        sinks=(np.array(roles) == "special") | ((by == "token") & (places == 0)),
        looking=places >= of_prompt if rows == "response" else places == of_prompt - 1,
    )


def largest_mass(attention: TextAttention, with_sinks: bool = False) -> float:
    """The largest mass of a token, where a scale ends; 1 where none has any."""
    return float(attention.mass[~attention.sinks | with_sinks].max(initial=0.0)) or 1.0
