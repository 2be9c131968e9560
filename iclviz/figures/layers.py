"""What figures over layers share: a line with its interval's band, marks for what stands out, the layer axis."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from iclviz.analysis.probing import Probe
from iclviz.analysis.rsa import AlignmentTest
from iclviz.figures import theme
from iclviz.recording import Array

SIGNIFICANT = 0.05

_VALUES = ["low", "high", "p", "p corrected over layers"]


def line_with_band(
    result: AlignmentTest | Probe, estimate: Array, label: str, colour: str, measure: str
) -> list[go.Scatter]:
    """The band of an interval and the line of estimates (L + 1,), whose marks are filled where it stands out.

    The band breaks where a value is missing and is no part of the legend.
    """
    layers = np.arange(len(estimate))
    edge = {
        "x": layers,
        "mode": "lines",
        "line": {"width": 0},
        "legendgroup": label,
        "showlegend": False,
        "hoverinfo": "skip",
    }
    stands_out = np.nan_to_num(result.p_corrected, nan=1.0) < SIGNIFICANT
    line = go.Scatter(
        x=layers,
        y=estimate,
        name=label,
        legendgroup=label,
        mode="lines+markers",
        line={"color": colour, "width": theme.LINE_WIDTH},
        marker={"size": theme.MARKER_SIZE, "symbol": np.where(stands_out, "circle", "circle-open").tolist()},
        customdata=np.column_stack([result.low, result.high, result.p, result.p_corrected]),
        meta={"columns": _VALUES},
        hovertemplate=f"{measure} %{{y:.3f}} (95 % interval %{{customdata[0]:.3f}} to %{{customdata[1]:.3f}}), "
        "p corrected %{customdata[3]:.3g}",
    )
    return [
        go.Scatter(y=result.low, **edge),
        go.Scatter(y=result.high, fill="tonexty", fillcolor=theme.translucent(colour), **edge),
        line,
    ]


def layer_axis(figure: go.Figure) -> None:
    """The axis of layers 0 to L."""
    figure.update_xaxes(title="Layer (0 = input of the first block)", tickformat="d", showgrid=False)


def subtitle(conditions: Mapping[str, AlignmentTest | Probe]) -> str:
    """How the numbers came about, or why there is no p."""
    if reasons := dict.fromkeys(result.reason for result in conditions.values() if result.reason):
        return "95 % interval; " + "; ".join(str(reason) for reason in reasons)
    drawn = next(iter(conditions.values())).n_permutations
    return f"95 % interval; filled: p < {SIGNIFICANT} corrected over layers ({drawn:,} permutations)"
