"""A figure laid out anew for a narrow canvas: a column of a paper, or a phone.

Panels that would become too narrow go into further rows, long texts are broken, and the height follows from what there
is to show.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from textwrap import wrap
from typing import Any

import numpy as np
import plotly.graph_objects as go

from iclviz.figures import theme

# Sizes in px of the canvas.
_LETTER = 0.5 * theme.TEXT_SIZE
"""Mean width of a letter."""
_LINE = 1.3 * theme.TEXT_SIZE
_EDGE, _STANDOFF, _TICKS = 8, 12, 20
_NUMBERS, _LABELS = 34, 110
"""Width of an axis's numbers, and the most that its words get."""
_LEGEND_KEY, _LEGEND_LINE = 45, 20
_COLOUR_BAR, _COLOUR_BAR_BELOW = 84, 58
_LEGEND = {"xref": "container", "x": 0, "yref": "container", "y": 1, "yanchor": "top", "tracegroupgap": 0}
_NARROWEST = 130
_ASPECT, _LOWEST, _HIGHEST, _HIGHEST_SQUARE = 0.62, 150, 320, 430
_TEXT_AT_POINT = 0.35
"""The most of a panel's width that a text beside a point gets."""
_LEAST_WITH_BAR_BESIDE = 400
"""The least width of a canvas on which a colour bar stands beside the panels."""
_LABELS_SHARE = 0.3
"""The most of a canvas that the words at an axis get."""
_SLIDER, _BUTTONS = 80, 50
_USUAL_WIDTH, _SMALLEST_MARK = 400, 3
"""The width of a panel for which marks are drawn, and the least size of one."""
MOST_OF_LABEL = 28
"""Letters of a label at an axis."""


@dataclass(frozen=True)
class _Panel:
    """A panel's axes, its title (an annotation), and where it stands in the grid."""

    x: Any
    y: Any
    title: Any
    row: int
    column: int
    is_lowest: bool


@dataclass(frozen=True)
class _Grid:
    """Panels in rows and columns; the width that they have, and their sizes.

    `ticks` is the height of the labels of their x axes.
    """

    panels: Sequence[_Panel]
    n_rows: int
    n_columns: int
    room: float
    width: float
    height: float
    gap_across: float
    gap_down: float
    ticks: float

    @property
    def across(self) -> float:
        """Width of all panels with the gaps between them."""
        return self.n_columns * self.width + (self.n_columns - 1) * self.gap_across

    @property
    def left(self) -> float:
        """Where the first column begins: what does not fill the room stands in its middle."""
        return max(0.0, self.room - self.across) / 2

    @property
    def down(self) -> float:
        """Height of all panels with the gaps between them."""
        return self.n_rows * self.height + (self.n_rows - 1) * self.gap_down


def arrange(figure: go.Figure, width: int) -> None:
    """Lay a figure out for a canvas of a width in px, with the text of the screen and no title; sets its height too."""
    figure.update_layout(title={"text": None, "subtitle": {"text": None}})
    figure.update_xaxes(title_font_size=theme.TEXT_SIZE)
    figure.update_yaxes(title_font_size=theme.TEXT_SIZE)
    beside, below = _colour_bars(figure)
    if width < _LEAST_WITH_BAR_BESIDE:
        _turn_down(beside)
        beside, below = [], [*beside, *below]
    notes = _notes(figure)
    room = width - _EDGE - (_COLOUR_BAR if beside else _EDGE) - notes
    grid = _grid(figure, room, min(_LABELS, _LABELS_SHARE * width))
    _place(grid)
    _shrink_marks(figure, grid)
    _break_texts(figure, grid)
    under = grid.ticks + _titles_of_axes(grid)
    under += _place_bars(beside, below, grid, under)
    under += _place_player(figure, grid, under)
    over = _EDGE + _legend(figure, width) + _titles_of_panels(grid.panels)
    margin = {"l": _EDGE, "r": _EDGE + notes, "t": over, "b": _EDGE, "pad": 0}
    figure.update_layout(margin=margin, height=round(over + grid.down + under + _EDGE))


def _notes(figure: go.Figure) -> float:
    """The room of what stands to the right of a panel, a text a row."""
    found = [one for one in figure.layout.annotations if (one.xref, one.x, one.xanchor) == ("paper", 1, "left")]
    return max((one.xshift + _LETTER * len(one.text) for one in found), default=0.0)


def _grid(figure: go.Figure, room: float, most_of_labels: float) -> _Grid:
    """The panels in the order in which they are read, in as many columns as there is room for."""
    pairs = dict.fromkeys((trace.xaxis or "x", trace.yaxis or "y") for trace in figure.data)
    axes = [(figure.layout[f"xaxis{x[1:]}"], figure.layout[f"yaxis{y[1:]}"]) for x, y in pairs]
    _hide_empty(figure, axes)
    beside = _STANDOFF + _LINE + max(_break_labels_down(figure, y, most_of_labels) for _, y in axes)
    room -= beside
    is_each_labelled = len(axes) > 1 and _all_titled([y for _, y in axes])
    gap = beside + 2 * _LINE if is_each_labelled else _LINE
    n_before = len({x.domain for x, _ in axes})
    n_columns = min(n_before, max(1, int((room + gap) // (_NARROWEST + gap))))
    width = (room - (n_columns - 1) * gap) / n_columns
    most = max(len(_labels(figure, y, "y")) for _, y in axes)
    height = max(min(max(_ASPECT * width, _LOWEST), _HIGHEST), _LINE * most)
    if axes[0][1].scaleanchor:
        width = height = min(width, _HIGHEST_SQUARE)
    titles = [one for one in figure.layout.annotations if one.yref == "paper"] or [None] * len(axes)
    panels = [
        _Panel(x, y, title, place // n_columns, place % n_columns, place + n_columns >= len(axes))
        for place, ((x, y), title) in enumerate(zip(axes, titles, strict=False))
    ]
    for panel in panels:
        if panel.title:
            panel.title.update(text=_broken(panel.title.text, width), font_size=theme.TEXT_SIZE)
    ticks = max(_break_labels_across(figure, x, width, most_of_labels) for x, _ in axes)
    for panel in panels:
        _thin(panel.y, height)
        _thin(panel.x, width)
    down = ticks + _titles_of_panels(panels) + (2 * _LINE if _all_titled([x for x, _ in axes]) else 0)
    return _Grid(panels, ceil(len(axes) / n_columns), n_columns, room, width, height, gap, down, ticks)


def _hide_empty(figure: go.Figure, axes: Sequence[tuple[Any, Any]]) -> None:
    """Hide the axes of a grid's places that no panel took."""
    kept = {axis.plotly_name for pair in axes for axis in pair}
    for each in (figure.for_each_xaxis, figure.for_each_yaxis):
        each(lambda axis: None if axis.plotly_name in kept else axis.update(visible=False))


def _all_titled(axes: Sequence[Any]) -> bool:
    return all(axis.title.text for axis in axes)


def _place(grid: _Grid) -> None:
    """Set where each panel and its title stand, as shares of the plotted area."""
    for panel in grid.panels:
        left = (grid.left + panel.column * (grid.width + grid.gap_across)) / grid.room
        top = max(0.0, 1 - panel.row * (grid.height + grid.gap_down) / grid.down)
        panel.x.domain = (left, min(1.0, left + grid.width / grid.room))
        panel.y.domain = (max(0.0, top - grid.height / grid.down), top)
        if panel.title:
            panel.title.update(x=left + grid.width / grid.room / 2, y=top)


def _labels(figure: go.Figure, axis: Any, letter: str) -> list[str]:
    """The words along an axis; none along one of numbers."""
    if axis.showticklabels is False:
        return []
    name = axis.plotly_name.replace("axis", "")
    shown = [trace[letter] for trace in figure.data if (trace[f"{letter}axis"] or letter) == name]
    words = dict.fromkeys(one for values in shown if values is not None for one in values if isinstance(one, str))
    return list(axis.ticktext or words)


def _break_labels_down(figure: go.Figure, axis: Any, most: float) -> float:
    """Break the words along a y axis; the width that its labels take."""
    labels = _labels(figure, axis, "y")
    if not labels:
        return _EDGE if axis.showticklabels is False else _NUMBERS
    broken = [_broken(label, most) for label in shortened(labels)]
    _relabel(axis, labels, broken)
    return max(map(_width, broken))


def _break_labels_across(figure: go.Figure, axis: Any, width: float, most: float) -> float:
    """Break the words along an x axis, upright where they do not fit beside each other; the height that they take."""
    labels = _labels(figure, axis, "x")
    if not labels:
        return _EDGE if axis.showticklabels is False else _TICKS
    slot, short = width / len(labels) - _EDGE, shortened(labels)
    broken = [_broken(label, slot) for label in short]
    is_upright = max(map(_width, broken)) > slot
    if is_upright:
        longest = max(_width(label) for label in short) / max(1, slot // _LINE)
        broken = [_broken(label, max(1.2 * longest, most)) for label in short]
    _relabel(axis, labels, broken)
    axis.tickangle = -90 if is_upright else 0
    return _EDGE + (max(map(_width, broken)) if is_upright else _LINE * max(map(_n_lines, broken)))


def _thin(axis: Any, room: float) -> None:
    """Leave out labels of an axis that would lie over each other even in one line each."""
    if axis.ticktext and (axis.tickangle or axis.plotly_name.startswith("y")):
        every = ceil(len(axis.ticktext) * _LINE / room)
        axis.update(tickvals=axis.tickvals[::every], ticktext=axis.ticktext[::every])


def shortened(labels: Sequence[str]) -> list[str]:
    """Labels cut to what can be read at an axis."""
    return [label if len(label) <= MOST_OF_LABEL else f"{label[: MOST_OF_LABEL - 1].rstrip()}…" for label in labels]


def shorten_labels(figure: go.Figure) -> None:
    """Shorten the words along a figure's axes, which keeps its panels large; hovers say them whole."""
    for letter, axes in (("x", figure.select_xaxes()), ("y", figure.select_yaxes())):
        for axis in axes:
            labels = _labels(figure, axis, letter)
            if shortened(labels) != labels:
                _relabel(axis, labels, shortened(labels))


def _relabel(axis: Any, labels: list[str], broken: list[str]) -> None:
    axis.update(tickvals=labels if axis.tickvals is None else axis.tickvals, ticktext=broken)


def _break_texts(figure: go.Figure, grid: _Grid) -> None:
    """Break titles of axes and texts at points to fit; titles stand at the grid's edges, unless each has its own."""
    xs, ys = [panel.x for panel in grid.panels], [panel.y for panel in grid.panels]
    if not _all_titled(xs):
        title = xs[0].title.text
        for panel in grid.panels:
            panel.x.title.text = title if panel.is_lowest else None
    if not _all_titled(ys):
        _share_left_axis(grid)
    for panel in grid.panels:
        panel.x.title.text = _broken(panel.x.title.text, grid.width)
        panel.y.title.text = _broken(panel.y.title.text, grid.height)
    for trace in figure.select_traces({"mode": "markers+text"}):
        _turn_inwards(trace, _TEXT_AT_POINT * grid.width)


def _share_left_axis(grid: _Grid) -> None:
    """Title and labels of the first panel's y axis, for the first panel of every row and for no other."""
    first = grid.panels[0].y
    shown = {"title_text": first.title.text, "tickvals": first.tickvals, "ticktext": first.ticktext}
    shown["showticklabels"] = first.showticklabels
    for panel in grid.panels:
        panel.y.update(shown if panel.column == 0 else {"title_text": None, "showticklabels": False}, overwrite=True)


def _turn_inwards(trace: Any, width: float) -> None:
    """Texts at points on the side where the panel's middle is, so that none leaves it."""
    middle = (min(trace.x) + max(trace.x)) / 2
    trace.update(
        text=[_broken(text, width) for text in trace.text],
        textposition=["middle right" if x < middle else "middle left" for x in trace.x],
        textfont_size=theme.TEXT_SIZE,
        cliponaxis=False,
    )


def _titles_of_axes(grid: _Grid) -> float:
    """The height of the titles of the x axes."""
    return _STANDOFF + _LINE * max(_n_lines(panel.x.title.text) for panel in grid.panels)


def _titles_of_panels(panels: Sequence[_Panel]) -> float:
    """The height of the panels' titles."""
    lines = max((_n_lines(panel.title.text) for panel in panels if panel.title), default=0)
    return lines * _LINE + (_EDGE / 2 if lines else 0)


def _colour_bars(figure: go.Figure) -> tuple[list[Any], list[Any]]:
    """Colour bars beside the panels and those below: of traces, and of the colour axes that traces use."""
    coloured = [part for trace in figure.data for part in (trace, getattr(trace, "marker", None))]
    named = [getattr(part, "coloraxis", None) for part in coloured]
    scaled = [trace for trace in figure.data if trace.type == "heatmap" and trace.showscale is not False]
    own = [trace.colorbar for trace in scaled if not trace.coloraxis]
    bars = own + [figure.layout[axis].colorbar for axis in dict.fromkeys(filter(None, named))]
    return [bar for bar in bars if bar.orientation != "h"], [bar for bar in bars if bar.orientation == "h"]


def _place_bars(beside: Sequence[Any], below: Sequence[Any], grid: _Grid, under: float) -> float:
    """Put colour bars right of the panels, and others under their axes; the height of the latter."""
    for bar in beside:
        bar.update(x=(grid.left + grid.across) / grid.room + 0.02, title_text=_broken(bar.title.text, grid.down))
    for bar in below:
        bar.update(y=-(under + _EDGE) / grid.down, yanchor="top", title_side="top")
        bar.title.text = _broken(bar.title.text, bar.len * grid.room)
    for bar in (*beside, *below):
        bar.title.font.size = theme.TEXT_SIZE
    return _COLOUR_BAR_BELOW + _LINE * max(_n_lines(bar.title.text) for bar in below) if below else 0


def _shrink_marks(figure: go.Figure, grid: _Grid) -> None:
    """Marks whose sizes say something become smaller with their panel, so that those beside each other stay apart."""
    for trace in figure.select_traces({"type": "scatter"}):
        sizes = trace.marker.size
        if sizes is not None and np.ndim(sizes):
            trace.marker.size = np.maximum(np.asarray(sizes) * min(1.0, grid.width / _USUAL_WIDTH), _SMALLEST_MARK)


def _turn_down(bars: Sequence[Any]) -> None:
    """Make colour bars lie side by side, as wide as the panels."""
    for place, bar in enumerate(bars):
        share = 1 / len(bars)
        bar.update(orientation="h", x=place * share, xanchor="left", len=share - 0.02, thickness=10, nticks=5)


def _place_player(figure: go.Figure, grid: _Grid, under: float) -> float:
    """Put a slider and its buttons under everything else; the height that they take."""
    height = 0.0
    for parts, own in ((figure.layout.sliders, _SLIDER), (figure.layout.updatemenus, _BUTTONS)):
        for part in parts:
            part.update(x=0, xanchor="left", y=-(under + height) / grid.down, yanchor="top", pad_t=_EDGE)
            height += own
    for slider in figure.layout.sliders:
        slider.len = 1
    return height


def _legend(figure: go.Figure, width: float) -> float:
    """Put the legend over everything else, as wide as the canvas; its height."""
    asked, listed = figure.layout.showlegend, [trace for trace in figure.data if trace.type != "heatmap"]
    shown = [trace for trace in listed if trace.name and trace.showlegend is not False]
    if not shown or not (len(listed) > 1 if asked is None else asked):
        return 0
    for trace in shown:
        trace.name = _broken(trace.name, width - _LEGEND_KEY)
    figure.update_layout(legend=_LEGEND)
    widths = [_LEGEND_KEY + _width(trace.name) for trace in shown]
    a_row = len(shown) if sum(widths) <= width else max(1, int(width // max(widths)))
    return _LEGEND_LINE * ceil(len(shown) / a_row) * max(_n_lines(trace.name) for trace in shown)


def _broken(text: str | None, width: float) -> str:
    """A text in lines that are no longer than a width, as far as its words allow."""
    return "<br>".join(wrap(text or "", max(6, int(width / _LETTER)), break_long_words=False, break_on_hyphens=False))


def _width(text: str) -> float:
    return _LETTER * max(map(len, text.split("<br>")))


def _n_lines(text: str | None) -> int:
    return text.count("<br>") + 1 if text else 0
