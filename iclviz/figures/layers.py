"""What figures over layers share: a line with its interval's band, marks for what stands out, the layer axis."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from iclviz.analysis.probing import Probe
from iclviz.analysis.results import Estimates, Tested
from iclviz.analysis.rsa import AlignmentTest
from iclviz.analysis.statistics import SIGNIFICANT, stands_out
from iclviz.figures import theme, wording
from iclviz.recording import Array


def line_with_band(
    result: Estimates,
    estimate: Array,
    label: str,
    colour: str,
    measure: str,
    beside: Mapping[str, Array] | None = None,
    first: int = 0,
) -> list[go.Scatter]:
    """The band of an interval and the line of estimates (K,), whose marks are filled where it stands out.

    The band breaks where a value is missing and is no part of the legend. The further values `beside` the estimate,
    name -> (K,), are shown in the hover and kept in the table; `first` is the number of the first layer.
    """
    beside = beside or {}
    layers = np.arange(first, first + len(estimate))
    edge = {
        "x": layers,
        "mode": "lines",
        "line": {"width": 0},
        "legendgroup": label,
        "showlegend": False,
        "hoverinfo": "skip",
    }
    numbers = {"low": result.low, "high": result.high}
    mark = theme.mark(label)
    marks, p = {"size": theme.MARKER_SIZE, "symbol": mark}, ""
    if isinstance(result, Tested):
        numbers |= {"p": result.p, "p corrected over layers": result.p_corrected}
        marks["symbol"] = np.where(stands_out(result.p_corrected), mark, f"{mark}-open").tolist()
        p = ", p corrected %{customdata[3]:.3~g}"
    further = "".join(f", {name} %{{customdata[{place}]:.3~g}}" for place, name in enumerate(beside, len(numbers)))
    numbers |= beside
    line = go.Scatter(
        x=layers,
        y=estimate,
        name=label,
        legendgroup=label,
        mode="lines+markers",
        line={"color": colour, "width": theme.LINE_WIDTH, "dash": theme.dash(label)},
        marker=marks,
        customdata=np.column_stack(list(numbers.values())),
        meta={"columns": list(numbers)},
        hovertemplate=f"{measure} %{{y:.3~g}} (95 % interval %{{customdata[0]:.3~g}} to %{{customdata[1]:.3~g}})"
        f"{p}{further}",
    )
    return [
        go.Scatter(y=result.low, **edge),
        go.Scatter(y=result.high, fill="tonexty", fillcolor=theme.translucent(colour), **edge),
        line,
    ]


def bar_interval(mean: Array, low: Array, high: Array, width: int) -> dict[str, object]:
    """The error bars of coloured bars, with caps of a width in pixels."""
    look = {"color": theme.INTERVAL, "thickness": 1.5 * theme.THIN, "width": width}
    return {"array": high - mean, "arrayminus": mean - low, **look}


def unit(first: int) -> str:
    """What is counted from `first`: attention belongs to blocks, which count from 1."""
    return "block" if first else "layer"


def layer_axis(figure: go.Figure, first: int = 0) -> None:
    """The axis of layers 0 to L, or of blocks 1 to L."""
    title = "Block (number)" if first else "Layer (0 = input of the first block)"
    figure.update_xaxes(title=title, tickformat="d", showgrid=False)


def subtitle(conditions: Mapping[str, AlignmentTest | Probe]) -> str:
    """How the numbers came about, and why a condition has no p."""
    tested = {label: result for label, result in conditions.items() if not result.reason}
    untested = {label: result for label, result in conditions.items() if result.reason}
    parts = ["95 % interval"]
    if tested:
        drawn = wording.each(tested, lambda result: f"{result.n_permutations:,} permutations")
        parts.append(f"filled: p < {SIGNIFICANT} corrected over layers ({drawn})")
    if untested and not tested:
        parts.append(wording.each(untested, lambda result: str(result.reason)))
    elif untested:
        parts.extend(f"{label}: {result.reason}" for label, result in untested.items())
    return "; ".join(parts)
