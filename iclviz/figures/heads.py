"""Attention of one block, or of one of its heads: its split over roles, and what it gives to each token of an item."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from iclviz.analysis.attention import LOOKING, AttentionRows, By, RoleShares, TextAttention
from iclviz.analysis.wording import capital
from iclviz.figures import layers, theme, wording
from iclviz.figures.registry import named
from iclviz.recording import Array
from iclviz.spans import ROLES

_SINK = "attention sink"
_PANEL = 250
"""Height of one condition's tokens."""

_SHADED: dict[By, tuple[str, str]] = {
    "role": (
        ", where each token has the mean over its role's tokens",
        "The role that holds the first token also gets what that token takes as an attention sink.",
    ),
    "token": ("", "Attention says where a head looks, not what the answer rests on."),
}
"""What a token has, and how to read it."""

_SINKS = {"role": "special tokens", "token": "special tokens and the first token"}


def place(block: int, head: int | None) -> str:
    """A block and one of its heads in words; None is the mean over heads."""
    return f"block {block}, {'mean over heads' if head is None else f'head {head}'}"


def reading(by: By, block: int, head: int | None, rows: AttentionRows, with_sinks: bool) -> str:
    """How attention on text is read, for captions."""
    what, read = _SHADED[by]
    sinks = "" if with_sinks else f", set without {_SINKS[by]} (hatched), which often take most as attention sinks"
    return (
        f"Share of the attention of {LOOKING[rows]} that each token gets in {place(block, head)}{what}; each condition "
        f"has a scale of its own{sinks}. {read}"
    )


@named("attention-of-head")
def attention_of_head(
    conditions: Mapping[str, RoleShares],
    *,
    block: int,
    head: int | None = None,
    rows: AttentionRows = "response",
    demonstrations: str = "",
) -> go.Figure:
    """The share of one block's or one head's attention that each role of text gets.

    Parameters
    ----------
    conditions: label -> its shares, A first.
    block, head, rows: as given to `role_shares`.
    demonstrations: what the statement is limited to, such as "for this demonstration set only (seed 0)".
    """
    figure = go.Figure(
        [
            go.Bar(
                x=list(shares.roles),
                y=shares.estimate,
                name=label,
                marker={"color": colour},
                error_y=layers.bar_interval(shares.estimate, shares.low, shares.high, width=4),
                customdata=np.column_stack([shares.low, shares.high, shares.tokens]),
                meta={"columns": ["low", "high", "tokens"]},
                hovertemplate="%{y:.1%} (95 % interval %{customdata[0]:.1%} to %{customdata[1]:.1%}), to "
                "%{customdata[2]:.3~g} tokens on average",
            )
            for label, shares, colour in theme.coloured(conditions)
        ]
    )
    figure.update_xaxes(title="Role of text", categoryorder="array", categoryarray=list(ROLES), showgrid=False)
    figure.update_yaxes(title="Share of attention (%)", tickformat=".0%", rangemode="tozero")
    resampled = wording.each(conditions, lambda shares: wording.groups(shares.n_units))
    caption = (
        f"How the attention of {LOOKING[rows]} in {place(block, head)} is shared among the roles of text, as the mean "
        f"over items with 95 % intervals from resampling {resampled}. A role with more tokens gets more: the ratio "
        f"counts per token.{wording.sentence(demonstrations)}"
    )
    return theme.finish(
        figure,
        "Where this attention goes",
        f"{capital(place(block, head))}: attention of {LOOKING[rows]}, 95 % interval",
        caption,
        hovermode="x unified",
        showlegend=True,
    )


@named("attention-on-text")
def attention_on_text(
    conditions: Mapping[str, TextAttention],
    *,
    item: str,
    block: int,
    head: int | None = None,
    rows: AttentionRows = "response",
    by: By = "role",
    most: Mapping[str, float],
    with_sinks: bool = False,
    demonstrations: str = "",
) -> go.Figure:
    """What each token of one item's prompt and response gets, coloured by role, conditions below each other.

    Parameters
    ----------
    conditions: label -> what its tokens get, A first.
    item: the item's id; block, head, rows, by: as given to the analysis of the same name.
    most: label -> where its scale ends; with_sinks: whether it was set with what attention sinks take, as given to
        `largest_mass`.
    demonstrations: what the statement is limited to, such as "for this demonstration set only (seed 0)".
    """
    titles, seen = list(conditions), set[str]()
    figure = make_subplots(len(titles), 1, subplot_titles=titles, vertical_spacing=0.4 / len(titles))
    for row, (label, attention) in enumerate(conditions.items(), start=1):
        series = np.where(attention.sinks & (not with_sinks), _SINK, attention.roles)
        for name in dict.fromkeys(series.tolist()):
            trace = _bars(attention, np.flatnonzero(series == name), name, label).update(showlegend=name not in seen)
            figure.add_trace(trace, row=row, col=1)
            seen.add(name)
        figure.update_yaxes(range=[0, 1.05 * most[label]], row=row, col=1)
    figure.update_xaxes(title="Token (position)", tickformat="d", showgrid=False)
    figure.update_yaxes(title="Share (%)", tickformat=".2~%")
    return theme.finish(
        figure,
        f"Attention on the text of {item}",
        f"{capital(place(block, head))}: attention of {LOOKING[rows]}, by {by}",
        reading(by, block, head, rows, with_sinks) + wording.sentence(demonstrations),
        barmode="overlay",
        bargap=0.1,
        legend_rows=2,
        height=theme.MARGIN["t"] + theme.MARGIN["b"] + theme.LEGEND_ROW + _PANEL * len(titles),
    )


def _bars(attention: TextAttention, at: Array, name: str, label: str) -> go.Bar:
    """The bars of some tokens: those of one role, or attention sinks."""
    texts = [attention.tokens[token] for token in at]
    roles = [attention.roles[token] for token in at]
    return go.Bar(
        x=at,
        y=attention.mass[at],
        name=name,
        marker={
            "color": theme.ROLES.get(name, theme.CHANCE),
            "line": {"width": 0},
            "pattern": {"shape": "/" if name == _SINK else ""},
        },
        legendgroup=name,
        hovertext=[text.replace("\n", "⏎") for text in texts],
        customdata=list(zip(texts, roles, attention.rank[at].tolist(), strict=True)),
        meta={"columns": ["token", "role", "rank"], "panel": label},
        hovertemplate="token %{x} “%{hovertext}”: %{y:.3%}, rank %{customdata[2]}<extra>%{customdata[1]}</extra>",
    )
