"""How every figure looks: all colours, fonts and sizes, and the two templates, light and dark.

Colours of traces are mid-tones that keep 3:1 contrast on both backgrounds, so that one figure serves both. Hues stay
apart for colour-blind readers. Scales are perceptually uniform: cividis (Nunez et al. 2018) for amounts, vik (Crameri
2018, doi:10.5281/zenodo.1243862) for values around zero.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import cycle
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

Mode = Literal["light", "dark"]

FONT = '"Source Sans", "Source Sans 3", "Source Sans Pro", "Helvetica Neue", Arial, sans-serif'
TEXT_SIZE, TITLE_SIZE, SUBTITLE_SIZE, PANEL_SIZE = 13, 17, 13, 14
HEIGHT = 420
LINE_WIDTH, MARKER_SIZE, THIN = 2, 7, 1
LEGEND_TOP, LEGEND_ROW = 66, 24
"""Where a legend begins, under the subtitle, and the height of its rows."""
MARGIN = {"l": 72, "r": 24, "t": 112, "b": 64}

CONDITIONS = ("#1F77B4", "#C75B12")
"""Condition A, condition B."""

SERIES = (*CONDITIONS, "#18A36E", "#7D94C3", "#905640", "#9016FA", "#745F73", "#CD55FD")
"""Further series of one figure, after A and B."""

CATEGORIES = ("#0898FA", "#955B00", "#B83074", "#5A60AF", "#D6787C", "#776141", "#9A8BC1", "#B58B4D")
"""Values of a label."""

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon")
"""Marks of up to eight lines of one figure, so that colour is not all that tells them apart."""

MEASURES = SERIES[2:]
"""Measures by layer, in the order in which they are found: each has its colour in every figure."""

OTHERS = "#868C96"
"""Values that have no colour of their own."""

CHANGE = SERIES[2]
"""B minus A, and what else belongs to both."""

HYPOTHESIS = "#BA0E92"
CHANCE = "#7C828C"
INTERVAL = "#8A919C"
"""Error bars on coloured bars."""

ROLES: Mapping[str, str] = {
    "special": "#868C96",
    "instruction": "#B5218E",
    "demonstration": "#6068C2",
    "relevant": "#8D38F7",
    "irrelevant": "#AA914C",
    "question": "#267663",
    "response": "#EF421D",
}
"""Text that matters is dark and the other pale, neither in the colours of conditions."""

SEQUENTIAL = "Cividis"
DIVERGING = (
    "#001261",
    "#033E7D",
    "#1E6F9D",
    "#71A8C4",
    "#C9DDE7",
    "#EACEBD",
    "#D39774",
    "#BE6533",
    "#8B2706",
    "#590008",
)

BACKGROUND: Mapping[Mode, str] = {"light": "#FFFFFF", "dark": "#14171C"}
_INK: Mapping[Mode, str] = {"light": "#22262C", "dark": "#E6E8EB"}
FAINT_INK: Mapping[Mode, str] = {"light": "#5B626C", "dark": "#A4ABB5"}
_GRID: Mapping[Mode, str] = {"light": "#E9EBEE", "dark": "#2A2F37"}
_AXIS: Mapping[Mode, str] = {"light": "#B5BBC3", "dark": "#4A515C"}
GROUP_LINE = "rgba(128, 134, 144, 0.7)"


def gap(n_panels: int, widest: float = 0.06) -> float:
    """The horizontal gap between panels side by side, as a share of the figure; many panels share a quarter of it."""
    return min(widest, 0.25 / n_panels)


def translucent(colour: str, opacity: float = 0.18) -> str:
    """A hex colour as rgba, for the band of an interval."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity})"


def _template(mode: Mode) -> go.layout.Template:
    axis = {
        "gridcolor": _GRID[mode],
        "linecolor": _AXIS[mode],
        "tickcolor": _AXIS[mode],
        "zerolinecolor": _AXIS[mode],
        "zerolinewidth": THIN,
        "showline": True,
        "ticks": "outside",
        "ticklen": 4,
        "title": {"standoff": 10, "font": {"color": FAINT_INK[mode]}},
        "automargin": True,
    }
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": TEXT_SIZE, "color": _INK[mode]},
            "paper_bgcolor": BACKGROUND[mode],
            "plot_bgcolor": BACKGROUND[mode],
            "colorway": list(SERIES),
            "title": {
                "x": 0,
                "xref": "container",
                "xanchor": "left",
                "y": 1,
                "yref": "container",
                "yanchor": "top",
                "pad": {"l": 16, "t": 16},
                "font": {"size": TITLE_SIZE},
                "subtitle": {"font": {"size": SUBTITLE_SIZE, "color": FAINT_INK[mode]}},
            },
            "xaxis": {**axis, "zeroline": False},
            "yaxis": axis,
            "legend": {"orientation": "h", "x": 0, "xanchor": "left", "yref": "container", "yanchor": "top"},
            "hoverlabel": {"font": {"family": FONT, "size": TEXT_SIZE}, "align": "left", "namelength": -1},
            "margin": MARGIN,
            "modebar": {"orientation": "v", "bgcolor": "rgba(0, 0, 0, 0)"},
            "bargap": 0.25,
            "bargroupgap": 0.05,
        }
    )


TEMPLATES: Mapping[Mode, go.layout.Template] = {"light": _template("light"), "dark": _template("dark")}


def apply(figure: go.Figure, mode: Mode) -> go.Figure:
    """A copy of the figure in the light or the dark template."""
    layout = {**figure.layout.to_plotly_json(), "template": TEMPLATES[mode]}
    return go.Figure(figure.data, layout, figure.frames)


def finish(
    figure: go.Figure,
    title: str,
    subtitle: str,
    caption: str,
    *,
    details: str = "",
    legend_rows: int = 1,
    **layout: Any,
) -> go.Figure:
    """Give a figure its title, its caption (two sentences: what is seen, how to read it) and the light template.

    details: how its numbers came about, for who asks.
    legend_rows: those that clear the titles of panels; Plotly itself moves a plot without them below its legend.
    """
    further = LEGEND_ROW * (legend_rows - 1)
    sizes = {"height": HEIGHT + further, "margin": {**MARGIN, "t": MARGIN["t"] + further}, **layout}
    figure.update_annotations(font_size=PANEL_SIZE)
    figure.layout.template = TEMPLATES["light"]
    figure.update_layout(
        title={"text": title, "subtitle": {"text": subtitle}},
        meta={"caption": caption, "details": details.strip()},
        legend_y=1 - LEGEND_TOP / sizes["height"],
        **sizes,
    )
    return figure


def with_reference(figure: go.Figure, unit: str, values: Iterable[Any], chance: float | None) -> None:
    """Let the axis of a score show what it is read against: all of a share, zero of an amount, and what guessing
    reaches; values: the lowest that are drawn.
    """
    if unit == "%":
        figure.update_yaxes(range=[-3, 103])
    elif all(np.nanmin(one, initial=0.0) >= 0 for one in values):
        figure.update_yaxes(rangemode="tozero")
    show_chance(figure, chance)


def show_chance(figure: go.Figure, chance: float | None) -> None:
    """A broken line at what guessing reaches, where that is known."""
    if chance is not None:
        figure.add_hline(
            y=chance, line={"color": CHANCE, "width": THIN, "dash": "dash"}, annotation_text="chance",
            annotation_position="bottom right", annotation_font_color=CHANCE,
        )  # fmt: skip


def coloured(conditions: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """Label, result and colour of each condition: those called A and B have theirs in every figure, others in order."""
    own = {label: CONDITIONS["AB".index(label[0])] for label in conditions if label.startswith(("A:", "B:"))}
    others = cycle(SERIES[2:] if own else SERIES)
    for label, result in conditions.items():
        yield label, result, own.get(label) or next(others)


def dash(label: str) -> str:
    """How a condition's line is drawn: B's is broken, so that one which lies on A's leaves both to be seen."""
    return "6px, 4px" if label.startswith("B:") else "solid"


def mark(label: str) -> str:
    """The mark of a condition."""
    return "square" if label.startswith("B:") else "circle"


def of_measures(results: Mapping[str, Any], places: Mapping[str, int] | None) -> Iterator[tuple[str, Any, str]]:
    """Name, result and colour of each measure.

    places: name -> its place among all measures that are found; None = their order here.
    """
    for turn, (name, result) in enumerate(results.items()):
        yield name, result, of_measure((places or {}).get(name, turn))


def of_measure(place: int | None) -> str:
    """The colour of the measure at a place among all that are found; that of B minus A where none is given."""
    return CHANGE if place is None else MEASURES[place % len(MEASURES)]


def of_both(results: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """Label, result and colour of what belongs to no single condition, in order."""
    yield from ((label, result, colour) for (label, result), colour in zip(results.items(), cycle(SERIES[2:])))
