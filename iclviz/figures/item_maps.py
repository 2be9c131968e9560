"""Items of a layer in a plane, coloured by a label."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from iclviz.analysis.item_maps import ItemMap
from iclviz.figures import theme, wording
from iclviz.figures.plain import in_pattern
from iclviz.figures.registry import named
from iclviz.recording import Array

_MOST_COLOURS = len(theme.CATEGORIES)


@named("item-map")
def item_map(
    maps: Mapping[str, ItemMap],
    labels: Array | Sequence[object],
    *,
    item_ids: Sequence[str],
    label: str,
    layer: int,
    demonstrations: str = "",
) -> go.Figure:
    """Items of one layer in a plane, coloured by a label.

    Parameters
    ----------
    maps: label of the condition -> its map, A first.
    labels: (n,) texts or numbers; label: their title.
    item_ids: n names.
    layer: the layer shown.
    demonstrations: what the statement is limited to.
    """
    values = np.asarray(labels)
    figure = make_subplots(1, len(maps), subplot_titles=list(maps), horizontal_spacing=theme.gap(len(maps), 0.12))
    for column, (name, mapped) in enumerate(maps.items(), start=1):
        for trace in _points(mapped, values, item_ids, name, label, first=column == 1):
            figure.add_trace(trace, row=1, col=column)
        across, down = (f"Axis {axis} ({share:.0%})" for axis, share in enumerate(mapped.shares, start=1))
        figure.update_xaxes(title=across, row=1, col=column)
        figure.update_yaxes(title=down, row=1, col=column, scaleanchor="x" if column == 1 else f"x{column}")
    bar = {"title": {"text": label}, "thickness": 12}
    figure.update_layout(coloraxis={"colorscale": theme.SEQUENTIAL, "colorbar": bar})
    caption = (
        f"Every item at layer {layer} in the plane that keeps most of the distances between items (classical "
        f"scaling), coloured by {wording.inner(label)}. Near items tend to be represented alike; each axis keeps the "
        f"given share of their spread, and axes of A and B are not the same.{wording.sentence(demonstrations)}"
    )
    rows = -(-min(len(np.unique(values)), _MOST_COLOURS) // 6)
    return theme.finish(
        figure, "Items in a plane", f"Layer {layer}, by {label}", caption,
        legend_rows=rows + 1, height=480, showlegend=not _is_scale(values),
    )  # fmt: skip


def _is_scale(values: Array) -> bool:
    """Whether a label is shown on a colour scale: numbers with more values than there are colours."""
    return values.dtype.kind in "if" and len(np.unique(values)) > _MOST_COLOURS


def _points(
    mapped: ItemMap, values: Array, item_ids: Sequence[str], condition: str, label: str, first: bool
) -> list[go.Scatter]:
    hover = f"%{{text}}<br>{in_pattern(label)} %{{customdata[0]}}<extra>{in_pattern(condition)}</extra>"
    marker = {"size": theme.MARKER_SIZE + 1, "opacity": 0.85}

    def scatter(items: Array, name: str, **fields: object) -> go.Scatter:
        return go.Scatter(
            x=mapped.places[items, 0],
            y=mapped.places[items, 1],
            text=[str(item_ids[item]) for item in items],
            customdata=values[items, None],
            name=name,
            mode="markers",
            meta={"columns": [label], "panel": condition},
            hovertemplate=hover,
            **fields,
        )

    if _is_scale(values):
        coloured = {**marker, "color": values, "coloraxis": "coloraxis"}
        return [scatter(np.arange(len(values)), condition, marker=coloured)]
    names, codes = np.unique(values.astype(str), return_inverse=True)
    kept = names[: _MOST_COLOURS - 1] if len(names) > _MOST_COLOURS else names
    parts = [
        (str(name), np.flatnonzero(codes == code), colour)
        for code, (name, colour) in enumerate(zip(kept, theme.CATEGORIES, strict=False))
    ]
    if len(kept) < len(names):
        parts.append((f"{len(names) - len(kept)} others", np.flatnonzero(codes >= len(kept)), theme.OTHERS))
    return [
        scatter(items, name, legendgroup=name, showlegend=first, marker={**marker, "color": colour})
        for name, items, colour in parts
    ]
