"""A line with its interval's band, and beside it the same at controls, thin and broken."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from iclviz.analysis.results import Estimates
from iclviz.figures import theme
from iclviz.figures.plain import in_pattern
from iclviz.recording import Array

Look = tuple[str, str]
"""Colour and symbol of a line."""


def look(place: int) -> Look:
    """That of the line at a place among others that are no conditions."""
    return theme.SERIES[(place + 2) % len(theme.SERIES)], theme.SYMBOLS[place % len(theme.SYMBOLS)]


def banded_line(
    found: Estimates,
    row: int,
    x: Sequence[int | str],
    name: str,
    look: Look,
    *,
    panel: str,
    unit: str = "",
    times: float = 1.0,
    where: str = "",
    control: Array | None = None,
    control_name: str = "controls",
    alpha: float = 0.2,
) -> list[go.Scatter]:
    """The band, the controls where there are any, and the line of one row of estimates (R, X), in that order.

    Parameters
    ----------
    x: X places; name: what the line is called, alike in all panels; panel: which panel it is in.
    unit: of the values, times how many they are shown; where: what x is, in the hover.
    control: (X,) the same at controls, called `control_name`.
    """
    colour, symbol = look
    estimate, low, high = (times * one[row] for one in (found.estimate, found.low, found.high))
    beside = np.full(len(estimate), np.nan) if control is None else times * control
    has_control = bool(np.isfinite(beside).any())
    told = f", {control_name} %{{customdata[2]:.3~g}}{unit}" if has_control else ""
    line = go.Scatter(
        x=list(x),
        y=estimate,
        name=name,
        mode="lines+markers",
        line={"color": colour, "width": theme.LINE_WIDTH},
        marker={"size": theme.MARKER_SIZE, "symbol": symbol},
        customdata=np.column_stack([low, high, beside]),
        meta={"columns": ["low", "high", control_name], "panel": panel},
        hovertemplate=f"{where}%{{y:.3~g}}{unit} (95 % interval %{{customdata[0]:.3~g}} to "
        f"%{{customdata[1]:.3~g}}){told}<extra>{in_pattern(name)}</extra>",
    )
    edge = {"x": list(x), "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    band = go.Scatter(y=high, fill="tonexty", fillcolor=theme.translucent(colour, alpha), **edge)
    thin = {"color": colour, "width": theme.THIN, "dash": "dash"}
    random = go.Scatter(x=list(x), y=beside, mode="lines", line=thin, hoverinfo="skip", showlegend=False)
    return [go.Scatter(y=low, **edge), band, *([random] if has_control else []), line]
