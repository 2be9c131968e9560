"""The table of figures, filled by each figure's decorator, and the data of a figure as columns."""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, ParamSpec

import numpy as np
import plotly.graph_objects as go

from iclviz.figures.plain import read_back, write_plainly

P = ParamSpec("P")

FIGURES: dict[str, Callable[..., go.Figure]] = {}
"""Name -> the function that draws it; the name is also that of its files."""

TableRow = dict[str, Any]


def named(name: str) -> Callable[[Callable[P, go.Figure]], Callable[P, go.Figure]]:
    """Register a figure under a name, which it then carries in `layout.meta`, and show its texts as written."""

    def register(draw: Callable[P, go.Figure]) -> Callable[P, go.Figure]:
        @wraps(draw)
        def drawn(*args: P.args, **kwargs: P.kwargs) -> go.Figure:
            figure = draw(*args, **kwargs)
            write_plainly(figure)
            figure.layout.meta = {"name": name, **figure.layout.meta}
            return figure

        FIGURES[name] = drawn
        return drawn

    return register


def _plain(value: Any) -> Any:
    """A value for a CSV cell; None where it is missing."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, str):
        return read_back(value)
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _axis_title(figure: go.Figure, trace: Any, letter: str) -> str:
    """The title of a trace's axis, or of the first panel's where panels share one."""
    number = (getattr(trace, f"{letter}axis") or letter)[1:]
    titles = (figure.layout[f"{letter}axis{which}"].title.text for which in (number, ""))
    return next((read_back(title) for title in titles if title), letter)


def _axes(figure: go.Figure, trace: Any) -> tuple[str, str]:
    """The names of the columns of x and y; axes of one title are told apart."""
    x, y = _axis_title(figure, trace, "x"), _axis_title(figure, trace, "y")
    return (x, y) if x != y else (f"{x} (across)", f"{y} (down)")


def _points(figure: go.Figure, trace: Any) -> Iterator[TableRow]:
    """A row for each point of a scatter or bar trace, with the columns that its meta names in customdata."""
    x, y = _axes(figure, trace)
    extra = (trace.meta or {}).get("columns", [])
    customdata = trace.customdata if trace.customdata is not None else [()] * len(trace.x)
    for across, up, more in zip(trace.x, trace.y, customdata, strict=True):
        yield {x: across, y: up, **dict(zip(extra, more, strict=False))}


def _cells(figure: go.Figure, trace: Any) -> Iterator[TableRow]:
    """A row for each cell of a heatmap; its meta names the value and what customdata adds to it, and the items where
    its axes call them otherwise.
    """
    x, y = _axes(figure, trace)
    columns, rows = trace.meta.get("items", trace.x), trace.meta.get("items", trace.y)
    value, *extra = trace.meta["columns"]
    for place, up in enumerate(rows):
        for at, across in enumerate(columns):
            more = dict(zip(extra, trace.customdata[place][at], strict=True)) if extra else {}
            yield {x: across, y: up, value: trace.z[place][at], **more}


def _observations(figure: go.Figure, trace: Any) -> Iterator[TableRow]:
    """A row for each value that a histogram counts."""
    x = _axis_title(figure, trace, "x")
    for value in trace.x:
        yield {x: value}


def _items(figure: go.Figure, trace: Any) -> Iterator[TableRow]:
    """A row for each item of a box, named by its text."""
    y = _axis_title(figure, trace, "y")
    for name, value in zip(trace.text, trace.y, strict=True):
        yield {"item": name, y: value}


def _panel(trace: Any) -> TableRow:
    panel = (trace.meta or {}).get("panel")
    return {"panel": read_back(panel)} if panel else {}


_ROWS: dict[str, Callable[[go.Figure, Any], Iterator[TableRow]]] = {
    "scatter": _points,
    "bar": _points,
    "box": _items,
    "heatmap": _cells,
    "histogram": _observations,
}


def has_values(figure: go.Figure) -> bool:
    """Whether a figure shows any number at all."""
    return any(_has_values(trace) for trace in figure.data if trace.name)


def _has_values(trace: Any) -> bool:
    if trace.type == "heatmap":
        return bool(np.isfinite(np.asarray(trace.z, dtype=float)).any())
    axes = [axis for axis in (trace.x, trace.y) if axis is not None]
    return any(all(_plain(value) is not None for value in point) for point in zip(*axes, strict=True))


def table(figure: go.Figure) -> dict[str, list[Any]]:
    """The data that a figure shows, long form: column -> values, one entry a point, None where it has none.

    The column "series" holds the trace's name, "panel" that of its panel where series repeat in several; the others
    are named after the axes. Decoration without a name, such as an interval's band, is left out: its numbers stand
    beside the estimates.
    """
    rows = [
        {"series": read_back(trace.name), **_panel(trace), **{column: _plain(value) for column, value in row.items()}}
        for trace in figure.data
        if trace.name
        for row in _ROWS[trace.type](figure, trace)
    ]
    columns = dict.fromkeys(column for row in rows for column in row)
    return {column: [row.get(column) for row in rows] for column in columns}
