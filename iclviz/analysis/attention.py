"""Attention ratio: how much of a response's attention goes to relevant text, over how much to irrelevant text.

For response tokens r, spans s (relevant) and t (irrelevant) and post-softmax attention a[i, j] of token i to token j

    A(r, s, t) = mean_{i in r} mean_{j in s} a[i, j] / mean_{i in r} mean_{j in t} a[i, j]

per item, layer and head; heads are joined after the averages over tokens. A span of no tokens, or one that the block's
window does not reach, gives NaN, never 0 or infinity. A span that is reached and has no mass has less than float32
holds: it counts as the smallest number that float32 has, so that A is at least, or at most, what is given; with two
such spans it is NaN. Statistics belong on log A, whose zero is no null: nearness alone moves it, so compare conditions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import rankdata

from iclviz.analysis.attention_reach import reached
from iclviz.analysis.behaviour import coarsest_groups
from iclviz.analysis.results import Estimates
from iclviz.analysis.statistics import mean_interval
from iclviz.errors import AnalysisError, unknown
from iclviz.questions.question import of_recording
from iclviz.recording import Array, Recording
from iclviz.spans import ROLES

AttentionRows = Literal["response", "last"]
Per = Literal["token", "mass"]
Heads = Literal["mean", "max"]
By = Literal["role", "token"]


LOOKING: dict[AttentionRows, str] = {"response": "response tokens", "last": "the last prompt token"}
"""Whose attention it is, in words."""

JOINED: dict[Heads, str] = {
    "mean": "heads joined by the mean of their attention",
    "max": "in the head with the most attention on both texts together",
}
"""How heads are joined, in words."""

NO_TEXT = "the prompt has no"
"""How the reason begins why there is no ratio in a prompt without text in one of its roles."""

SMALLEST = float(np.finfo(np.float32).smallest_subnormal)
"""The smallest positive number of float32, which stands for attention that is less."""


@dataclass(frozen=True, eq=False)
class LogRatioSummary(Estimates):
    """Mean log attention ratio of each layer with its 95 % interval; arrays (L,), natural logarithm.

    Attributes
    ----------
    estimate, low, high: the mean over the items that have a ratio.
    n: (L,) items that have one.
    n_bounded: (L,) items of these whose ratio is at least or at most what is given, since attention to one of the
        spans is below what float32 holds.
    n_units: groups that were resampled.
    """

    n: Array
    n_bounded: Array
    n_units: int

    @property
    def mean(self) -> Array:
        """The estimate: a mean over items."""
        return self.estimate


@dataclass(frozen=True, eq=False)
class RoleShares(Estimates):
    """Share of a block's or a head's attention that each role of text gets; arrays (S,), S roles that get any.

    Attributes
    ----------
    estimate, low, high: the mean over items.
    roles: their names.
    tokens: how many tokens of the role an item has on average.
    n, n_units: items, and groups of them that were resampled.
    """

    roles: tuple[str, ...]
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


@dataclass(frozen=True, eq=False)
class _Role:
    """The attention to one role's tokens.

    Attributes
    ----------
    mass: (n, L, H) as recorded; 0 is less than float32 holds, or not reached.
    present: (n,) items that have such tokens.
    reached: (n, L) blocks that can look at one of them.
    """

    mass: Array
    present: Array
    reached: Array

    @classmethod
    def of(cls, recording: Recording, role: str, rows: str) -> "_Role":
        """That of a recording.

        Raises
        ------
        AnalysisError: no such role.
        """
        masses = _rows(recording, rows)
        if role not in masses:
            raise unknown(AnalysisError, "role", role, [known for known in ROLES if known in masses])
        mass = masses[role].astype(np.float64)
        present = np.asarray(recording.span_lengths[role]) > 0
        return cls(mass, present, reached(recording, role, rows, mass))

    def held(self, joined: Array) -> Array:
        """Masses (n, L, X) made of these, at least the smallest that float32 holds; NaN where there can be none."""
        could_be = (self.present[:, None] & self.reached)[:, :, None]
        return np.where(could_be, np.where(joined == 0, SMALLEST, joined), np.nan)


def _lengths(recording: Recording, role: str, per: str) -> Array:
    """(n, 1, 1) what a role's mass is divided by."""
    lengths = {"token": np.asarray(recording.span_lengths[role], dtype=float), "mass": np.ones(recording.n_items)}
    if per not in lengths:
        raise unknown(AnalysisError, "per", per, list(lengths))
    return lengths[per][:, None, None]


def _mean_of_masses(over: Array, under: Array) -> tuple[Array, Array]:
    return over.mean(axis=2, keepdims=True), under.mean(axis=2, keepdims=True)


def _head_of_most_mass(over: Array, under: Array) -> tuple[Array, Array]:
    most = np.argmax(over + under, axis=2)[:, :, None]
    return np.take_along_axis(over, most, axis=2), np.take_along_axis(under, most, axis=2)


def _each_head(over: Array, under: Array) -> tuple[Array, Array]:
    return over, under


_HEADS: dict[str, Callable[[Array, Array], tuple[Array, Array]]] = {
    "mean": _mean_of_masses,
    "max": _head_of_most_mass,
}


@dataclass(frozen=True, eq=False)
class _Sides:
    """Both sides of the fraction line, (n, L, X) for X heads, or 1 where they are joined.

    Attributes
    ----------
    over, under: the roles.
    above, below: their masses, NaN where there can be none.
    is_below: where both have less than float32 holds.
    bounded: where one of them has.
    """

    over: _Role
    under: _Role
    above: Array
    below: Array
    is_below: Array
    bounded: Array

    @classmethod
    def of(
        cls,
        recording: Recording,
        over: str,
        under: str,
        rows: str,
        join: Callable[[Array, Array], tuple[Array, Array]],
    ) -> "_Sides":
        """Those of a recording, heads joined in one way or not."""
        roles = _Role.of(recording, over, rows), _Role.of(recording, under, rows)
        joined = join(roles[0].mass, roles[1].mass)
        above, below = (role.held(mass) for role, mass in zip(roles, joined, strict=True))
        counted = np.isfinite(above) & np.isfinite(below)
        no_mass = joined[0] == 0, joined[1] == 0
        both = counted & no_mass[0] & no_mass[1]
        return cls(*roles, above, below, both, counted & (no_mass[0] ^ no_mass[1]))

    def ratio(self, recording: Recording, over: str, under: str, per: str) -> Array:
        """(n, L, X) the ratio, of masses or of masses over numbers of tokens."""
        above, below = self.above / _lengths(recording, over, per), self.below / _lengths(recording, under, per)
        return np.where(self.is_below, np.nan, above / below)


def attention_ratio(
    recording: Recording,
    over: str = "relevant",
    under: str = "irrelevant",
    heads: Heads = "mean",
    rows: AttentionRows = "response",
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
    return _sides(recording, over, under, heads, rows).ratio(recording, over, under, per)[:, :, 0]


def _sides(recording: Recording, over: str, under: str, heads: str, rows: str) -> _Sides:
    if heads not in _HEADS:
        raise unknown(AnalysisError, "heads", heads, list(_HEADS))
    return _Sides.of(recording, over, under, rows, _HEADS[heads])


@of_recording
def log_attention_ratio(
    recording: Recording,
    over: str = "relevant",
    under: str = "irrelevant",
    heads: Heads = "mean",
    rows: AttentionRows = "response",
    per: Per = "token",
) -> Array:
    """The natural logarithm of `attention_ratio`, (n, L)."""
    return np.asarray(np.log(attention_ratio(recording, over, under, heads, rows, per)))


@of_recording
def n_bounded_ratios(
    recording: Recording,
    over: str = "relevant",
    under: str = "irrelevant",
    heads: Heads = "mean",
    rows: AttentionRows = "response",
) -> int:
    """How many of the n * L attention ratios are only bounds, see `bounded_ratios`."""
    return int(bounded_ratios(recording, over, under, heads, rows).sum())


def attention_ratio_by_head(
    recording: Recording,
    over: str = "relevant",
    under: str = "irrelevant",
    rows: AttentionRows = "response",
    per: Per = "token",
) -> Array:
    """The attention ratio of each item, layer and head, (n, L, H); options as for `attention_ratio`."""
    return _Sides.of(recording, over, under, rows, _each_head).ratio(recording, over, under, per)


def bounded_ratios(
    recording: Recording,
    over: str = "relevant",
    under: str = "irrelevant",
    heads: Heads = "mean",
    rows: AttentionRows = "response",
) -> Array:
    """(n, L) where `attention_ratio` is only a bound: attention to one of the spans is below what float32 holds."""
    return _sides(recording, over, under, heads, rows).bounded[:, :, 0]


def bounded_ratios_by_head(
    recording: Recording, over: str = "relevant", under: str = "irrelevant", rows: AttentionRows = "response"
) -> Array:
    """(n, L, H) the same of `attention_ratio_by_head`."""
    return _Sides.of(recording, over, under, rows, _each_head).bounded


@of_recording
def missing_reasons(
    recording: Recording,
    over: str = "relevant",
    under: str = "irrelevant",
    heads: Heads = "mean",
    rows: AttentionRows = "response",
) -> dict[str, int]:
    """Why values of `attention_ratio` are missing: reason -> number of (item, layer) values, n * L of them in all."""
    sides = _sides(recording, over, under, heads, rows)
    missing = np.isnan(sides.ratio(recording, over, under, "mass")[:, :, 0])
    why = {
        f"{NO_TEXT} {name} tokens": ~role.present[:, None] for name, role in ((over, sides.over), (under, sides.under))
    }
    why |= {
        "the recorded attention is no number": np.isnan(sides.over.mass + sides.under.mass).any(axis=2),
        "the block's attention does not reach one of the texts": ~(sides.over.reached & sides.under.reached),
        "attention to both texts is below what float32 holds": sides.is_below[:, :, 0],
    }
    reasons: dict[str, int] = {}
    for reason, there in why.items():
        reasons[reason] = int((missing & there).sum())
        missing = missing & ~there
    return {reason: count for reason, count in reasons.items() if count}


def log_ratio_summary(
    ratio: Array,
    groups: Array | Sequence[object] | None = None,
    *,
    bounded: Array | None = None,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> LogRatioSummary:
    """Mean log A of each layer over items (n, L), with the interval from resampling groups.

    bounded: (n, L) where a ratio is only a bound; None is nowhere.
    """
    summary = mean_interval(np.log(ratio), groups, n_bootstrap=n_bootstrap, seed=seed)
    n_bounded = np.zeros_like(summary.n) if bounded is None else bounded.sum(axis=0)
    return LogRatioSummary(summary.estimate, summary.low, summary.high, summary.n, n_bounded, summary.n_units)


@of_recording
def role_split(recording: Recording, rows: AttentionRows = "response") -> dict[str, Array]:
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
    rows: AttentionRows = "response",
    groups: Array | Sequence[object] | None = None,
) -> RoleShares:
    """The share of each role in one block, from 1, and one head; None is the mean over heads.

    An item without any token of a role gives it nothing, so that shares sum to 1.
    """
    shares = {role: _at(mass, block, head) for role, mass in _rows(recording, rows).items()}
    roles = tuple(role for role in ROLES if role in shares and shares[role].any())
    means = mean_interval(np.column_stack([shares[role] for role in roles]), groups)
    tokens = np.array([np.mean(recording.span_lengths[role]) for role in roles])
    return RoleShares(means.estimate, means.low, means.high, roles, tokens, recording.n_items, means.n_units)


@of_recording
def recording_role_shares(
    recording: Recording, block: int, head: int | None = None, rows: AttentionRows = "response"
) -> RoleShares:
    """`role_shares` with the interval over the recording's coarsest groups."""
    return role_shares(recording, block, head, rows, coarsest_groups(recording))


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


@of_recording
def attention_on_text(
    recording: Recording,
    item: int,
    block: int,
    head: int | None = None,
    rows: AttentionRows = "response",
    by: By = "role",
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
