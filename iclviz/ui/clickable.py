"""Figures of blocks and heads in which a click chooses: a bar its block, a cell its block and head.

Streamlit reports clicks on points alone, so on the page each cell of a heatmap carries an unseen mark. The files and
tables of a figure are made without these marks and without the frame around what is chosen.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from iclviz.figures import theme
from iclviz.ui.copying import Copied
from iclviz.ui.figure import show
from iclviz.ui.page_files import open_page
from iclviz.ui.page_state import set_state, write_url

Point = Mapping[str, Any]

UNSEEN = {"opacity": 0, "size": 6, "symbol": "square"}
"""Smaller than a cell: the nearest mark is then always the one of the cell that is clicked."""

FRAME = {"color": theme.HYPOTHESIS, "width": theme.LINE_WIDTH}

REACH = 60
"""How far from its mark a cell can be clicked, in pixels."""


def show_blocks(figure: go.Figure, block: int, copied: Copied | None) -> None:
    """Draw a figure of bars over blocks, the chosen one framed; a click chooses another, over all heads."""

    def marked(drawn: go.Figure) -> None:
        drawn.update_traces(unselected={"marker": {"opacity": 1}}, selector={"type": "bar"})
        drawn.add_vrect(x0=block - 0.5, x1=block + 0.5, line=FRAME)

    _show(figure, marked, block_of, copied)


def show_cells(figure: go.Figure, block: int, head: int | None, copied: Copied | None) -> None:
    """Draw maps of blocks and heads, the chosen cell or row framed; a click chooses another cell."""

    def marked(drawn: go.Figure) -> None:
        for heatmap in [trace for trace in drawn.data if trace.type == "heatmap"]:
            drawn.add_trace(_cells(heatmap))
            heatmap.update(hoverinfo="skip", hovertemplate=None)
            blocks, heads = heatmap.z.shape
            drawn.layout[heatmap.xaxis.replace("x", "xaxis")].range = [-0.5, heads - 0.5]  # points would widen them
            drawn.layout[heatmap.yaxis.replace("y", "yaxis")].range = [0.5, blocks + 0.5]
            first, last = (0, heads - 1) if head is None else (head, head)
            frame = {"x0": first - 0.5, "x1": last + 0.5, "y0": block - 0.5, "y1": block + 0.5}
            drawn.add_shape(**frame, line=FRAME, xref=heatmap.xaxis, yref=heatmap.yaxis)
        drawn.update_layout(hoverdistance=REACH)

    _show(figure, marked, cell_of, copied)


@dataclass(frozen=True)
class Clicked:
    """A mark of a figure of rows over layers: its row from 0, and the layer."""

    row: int
    layer: int


def show_rows(figure: go.Figure, copied: Copied) -> Clicked | None:
    """Draw a figure of one trace a row, over layers; the mark that was just clicked."""
    points = _clicked(figure, copied=copied)
    return Clicked(points[0]["curve_number"], int(points[0]["x"])) if points else None


def show_sites(figure: go.Figure, copied: Copied) -> tuple[Any, Any] | None:
    """Draw maps of sites; what both axes say of the cell that was just clicked."""

    def marked(drawn: go.Figure) -> None:
        for heatmap in [trace for trace in drawn.data if trace.type == "heatmap"]:
            drawn.add_trace(_cells(heatmap))
            heatmap.update(hoverinfo="skip", hovertemplate=None)
        drawn.update_layout(hoverdistance=REACH)

    points = [point for point in _clicked(figure, copied=copied, mark=marked) if len(point.get("customdata") or []) > 1]
    return (points[0]["y"], points[0]["x"]) if points else None


def show_item_points(figure: go.Figure, item_ids: Sequence[str], name: str = "") -> None:
    """Draw a figure in which points are items; a click on one opens its prompts side by side.

    item_ids: A's items in their order.
    """
    points = _clicked(figure, name)
    if points and (item := _item(points[0])) in item_ids:
        set_state({"item": list(item_ids).index(item)})
        open_page("prompts")


def _clicked(
    figure: go.Figure,
    name: str = "",
    copied: Copied | None = None,
    mark: Callable[[go.Figure], None] = lambda drawn: None,
) -> list[Point]:
    """Draw a figure whose look no click changes; the points that were just clicked.

    mark: adds what can be clicked to the copy that is drawn.
    """
    events: list[Any] = []

    def draw(drawn: go.Figure, **options: Any) -> None:
        mark(drawn)
        for trace in drawn.select_traces({"type": "scatter"}):
            shown = 0 if np.ndim(trace.marker.opacity) == 0 and trace.marker.opacity == 0 else 1
            trace.update(selected={"marker": {"opacity": shown}}, unselected={"marker": {"opacity": shown}})
        events.append(st.plotly_chart(drawn, on_select="rerun", selection_mode="points", **options))

    show(figure, name, draw=draw, copied=copied)
    return list(events[0]["selection"]["points"])


def _item(point: Point) -> str:
    """The item that a point names in its text, or first in its data."""
    return str(point.get("text") or next(iter(point.get("customdata") or []), ""))


def block_of(point: Point) -> dict[str, Any]:
    """The choices that a bar stands for."""
    return {"layer": int(point["x"]), "head": ""}


def cell_of(point: Point) -> dict[str, Any]:
    """The choices that a cell stands for."""
    return {"layer": int(point["y"]), "head": str(int(point["x"]))}


def _cells(heatmap: go.Heatmap) -> go.Scatter:
    """An unseen mark on each cell that has a value, with the heatmap's hover."""
    down, across = np.nonzero(np.isfinite(heatmap.z))
    values = heatmap.z[down, across]
    more = None if heatmap.customdata is None else np.asarray(heatmap.customdata)[down, across]
    data, place = (values, "%{customdata") if more is None else (np.column_stack([more, values]), _last(more))
    return go.Scatter(
        x=np.asarray(heatmap.x)[across],
        y=np.asarray(heatmap.y)[down],
        customdata=data,
        xaxis=heatmap.xaxis,
        yaxis=heatmap.yaxis,
        name=heatmap.name,
        mode="markers",
        marker={**UNSEEN, "color": values, "coloraxis": heatmap.coloraxis},
        selected={"marker": {"opacity": 0}},
        unselected={"marker": {"opacity": 0}},
        showlegend=False,
        hovertemplate=heatmap.hovertemplate.replace("%{z", place),
    )


def _last(more: Any) -> str:
    """Where a cell's value stands behind what else is known of it, as a hover's pattern has it."""
    return f"%{{customdata[{more.shape[1]}]"


def _show(
    figure: go.Figure,
    mark: Callable[[go.Figure], None],
    chosen_by: Callable[[Point], dict[str, Any]],
    copied: Copied | None,
) -> None:
    def draw(drawn: go.Figure, *, key: str, **options: Any) -> None:
        mark(drawn)
        st.plotly_chart(drawn, key=key, on_select=partial(_take, key, chosen_by), selection_mode="points", **options)

    show(figure, draw=draw, copied=copied)


def _take(key: str, chosen_by: Callable[[Point], dict[str, Any]]) -> None:
    points = st.session_state[key]["selection"]["points"]
    if points:  # none where a click ends a selection
        set_state(chosen_by(points[0]))
        write_url()  # a fragment reruns without the app around it
