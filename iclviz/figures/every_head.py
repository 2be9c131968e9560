"""Every head of a model: maps of its scores over blocks and heads."""

import math

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from iclviz.analysis.every_head import OF_MODEL, TITLES, HeadScores
from iclviz.figures import theme, wording
from iclviz.figures.registry import named
from iclviz.natural_units import plain
from iclviz.recording import Array

COLUMNS = 3
_ROW = 9
"""Height of a block, in pixels."""


@named("head-scores")
def head_scores(found: HeadScores, *, model: str, run: str = "", demonstrations: str = "") -> go.Figure:
    """Scores of every head, a map each, on scales of their own.

    Parameters
    ----------
    found: the scores.
    model: whose heads they are; run: the condition that those of a run are of.
    demonstrations: what the statement is limited to.
    """
    names, n_blocks = list(found.scores), found.shape[0]
    columns = min(COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    titles = [f"{TITLES[name]}, {_span(found.scores[name])}" for name in names]
    figure = make_subplots(rows, columns, subplot_titles=titles, horizontal_spacing=0.08, vertical_spacing=0.28 / rows)
    for place, name in enumerate(names):
        trace = _cells(found.scores[name], TITLES[name], name in OF_MODEL or name == "answers")
        figure.add_trace(trace, row=place // columns + 1, col=place % columns + 1)
    figure.update_xaxes(title="Head", showgrid=False, tickformat="d")
    figure.update_yaxes(showgrid=False, tickformat="d")
    figure.update_yaxes(title="Block", col=1)
    of_run = f"; the others of {found.n_items} items of {run}" if found.n_items else ""
    caption = (
        f"Scores of every head of {model}, each map on its own scale: induction, previous and same token are mean "
        f"attention in {found.n_sequences} sequences of random tokens that are written twice{of_run}. What a head does "
        f"with text by meaning shows in none of the first three.{wording.sentence(demonstrations)}"
    )
    details = (
        "Induction: attention from a token of the second copy to what followed it in the first; previous: to the token "
        "before; same: to the first copy of the token. Attention to answers is that of the last prompt token. The "
        "function-vector score is by how much the head's mean under right demonstrations, put into prompts with "
        "shuffled ones, raises the right answer's probability."
    )
    return theme.finish(
        figure, "What kind of head each is", f"{model}{f', {run}' if run else ''}", caption, details=details,
        height=rows * max(_ROW * n_blocks, 120) + 100 * rows + 90, margin={**theme.MARGIN, "t": 120}, showlegend=False,
    )  # fmt: skip


def _span(values: Array) -> str:
    known = values[np.isfinite(values)]
    return f"{plain(float(known.min()))} to {plain(float(known.max()))}" if len(known) else "none"


def _cells(values: Array, title: str, is_amount: bool) -> go.Heatmap:
    most = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    return go.Heatmap(
        x=list(range(values.shape[1])),
        y=list(range(1, len(values) + 1)),
        z=values,
        name=title,
        colorscale=theme.SEQUENTIAL if is_amount else list(theme.DIVERGING),
        zmin=0 if is_amount else -most,
        zmax=most,
        showscale=False,
        meta={"columns": [title]},
        hovertemplate=f"block %{{y}}, head %{{x}}: %{{z:.3~g}}<extra>{title}</extra>",
    )
