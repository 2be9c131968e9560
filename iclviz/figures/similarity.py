"""Similarity of items: the matrices of conditions, through the layers, side by side, and their difference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Required, TypedDict, Unpack

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from iclviz.analysis.item_maps import Values
from iclviz.analysis.wording import capital
from iclviz.figures import theme, wording
from iclviz.figures.registry import named
from iclviz.recording import Array

_MOST_GROUP_LABELS = 12
_COLUMNS = 4
_SMALL = 210

MOST_PLAYED = 5 * 2**20
"""Bytes of the matrices in the largest figure of all layers that a browser plays."""


class MatrixView(TypedDict, total=False):
    """How RSMs are shown, in every figure of them.

    Attributes
    ----------
    item_ids: n names; item_texts: n short texts that hovers add to them.
    groups: (n,) by which items are sorted and between which lines are drawn; None = as they are.
    clustered: (n,) the item in each place of an order by clusters, instead of groups.
    group_title, metric: names for titles and hovers.
    values: what the RSMs hold: similarities, their ranks or percentiles.
    demonstrations: what the statement is limited to, such as "for this demonstration set only (seed 0)".
    """

    item_ids: Required[Sequence[str]]
    item_texts: Sequence[str]
    groups: Array | None
    group_title: str
    clustered: Array | None
    metric: str
    values: Values
    demonstrations: str


@dataclass(frozen=True, eq=False)
class _Sorting:
    """How items stand on the axes: the item in each place, in words, what lines are drawn between, if anything, and the
    items' ids and what hovers call them, in that order.
    """

    order: Array
    words: str
    groups: Array | None
    ids: list[str]
    names: list[str]


def _sorting(view: MatrixView) -> _Sorting:
    if unknown := view.keys() - MatrixView.__annotations__.keys():
        raise TypeError(f"A figure of RSMs has no argument {', '.join(sorted(unknown))}.")
    item_ids, item_texts, groups = view["item_ids"], view.get("item_texts"), view.get("groups")
    order, words = np.arange(len(item_ids)), ""
    if (clustered := view.get("clustered")) is not None:
        order, words, groups = np.asarray(clustered), "by clusters of A", None
    elif groups is not None:
        order, words = np.argsort(np.asarray(groups), kind="stable"), f"by {view.get('group_title', 'group')}"
    ids = [str(item_ids[item]) for item in order.tolist()]
    names = [f"{item_ids[item]}: {item_texts[item]}" for item in order.tolist()] if item_texts else ids
    return _Sorting(order, words, None if groups is None else np.asarray(groups)[order], ids, names)


def _value(view: MatrixView) -> str:
    return _SCALES[view.get("values", "raw")].format(metric=view.get("metric", "cosine"))


def _limits(view: MatrixView) -> str:
    return wording.sentence(view.get("demonstrations", ""))


_SCALES: Mapping[Values, str] = {
    "raw": "{metric} similarity",
    "rank": "rank of the {metric} similarity",
    "percentile": "percentile of the {metric} similarity",
}


@named("similarity-matrices")
def similarity_matrices(
    rsms: Mapping[str, Array],
    hypothesis: Array,
    *,
    hypothesis_title: str = "Hypothesis",
    layer: int,
    **view: Unpack[MatrixView],
) -> go.Figure:
    """The RSMs of conditions and the hypothesis side by side.

    Parameters
    ----------
    rsms: label -> (n, n) of one layer, A first; they share one colour scale.
    hypothesis: (n, n), NaN = no prediction; its values mean something else, so it has a scale of its own.
    hypothesis_title: a name for the title of its matrix.
    layer: the layer shown.
    view: how the matrices are shown, see `MatrixView`.
    """
    value = _value(view)
    sorting = _sorting(view)
    title = capital(value)
    panels = {**rsms, hypothesis_title: hypothesis}
    gap = theme.gap(len(panels), 0.05)
    figure = make_subplots(1, len(panels), subplot_titles=list(panels), horizontal_spacing=gap, shared_yaxes=True)
    for column, (label, matrix) in enumerate(panels.items(), start=1):
        last = column == len(panels)
        heatmap = _heatmap(matrix, sorting, label, "prediction" if last else value)
        figure.add_trace(heatmap.update(coloraxis="coloraxis2" if last else "coloraxis"), row=1, col=column)
    _item_axes(figure, sorting)
    figure.update_yaxes(title=_axis_title(sorting), row=1, col=1)
    bar = {"orientation": "h", "thickness": 10, "yanchor": "top", "y": -0.38, "xanchor": "left", "tickangle": 0}
    share = len(rsms) / len(panels)
    shared = {**bar, "x": 0, "len": share - 0.05, "title": {"text": title, "side": "top"}}
    own = {**bar, "nticks": 3, "x": share + 0.02, "len": 0.98 - share, "title": {"text": "Prediction", "side": "top"}}
    figure.update_layout(
        coloraxis={**_scale(*rsms.values()), "colorbar": shared},
        coloraxis2={**_scale(hypothesis), "colorbar": own},
    )
    gaps = ", and gaps are pairs of which it says nothing" if np.isnan(np.asarray(hypothesis, float)).any() else ""
    caption = (
        f"{title} of every pair of items at layer {layer} in each condition, beside what the hypothesis predicts. "
        f"{'The one colour scale of all conditions' if len(rsms) > 1 else 'The colour scale'} is set without the "
        f"diagonal; the hypothesis has its own{gaps}.{_limits(view)}"
    )
    subtitle = _subtitle(f"Layer {layer}", sorting)
    return theme.finish(figure, "Representational similarity", subtitle, caption, height=520, margin_b=160)


@named("similarity-play")
def similarity_play(
    stacks: Mapping[str, Array],
    *,
    layer: int,
    **view: Unpack[MatrixView],
) -> go.Figure:
    """The RSMs of conditions through all layers, with a button that plays them and a slider, on one colour scale.

    Parameters
    ----------
    stacks: label -> (L + 1, n, n), A first.
    layer: the layer that is shown first.
    """
    value = _value(view)
    sorting = _sorting(view)
    gap = theme.gap(len(stacks), 0.05)
    figure = make_subplots(1, len(stacks), subplot_titles=list(stacks), horizontal_spacing=gap, shared_yaxes=True)
    for column, (label, stack) in enumerate(stacks.items(), start=1):
        heatmap = _heatmap(stack[layer], sorting, label, value).update(coloraxis="coloraxis")
        figure.add_trace(heatmap, row=1, col=column)
    _item_axes(figure, sorting)
    figure.update_yaxes(title=_axis_title(sorting), row=1, col=1)
    n_layers = min(map(len, stacks.values()))
    figure.frames = [
        go.Frame(
            name=str(at), data=[{"type": "heatmap", "z": _sorted(stack[at], sorting)} for stack in stacks.values()]
        )
        for at in range(n_layers)
    ]
    scale = _scale(*(matrix for stack in stacks.values() for matrix in stack))
    bar = {"title": {"text": capital(value), "side": "right"}, "thickness": 12}
    figure.update_layout(
        coloraxis={**scale, "colorbar": bar}, sliders=[_layer_steps(n_layers, layer)], updatemenus=[_PLAY]
    )
    caption = (
        f"{capital(value)} of every pair of items in each condition, layer by layer. "
        f"All layers share one colour scale, set without the diagonal.{_limits(view)}"
    )
    subtitle = _subtitle("All layers", sorting)
    return theme.finish(
        figure, "Representational similarity through the layers", subtitle, caption, height=600, margin_b=190
    )


_AT_ONCE = {"mode": "immediate", "transition": {"duration": 0}}
_SHOWN = {**_AT_ONCE, "frame": {"duration": 0, "redraw": True}}
_PLAYED = {**_AT_ONCE, "frame": {"duration": 350, "redraw": True}, "fromcurrent": True}

_PLAY = {
    "type": "buttons",
    "direction": "left",
    "showactive": False,
    "x": 0,
    "xanchor": "left",
    "y": -0.37,
    "yanchor": "top",
    "buttons": [
        {"label": "▶ Play", "method": "animate", "args": [None, _PLAYED]},
        {"label": "Pause", "method": "animate", "args": [[None], _SHOWN]},
    ],
}


def _layer_steps(n_layers: int, layer: int) -> dict[str, object]:
    """Plotly's own slider: it moves without a question to the server."""
    steps = [{"label": str(at), "method": "animate", "args": [[str(at)], _SHOWN]} for at in range(n_layers)]
    place = {"x": 0.26, "len": 0.74, "y": -0.33, "yanchor": "top"}
    return {"active": layer, "steps": steps, "currentvalue": {"prefix": "Layer "}, **place}


@named("similarity-difference")
def similarity_difference(
    difference: Array,
    *,
    layer: int,
    **view: Unpack[MatrixView],
) -> go.Figure:
    """B minus A of the similarity of every pair of items.

    Parameters
    ----------
    difference: (n, n) of one layer.
    """
    value = _value(view)
    sorting = _sorting(view)
    value = f"B − A, {value}"
    figure = go.Figure(_heatmap(difference, sorting, "B − A", value).update(coloraxis="coloraxis"))
    _item_axes(figure, sorting)
    figure.update_yaxes(title=_axis_title(sorting))
    most = float(np.nanmax(np.abs(_off_diagonal(difference)), initial=0.0)) or 1.0
    figure.update_layout(
        coloraxis={
            **_diverging(most),
            "colorbar": {"title": {"text": value, "side": "right"}, "thickness": 12},
        }
    )
    caption = (
        f"How much more alike (above zero) or less (below) each pair of items is in B than in A, at layer {layer}. "
        f"Single pairs are not tested; the change of alignment is.{_limits(view)}"
    )
    subtitle = _subtitle(f"Layer {layer}", sorting)
    return theme.finish(figure, "Difference of representational similarity", subtitle, caption, height=560)


@named("similarity-by-layer")
def similarity_by_layer(
    rsms: Mapping[int, Array],
    *,
    condition: str,
    **view: Unpack[MatrixView],
) -> go.Figure:
    """The RSMs of several layers of a condition, small and on one colour scale.

    Parameters
    ----------
    rsms: layer -> (n, n).
    condition: its label.
    """
    value = _value(view)
    sorting = _sorting(view)
    figure, height = _small({f"Layer {layer}": matrix for layer, matrix in rsms.items()}, sorting, value)
    caption = (
        f"{capital(value)} of every pair of items in {condition}, for layers from the first to the last. "
        f"All share one colour scale, set without the diagonal.{_limits(view)}"
    )
    subtitle = _subtitle(condition, sorting)
    return theme.finish(figure, "Representational similarity over layers", subtitle, caption, height=height)


@named("similarity-by-condition")
def similarity_by_condition(
    rsms: Mapping[str, Array],
    *,
    layer: int,
    **view: Unpack[MatrixView],
) -> go.Figure:
    """The RSMs of several conditions at one layer, small and on one colour scale.

    Parameters
    ----------
    rsms: label -> (n, n).
    layer: the layer shown.
    """
    value = _value(view)
    sorting = _sorting(view)
    figure, height = _small(rsms, sorting, value)
    caption = (
        f"{capital(value)} of every pair of items at layer {layer}, in {len(rsms)} conditions. "
        f"All share one colour scale, set without the diagonal.{_limits(view)}"
    )
    subtitle = _subtitle(f"Layer {layer}", sorting)
    return theme.finish(figure, "Representational similarity over conditions", subtitle, caption, height=height)


def _small(rsms: Mapping[str, Array], sorting: _Sorting, value: str) -> tuple[go.Figure, int]:
    """Small panels, title -> (n, n), on one colour scale, and the height that they need."""
    n_rows = -(-len(rsms) // _COLUMNS)
    spacing = {"horizontal_spacing": 0.03, "vertical_spacing": 0.34 / n_rows}
    figure = make_subplots(n_rows, _COLUMNS, subplot_titles=list(rsms), **spacing)
    for place, (title, matrix) in enumerate(rsms.items()):
        heatmap = _heatmap(matrix, sorting, title, value).update(coloraxis="coloraxis")
        figure.add_trace(heatmap, row=place // _COLUMNS + 1, col=place % _COLUMNS + 1)
    _square(figure)
    figure.update_xaxes(title=_axis_title(sorting), col=1)
    figure.update_yaxes(title="Item", col=1)
    bar = {"title": {"text": capital(value), "side": "right"}, "thickness": 12}
    figure.update_layout(coloraxis={**_scale(*rsms.values()), "colorbar": bar})
    return figure, theme.MARGIN["t"] + theme.MARGIN["b"] + _SMALL * n_rows


def _heatmap(matrix: Array, sorting: _Sorting, name: str, value: str) -> go.Heatmap:
    return go.Heatmap(
        x=sorting.names,
        y=sorting.names,
        z=_sorted(matrix, sorting),
        name=name,
        meta={"columns": [value], "items": sorting.ids},
        hovertemplate=f"%{{y}}<br>%{{x}}<br>{value} %{{z:.3~g}}<extra>%{{fullData.name}}</extra>",
    )


def _sorted(matrix: Array, sorting: _Sorting) -> Array:
    """A matrix as its axes show it, in half the bytes: browsers wait for them."""
    shown: Array = np.asarray(matrix, dtype=np.float32)[np.ix_(sorting.order, sorting.order)]
    return shown


def _axis_number(place: int) -> str:
    """What follows x, y, xaxis and yaxis for the panel of that place, from 1."""
    return "" if place == 1 else str(place)


def _square(figure: go.Figure) -> None:
    figure.update_xaxes(type="category", showgrid=False, constrain="domain", showticklabels=False, ticks="")
    figure.update_yaxes(type="category", showgrid=False, constrain="domain", autorange="reversed", showticklabels=False)
    for place in range(1, len(figure.data) + 1):
        axis = _axis_number(place)
        figure.layout[f"yaxis{axis}"].update(scaleanchor=f"x{axis}", ticks="")


def _item_axes(figure: go.Figure, sorting: _Sorting) -> None:
    """Square panels of items, with lines between groups and the groups' names on the axes."""
    _square(figure)
    figure.update_xaxes(title=_axis_title(sorting))
    if sorting.groups is None:
        return
    borders, places, names = _group_ticks(sorting.groups)
    ticks = {"tickvals": places, "ticktext": [str(name) for name in names], "showticklabels": True}
    figure.update_xaxes(tickangle=-90, **ticks)
    figure.layout.yaxis.update(**ticks)
    figure.update_layout(shapes=_group_lines(borders, len(sorting.order), len(figure.data)))


def _group_lines(borders: Array, n_items: int, n_panels: int) -> list[dict[str, object]]:
    """Lines between groups: one path a panel, since browsers and Plotly take long over many shapes."""
    end = n_items - 0.5
    path = "".join(f"M{at},-0.5L{at},{end}M-0.5,{at}L{end},{at}" for at in borders - 0.5)
    shape = {"type": "path", "path": path, "line": {"color": theme.GROUP_LINE, "width": theme.THIN}}
    axes = (_axis_number(place) for place in range(1, n_panels + 1))
    return [{**shape, "xref": f"x{axis}", "yref": f"y{axis}"} for axis in axes] if path else []


def _axis_title(sorting: _Sorting) -> str:
    return f"Item, {sorting.words}" if sorting.words else "Item"


def _subtitle(words: str, sorting: _Sorting) -> str:
    return f"{words}, items sorted {sorting.words}" if sorting.words else words


def _off_diagonal(matrix: Array) -> Array:
    return np.asarray(matrix, dtype=float)[~np.eye(len(matrix), dtype=bool)]


def _diverging(most: float) -> dict[str, object]:
    return {"colorscale": list(theme.DIVERGING), "cmin": -most, "cmax": most, "cmid": 0}


def _scale(*matrices: Array) -> dict[str, object]:
    """Diverging around zero for values on both sides of it, else sequential; the diagonal does not set the range."""
    values = np.concatenate([_off_diagonal(matrix) for matrix in matrices])
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    if low < 0 < high:
        return _diverging(max(-low, high))
    return {"colorscale": theme.SEQUENTIAL, "cmin": low, "cmax": high if high > low else low + 1}


def _group_ticks(groups: Array) -> tuple[Array, Array, Array]:
    """Where groups of sorted items begin, and places and names of their labels, thinned where there are many."""
    names, starts, counts = np.unique(groups, return_index=True, return_counts=True)
    order = np.argsort(starts)
    names, starts, counts = names[order], starts[order], counts[order]
    every = int(np.ceil(len(names) / _MOST_GROUP_LABELS))
    # A tick exactly on an item would take the place of the item's own name in the hover.
    centres = starts + (counts - 1) / 2 + 0.002 * len(groups)
    return starts[1:], centres[::every], names[::every]
