"""What one item of points shows, asks and was answered."""

from collections.abc import Iterator

import numpy as np
import plotly.graph_objects as go

from iclviz.figures import theme, wording
from iclviz.figures.registry import named
from iclviz.points import ItemPoints

HEIGHT = 330
ROOM = 0.08
"""Of the shown range, at either side."""


@named("item-points")
def item_points(
    points: ItemPoints, *, condition: str, item: str, answer: float | None = None, demonstrations: str = ""
) -> go.Figure:
    """The points that a prompt shows, the lines they are of, the right answer and the model's.

    Parameters
    ----------
    points: what is shown and asked.
    condition: its label; item: the item's name.
    answer: the model's, None where it gave none that can be read.
    demonstrations: what the statement is limited to.
    """
    _, _, colour = next(theme.coloured({condition: points}))
    figure = go.Figure(list(_lines(points)))
    figure.add_traces(
        [
            _marks("Shown, asked line", points.own, theme.ROLES["relevant"], "circle"),
            _marks("Shown, other line", points.other, theme.ROLES["irrelevant"], "x"),
            _marks("Right answer", ((points.x, points.right),), theme.HYPOTHESIS, "diamond-open", 2),
        ]
    )
    if answer is not None:
        figure.add_trace(_marks("The model's answer", ((points.x, answer),), colour, "star", 2))
    figure.add_vline(x=points.x, line={"color": theme.CHANCE, "width": theme.THIN, "dash": "dot"})
    figure.update_xaxes(title="x")
    figure.update_yaxes(title="y")
    told = "no answer that can be read" if answer is None else f"{answer:g}"
    caption = (
        f"The points that the prompt of item {item} shows in {condition}, and the lines that they are of. "
        f"Asked for x = {points.x:g}, where {points.right:g} is right, the model said {told}."
        f"{wording.sentence(demonstrations)}"
    )
    return theme.finish(figure, "What the item shows and asks", condition, caption, height=HEIGHT)


def _marks(
    name: str, places: tuple[tuple[float, float], ...], colour: str, symbol: str, size: float = 1.2
) -> go.Scatter:
    return go.Scatter(
        x=[x for x, _ in places],
        y=[y for _, y in places],
        name=name,
        mode="markers",
        marker={"color": colour, "symbol": symbol, "size": size * theme.MARKER_SIZE},
        hovertemplate="x = %{x:g}, y = %{y:g}<extra>%{fullData.name}</extra>",
    )


def _lines(points: ItemPoints) -> Iterator[go.Scatter]:
    across = [points.x, *(x for x, _ in (*points.own, *points.other))]
    room = ROOM * (max(across) - min(across) or 1.0)
    ends = np.array([min(across) - room, max(across) + room])
    looks = (("Asked line", "relevant", "solid"), ("Other line", "irrelevant", "dash"))
    for line, (name, role, dash) in zip(points.lines, looks, strict=True):
        if line is not None:
            slope, intercept = line
            yield go.Scatter(
                x=ends,
                y=slope * ends + intercept,
                name=name,
                mode="lines",
                line={"color": theme.ROLES[role], "width": theme.THIN, "dash": dash},
                hovertemplate="x = %{x:g}, y = %{y:g}<extra>%{fullData.name}</extra>",
            )
