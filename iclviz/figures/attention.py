"""Attention: the log attention ratio by layer and head, and where all of the attention goes."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from iclviz.analysis.attention import JOINED, LOOKING, AttentionRows, Heads, LogRatioSummary, Per
from iclviz.figures import layers, theme, wording
from iclviz.figures.registry import named
from iclviz.recording import Array

_RATIO = "Log attention ratio (natural log)"


def _ratio(over: str, under: str, per: Per) -> str:
    if per == "mass":
        return f"to all {over} text to that to all {under} text"
    return f"per token of {over} text to that per token of {under} text"


@named("attention-ratio-by-layer")
def attention_ratio_by_layer(
    conditions: Mapping[str, LogRatioSummary],
    *,
    over: str = "relevant",
    under: str = "irrelevant",
    rows: AttentionRows = "response",
    heads: Heads = "mean",
    per: Per = "token",
    demonstrations: str = "",
) -> go.Figure:
    """Mean log attention ratio of each block as bars.

    Parameters
    ----------
    conditions: label -> its summary over layers (L,), A first.
    over, under: the roles above and below the fraction line.
    rows, heads, per: whose attention it is, how heads were joined and lengths counted, as given to `attention_ratio`.
    demonstrations: what the statement is limited to, such as "for this demonstration set only (seed 0)".
    """
    figure = go.Figure(
        [
            go.Bar(
                x=np.arange(1, len(summary.estimate) + 1),
                y=summary.estimate,
                name=label,
                marker={"color": colour},
                error_y=layers.bar_interval(summary.estimate, summary.low, summary.high, width=2),
                customdata=np.column_stack([summary.low, summary.high, summary.n]),
                hovertext=_bounds(summary),
                meta={"columns": ["low", "high", "items"]},
                hovertemplate="log ratio %{y:.3~g} (95 % interval %{customdata[0]:.3~g} to %{customdata[1]:.3~g}), "
                "%{customdata[2]} items%{hovertext}",
            )
            for label, summary, colour in theme.coloured(conditions)
        ]
    )
    figure.update_xaxes(title="Block (number)", tickformat="d")
    figure.update_yaxes(title=_RATIO, zeroline=True)
    caption = (
        f"Mean log ratio of the attention of {LOOKING[rows]} {_ratio(over, under, per)}, "
        f"{JOINED[heads]}, by block, with 95 % intervals from resampling {wording.each(conditions, _resampled)}. "
        f"Above zero, {over} text gets more; zero is not what chance gives, since near tokens may get more anyway, so "
        f"compare conditions.{_bounded(conditions)}{wording.sentence(demonstrations)}"
    )
    return theme.finish(
        figure,
        f"Attention to {over} over {under} text by block",
        f"Attention of {LOOKING[rows]}, mean over items, 95 % interval",
        caption,
        hovermode="x unified",
        showlegend=True,
    )


def _bounds(summary: LogRatioSummary) -> Array:
    """What hovering says of each value of which some items' ratios are bounds."""
    notes = [
        f"; {few} of {n} items below what float32 holds: at least so far from 0" if few else ""
        for few, n in zip(summary.n_bounded.ravel(), summary.n.ravel(), strict=True)
    ]
    return np.array(notes, dtype=object).reshape(summary.n.shape)


def _bounded(conditions: Mapping[str, LogRatioSummary]) -> str:
    """A last sentence where ratios are bounds, and of how many."""
    counts = {label: int(summary.n_bounded.sum()) for label, summary in conditions.items()}
    if not any(counts.values()):
        return ""
    notes = wording.each(counts, lambda count: f"{count:,}")
    return (
        f" In {notes} of the items' ratios attention to one text is below what float32 holds and counts as the "
        f"smallest "
        "number that it has: they are at least so far from zero."
    )


def _resampled(summary: LogRatioSummary) -> str:
    return wording.groups(summary.n_units)


@named("attention-ratio-by-head")
def attention_ratio_by_head(
    conditions: Mapping[str, LogRatioSummary],
    *,
    over: str = "relevant",
    under: str = "irrelevant",
    rows: AttentionRows = "response",
    per: Per = "token",
    demonstrations: str = "",
) -> go.Figure:
    """Mean log attention ratio of each block and head, conditions side by side on one scale around zero.

    Parameters
    ----------
    conditions: label -> its summary over layers and heads (L, H), A first.
    over, under: the roles above and below the fraction line.
    rows, per: whose attention it is and how lengths are counted, as given to `attention_ratio_by_head`.
    demonstrations: what the statement is limited to, such as "for this demonstration set only (seed 0)".
    """
    titles = list(conditions)
    gap = theme.gap(len(titles))
    figure = make_subplots(1, len(titles), subplot_titles=titles, horizontal_spacing=gap, shared_yaxes=True)
    for column, (label, summary) in enumerate(conditions.items(), start=1):
        figure.add_heatmap(
            x=np.arange(summary.estimate.shape[1]),
            y=np.arange(1, len(summary.estimate) + 1),
            z=summary.estimate,
            name=label,
            coloraxis="coloraxis",
            hovertext=_bounds(summary),
            meta={"columns": [_RATIO]},
            hovertemplate="block %{y}, head %{x}: log ratio %{z:.3~g}%{hovertext}<extra>%{fullData.name}</extra>",
            row=1,
            col=column,
        )
    # A bound of one head would take the colour of all others.
    means = np.concatenate([summary.estimate[summary.n_bounded == 0] for summary in conditions.values()])
    most = float(np.nanmax(np.abs(means))) if np.isfinite(means).any() else 1.0
    figure.update_xaxes(title="Head (number)", tickformat="d", showgrid=False)
    figure.update_yaxes(tickformat="d", showgrid=False)
    figure.update_yaxes(title="Block (number)", row=1, col=1)
    figure.update_layout(
        coloraxis={
            "colorscale": list(theme.DIVERGING),
            "cmin": -most,
            "cmax": most,
            "cmid": 0,
            "colorbar": {"title": {"text": "Log ratio", "side": "right"}, "thickness": 12},
        }
    )
    caption = (
        f"Mean log ratio of the attention of {LOOKING[rows]} {_ratio(over, under, per)}, "
        "for each head of each block, over items. Colours diverge at zero, on one scale for all conditions; blocks "
        f"that do not reach both texts are left empty.{_bounded(conditions)}{wording.sentence(demonstrations)}"
    )
    subtitle = f"Attention of {LOOKING[rows]}, mean over items"
    return theme.finish(figure, f"Attention to {over} over {under} text by head", subtitle, caption)


@named("attention-split")
def attention_split(
    conditions: Mapping[str, Mapping[str, Array]], *, rows: AttentionRows = "response", demonstrations: str = ""
) -> go.Figure:
    """The share of all attention that each role of text gets, by block.

    Parameters
    ----------
    conditions: label -> (role -> (L,) share), A first.
    rows: whose attention it is, as given to `role_split`.
    demonstrations: what the statement is limited to, such as "for this demonstration set only (seed 0)".
    """
    titles = list(conditions)
    gap = theme.gap(len(titles))
    figure = make_subplots(1, len(titles), subplot_titles=titles, horizontal_spacing=gap, shared_yaxes=True)
    named_already: set[str] = set()
    for column, (label, split) in enumerate(conditions.items(), start=1):
        for role, share in split.items():
            if not np.nansum(share):
                continue
            figure.add_bar(
                x=np.arange(1, len(share) + 1),
                y=share,
                name=role,
                marker={"color": theme.ROLES[role], "line": {"width": 0}},
                legendgroup=role,
                showlegend=role not in named_already,
                meta={"columns": [], "panel": label},
                hovertemplate=f"%{{y:.1%}} to {role} tokens<extra></extra>",
                row=1,
                col=column,
            )
            named_already.add(role)
    figure.update_xaxes(title="Block (number)", tickformat="d", showgrid=False)
    figure.update_yaxes(range=[0, 1], tickformat=".0%")
    figure.update_yaxes(title="Share of attention (%)", row=1, col=1)
    sinks = "; special tokens often take most of it, as attention sinks" if "special" in named_already else ""
    caption = (
        f"How all attention of {LOOKING[rows]} is shared among the roles of text, by block, as the mean over items and "
        f"heads. Each bar sums to 100 %{sinks}."
        f"{wording.sentence(demonstrations)}"
    )
    return theme.finish(
        figure,
        "Where attention goes, by block",
        f"Attention of {LOOKING[rows]}, mean over items and heads",
        caption,
        barmode="stack",
        bargap=0.1,
        hovermode="x unified",
        legend_traceorder="normal",
        legend_rows=2,
    )


@named("attention-ratio-over-items")
def attention_ratio_over_items(
    conditions: Mapping[str, Array],
    *,
    block: int,
    item_ids: Mapping[str, Sequence[str]],
    over: str = "relevant",
    under: str = "irrelevant",
    rows: AttentionRows = "response",
    heads: Heads = "mean",
    per: Per = "token",
    demonstrations: str = "",
) -> go.Figure:
    """How the items' log attention ratios are spread in one block.

    Parameters
    ----------
    conditions: label -> (n,) log ratio of each item, NaN where it has none, A first.
    block: the block's number, from 1; item_ids: label -> n ids.
    over, under, rows, heads, per: as given to `attention_ratio`.
    demonstrations: what the statement is limited to, such as "for this demonstration set only (seed 0)".
    """
    figure = go.Figure(
        [
            go.Box(
                x=[label] * len(ratios),
                y=ratios,
                name=label,
                boxpoints="all",
                jitter=0.6,
                pointpos=0,
                text=list(item_ids[label]),
                line={"color": colour, "width": theme.LINE_WIDTH},
                fillcolor=theme.translucent(colour),
                marker={"color": colour, "size": 0.7 * theme.MARKER_SIZE},
                hovertemplate="%{text}: log ratio %{y:.3~g}<extra>%{fullData.name}</extra>",
            )
            for label, ratios, colour in theme.coloured(conditions)
        ]
    )
    figure.update_xaxes(title="Condition")
    figure.update_yaxes(title=_RATIO, zeroline=True)
    counts = wording.each(conditions, lambda ratios: f"{int(np.isfinite(ratios).sum())} of {len(ratios)} items")
    caption = (
        f"Each item's log ratio of the attention of {LOOKING[rows]} {_ratio(over, under, per)}, {JOINED[heads]}, in "
        f"block {block}, for {counts} that have one. Boxes hold the middle half of the items; a mean that few "
        f"items carry is seen here.{wording.sentence(demonstrations)}"
    )
    return theme.finish(
        figure,
        f"Attention to {over} over {under} text, item by item",
        f"Block {block}, attention of {LOOKING[rows]}",
        caption,
        showlegend=False,
    )
