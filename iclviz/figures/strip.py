"""What changed inside the model, at a glance: every measure by layer, with what stands out filled."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from iclviz.analysis.change import Change, has_a_value
from iclviz.analysis.statistics import SIGNIFICANT, stands_out
from iclviz.figures import layers, theme, wording
from iclviz.figures.registry import named
from iclviz.natural_units import signed
from iclviz.recording import Array

HEAD, ROW, FOOT = 60, 30, 44
SMALLEST, LARGEST = 5, 13
"""Pixels of a mark that shows no change, and the largest of its row."""
COLUMNS = ("low", "high", "p", "p corrected over layers")


@named("changes-inside")
def changes_inside(
    changes: Mapping[str, Change],
    *,
    titles: Mapping[str, str] | None = None,
    first: Mapping[str, int] | None = None,
    places: Mapping[str, int] | None = None,
    demonstrations: str = "",
) -> go.Figure:
    """B minus A of each measure (row) that has a value in any layer (column).

    Parameters
    ----------
    changes: measure -> its tested change over layers.
    titles: measure -> its title, where it is not its name; first: number of its first layer, where that is not 0.
    places: measure -> its place among all that are found, which decides its colour.
    demonstrations: what the statement is limited to.
    """
    figure = go.Figure()
    changes = {name: change for name, change in changes.items() if has_a_value(change)}
    names = {name: (titles or {}).get(name, name) for name in changes}
    for name, change, colour in theme.of_measures(changes, places):
        figure.add_trace(_row(names[name], change, colour, (first or {}).get(name, 0)))
    layers.layer_axis(figure)
    figure.update_xaxes(title="Layer, or block of attention", zeroline=False)
    figure.update_yaxes(title="Measure", range=[len(names) - 0.4, -0.6], showgrid=True)
    caption = (
        "Triangles point up where B has more, and grow with the change; filled ones differ from zero at "
        f"p < {SIGNIFICANT}, corrected over layers. At the right stands the largest change of each row, of filled ones "
        "where there are any."
        f"{wording.sentence(demonstrations)}"
    )
    details = (
        "Each row is a measure of its own unit: the hover has its numbers. P is corrected over the layers of a row and "
        "not over rows, and no row was fixed before any result, so this is exploratory."
    )
    theme.finish(
        figure,
        "What changed inside, B − A",
        "▲ more in B, ▼ less; filled: p < 0.05 corrected over layers",
        caption,
        details=details,
        showlegend=False,
        height=HEAD + ROW * len(names) + FOOT,
        margin={"l": 24, "r": 64, "t": HEAD, "b": FOOT},
    )
    for row, change in enumerate(changes.values()):
        place = {"x": 1, "xref": "paper", "xanchor": "left", "xshift": 8, "y": row}
        figure.add_annotation(**place, showarrow=False, text=_largest(change), font_size=theme.TEXT_SIZE)
    return figure


def _row(title: str, change: Change, colour: str, first: int) -> go.Scatter:
    filled = stands_out(change.p_corrected)
    shapes = np.where(change.estimate < 0, "triangle-down", np.where(change.estimate > 0, "triangle-up", "circle"))
    return go.Scatter(
        x=np.where(np.isfinite(change.estimate), np.arange(first, first + len(change.estimate)), np.nan),
        y=[title] * len(change.estimate),
        name=title,
        mode="markers",
        marker={
            "symbol": np.where(filled, shapes, np.char.add(shapes, "-open")).tolist(),
            "size": _sizes(change.estimate),
            "color": colour,
            "opacity": np.where(filled, 1.0, 0.55),
            "line": {"color": colour, "width": theme.THIN},
        },
        customdata=np.column_stack([change.estimate, change.low, change.high, change.p, change.p_corrected]),
        meta={"columns": ["B − A", *COLUMNS]},
        hovertemplate=f"{layers.unit(first)} %{{x}}: %{{customdata[0]:.3~g}} (95 % interval %{{customdata[1]:.3~g}} to "
        "%{customdata[2]:.3~g}), p corrected %{customdata[4]:.3~g}<extra>%{fullData.name}</extra>",
    )


def _largest(change: Change) -> str:
    """The change of the largest size, as it stands beside its row: among those that stand out, where any does."""
    found = stands_out(change.p_corrected)
    at = int(np.nanargmax(np.where(found | ~found.any(), np.abs(change.estimate), np.nan)))
    return signed(float(change.estimate[at]), 2)


def _sizes(estimate: Array) -> Array:
    size = np.abs(np.nan_to_num(estimate))
    largest = size.max(initial=0.0)
    return np.asarray(SMALLEST + (LARGEST - SMALLEST) * (size / largest if largest else size))
