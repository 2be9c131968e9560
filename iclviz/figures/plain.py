"""Text of tasks, items and runs in figures, shown as it was written.

Plotly reads tags and entities in whatever it draws, fields in the patterns of hovers, and takes words along an axis for
numbers or dates where they look like these. A finished figure holds its texts with such marks escaped, and its axes of
words say that they are; `read_back` undoes the escapes for tables.
"""

import re
from collections.abc import Iterator
from itertools import product
from operator import is_
from typing import Any

import numpy as np
import plotly.graph_objects as go

_MARKUP = re.compile(r"&(?=#?\w+;)|<(?=[/\w])")
_ESCAPES = {"&": "&amp;", "<": "&lt;"}
_DRAWN = ("name", "text", "hovertext", "x", "y", "customdata")
"""Fields of a trace whose texts are drawn or shown in its hover."""
_MOST_OF_TICK, _MOST_OF_WORDS = 32, 72
"""Letters of a name beside an axis: of a group of items, and of a condition or class. Hovers tell the whole."""


def as_written(text: str) -> str:
    """A text for Plotly that shows as it is."""
    return _MARKUP.sub(lambda mark: _ESCAPES[mark[0]], text)


def read_back(text: str) -> str:
    """The text that `as_written` was given."""
    return text.replace("&lt;", "<").replace("&amp;", "&")


def in_pattern(text: str) -> str:
    """A text for the pattern of a hover, where it is no field either."""
    return as_written(text).replace("%{", "%&#123;")


def write_plainly(figure: go.Figure) -> None:
    """Escape every text that a figure draws; patterns of hovers are their figure's own."""
    for holder in _holders(figure):
        if holder.text:
            holder.text = as_written(holder.text)
    for axis in (*figure.select_xaxes(), *figure.select_yaxes()):
        if axis.ticktext is not None:
            axis.ticktext = [as_written(_shortened(str(text), _MOST_OF_TICK)) for text in axis.ticktext]
    for axis, words in _worded(figure):
        axis.type = "category"
        if axis.tickvals is None and any(len(word) > _MOST_OF_WORDS for word in words):
            axis.update(tickvals=list(map(as_written, words)), ticktext=[_cut_word(word) for word in words])
    for trace in figure.data:
        drawn = {field: trace[field] for field in _DRAWN if _has(trace, field)}
        written = {field: _escaped(value) for field, value in drawn.items()}
        trace.update({field: new for field, new in written.items() if new is not drawn[field]}, overwrite=True)
        if trace.meta:
            trace.meta = {name: value if name == "columns" else _escaped(value) for name, value in trace.meta.items()}


def _holders(figure: go.Figure) -> Iterator[Any]:
    """Whatever of a figure has a text of its own: titles, and those of panels, axes and colour bars."""
    yield figure.layout.title
    yield figure.layout.title.subtitle
    yield from figure.layout.annotations
    yield from (axis.title for axis in (*figure.select_xaxes(), *figure.select_yaxes()))
    yield from (axis.colorbar.title for axis in figure.select_coloraxes())
    yield from (trace.colorbar.title for trace in figure.select_traces({"type": "heatmap"}))


def _cut_word(text: str) -> str:
    return as_written(_shortened(text, _MOST_OF_WORDS))


def _shortened(text: str, most: int) -> str:
    """A text that leaves room for the figure beside it."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def _has(trace: Any, field: str) -> bool:
    return field in trace and trace[field] is not None


def _escaped(value: Any) -> Any:
    """A value with the texts in it escaped; the value itself where none has to be."""
    if isinstance(value, str):
        return as_written(value) if _MARKUP.search(value) else value
    if isinstance(value, np.ndarray) and value.dtype.kind not in "OSU":
        return value
    if isinstance(value, list | tuple | np.ndarray):
        written = [_escaped(one) for one in value]
        return value if all(map(is_, written, value)) else written
    return value


def _worded(figure: go.Figure) -> Iterator[tuple[Any, list[str]]]:
    """The axes along which traces have words, or boxes their names, and these."""
    found: dict[str, dict[str, None]] = {}
    for trace, letter in product(figure.data, "xy"):
        values = (
            [trace.name or ""]
            if trace.type == "box" and letter == "x"
            else trace[letter]
            if _has(trace, letter)
            else ()
        )
        if len(values) and all(isinstance(one, str) for one in values):
            name = f"{letter}axis{(trace[f'{letter}axis'] or letter)[1:]}"
            found.setdefault(name, {}).update(dict.fromkeys(values))
    yield from ((figure.layout[name], list(words)) for name, words in found.items())
