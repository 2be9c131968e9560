"""A study as it fills: the main score over the number of demonstrations, kinds beside each other."""

import math
from collections.abc import Mapping, Sequence
from itertools import cycle

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from iclviz.figures import theme, wording
from iclviz.figures.plain import in_pattern
from iclviz.figures.registry import named
from iclviz.study import Curve

COLUMNS = 2


@named("study-curves")
def study_curves(
    curves: Sequence[Curve],
    *,
    study: str,
    there: int,
    asked: int,
    registered: str = "",
    digest: str = "",
    demonstrations: str = "",
) -> go.Figure:
    """The mean main score over k, a panel for each model and task.

    Parameters
    ----------
    curves: what is recorded.
    study: its name; there, asked: runs that are recorded, and all.
    registered: whether it was registered, as a sentence; digest: what its table tells it by, "" for nothing.
    demonstrations: what the statement is limited to.
    """
    places = list(dict.fromkeys((one.model, one.task) for one in curves))
    several = len({model for model, _ in places}) > 1
    titles = [f"{task}, {model}" if several else task for model, task in places]
    columns = min(COLUMNS, max(len(places), 1))
    rows = max(math.ceil(len(places) / columns), 1)
    figure = make_subplots(rows, columns, subplot_titles=titles, vertical_spacing=0.3 / rows, horizontal_spacing=0.1)
    kinds = list(dict.fromkeys(one.name for one in curves))
    looks = dict(zip(kinds, zip(cycle(theme.SERIES), cycle(theme.SYMBOLS), strict=False), strict=False))
    seen: set[str] = set()
    for one in curves:
        place = places.index((one.model, one.task))
        line = _line(one, looks[one.name], titles[place], one.name not in seen, {"study": study, "digest": digest})
        figure.add_trace(line, row=place // columns + 1, col=place % columns + 1)
        seen.add(one.name)
    figure.update_xaxes(title="Demonstrations (k)", tickformat="d", showgrid=False)
    figure.update_yaxes(title="Mean main score")
    whole = "all" if there == asked else f"{there} of {asked}"
    caption = (
        f"Mean main score over the items of each run of the study “{study}”, {whole} runs recorded; bars reach from "
        f"the lowest to the highest demonstration seed and order. {registered or 'No test was made of these means.'}"
        f"{wording.sentence(demonstrations)}"
    )
    details = "A point is the mean over seeds and orders of runs' mean scores. Bars are ranges, and no intervals."
    return theme.finish(
        figure, "The study so far", f"{study}, {whole} runs", caption, details=details,
        height=280 * rows + 130, legend_rows=1, showlegend=True,
    )  # fmt: skip


def _line(one: Curve, look: tuple[str, str], panel: str, in_legend: bool, of_study: Mapping[str, str]) -> go.Scatter:
    """of_study: what each row of the table says of it, where there is a digest."""
    colour, symbol = look
    told = dict(of_study) if of_study["digest"] else {}
    above = [most - mean for most, mean in zip(one.most, one.mean, strict=True)]
    below = [mean - least for least, mean in zip(one.least, one.mean, strict=True)]
    return go.Scatter(
        x=list(one.ks),
        y=list(one.mean),
        name=one.name,
        legendgroup=one.name,
        showlegend=in_legend,
        mode="lines+markers",
        line={"color": colour, "width": theme.LINE_WIDTH},
        marker={"size": theme.MARKER_SIZE, "symbol": symbol},
        error_y={"array": above, "arrayminus": below, "thickness": theme.THIN, "width": 3, "color": colour},
        customdata=[(*row, *told.values()) for row in zip(one.least, one.most, one.n, strict=True)],
        meta={"columns": ["lowest", "highest", "runs", *told], "panel": panel},
        hovertemplate="k = %{x}: %{y:.3~g} (%{customdata[0]:.3~g} to %{customdata[1]:.3~g}, %{customdata[2]} runs)"
        f"<extra>{in_pattern(one.name)}</extra>",
    )
