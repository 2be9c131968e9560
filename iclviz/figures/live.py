"""One item while something is done to the model: its candidates, and where its last prompt token looks."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from iclviz.analysis.acting_on_item import ChangedItem
from iclviz.figures import theme, wording
from iclviz.figures.plain import in_pattern
from iclviz.figures.registry import named
from iclviz.recording import Array

ROW, LEAST = 44, 210


@named("live-candidates")
def live_candidates(found: ChangedItem, *, done: str, demonstrations: str = "") -> go.Figure:
    """The probability of each candidate with nothing done and with something done.

    done: what is done, in a few words; demonstrations: what the statement is limited to.
    """
    names = list(found.candidates)
    figure = go.Figure()
    sides = {"nothing done": (found.before, theme.OTHERS, "circle"), done: (found.after, theme.CHANGE, "square")}
    for place, (before, after) in enumerate(zip(found.before, found.after, strict=True)):
        figure.add_shape(
            type="line",
            x0=before,
            x1=after,
            y0=place,
            y1=place,
            line={"color": theme.OTHERS, "width": theme.LINE_WIDTH},
        )
    for label, (values, colour, symbol) in sides.items():
        figure.add_trace(
            go.Scatter(
                x=values,
                y=names,
                mode="markers",
                name=label,
                marker={"size": 11, "color": colour, "symbol": symbol},
                hovertemplate=f"%{{y}}: %{{x:.2%}}<extra>{in_pattern(label)}</extra>",
            )
        )
    figure.update_xaxes(title="Probability among the candidates (%)", tickformat=".0%", range=[-0.02, 1.02])
    figure.update_yaxes(title="Candidate", type="category", autorange="reversed")
    caption = (
        "How the model shares its probability among the candidate answers of this item, the right one first. One item "
        "says nothing of others: run it on all of them."
        f"{wording.sentence(demonstrations)}"
    )
    return theme.finish(
        figure, "Candidates of this item", "Log-probabilities of whole answers, shared among the candidates", caption,
        height=max(LEAST, 150 + ROW * len(names)), showlegend=True,
    )  # fmt: skip


@named("live-attention")
def live_attention(found: ChangedItem, *, done: str, demonstrations: str = "") -> go.Figure:
    """How the attention of the last prompt token to each role changes, block by block.

    done: what is done, in a few words; demonstrations: what the statement is limited to.
    """
    roles, change = _roles(found.attention_change)
    most = float(np.nanmax(np.abs(change), initial=0.0)) or 1.0
    figure = go.Figure(
        go.Heatmap(
            x=list(range(1, change.shape[1] + 1)),
            y=roles,
            z=change,
            name="Change of attention",
            meta={"columns": ["Change of attention"]},
            colorscale=list(theme.DIVERGING),
            zmin=-most,
            zmax=most,
            zmid=0,
            colorbar={"title": {"text": "Change of attention", "side": "right"}, "thickness": 12},
            hovertemplate="block %{x}, %{y}: %{z:+.3f}<extra></extra>",
        )
    )
    figure.update_xaxes(title="Block", showgrid=False)
    figure.update_yaxes(title="Role of text", type="category", autorange="reversed", showgrid=False)
    caption = (
        "How much more (red) or less (blue) of its attention the last prompt token gives to each kind of text in each "
        "block, the mean over heads. What is not acted on changes because what it reads has changed."
        f"{wording.sentence(demonstrations)}"
    )
    return theme.finish(
        figure, "Where the last prompt token looks", f"With this done less without: {done}", caption,
        height=190 + 26 * len(roles), margin={**theme.MARGIN, "t": 84}, showlegend=False,
    )  # fmt: skip


def _roles(change: Mapping[str, Sequence[float]]) -> tuple[list[str], Array]:
    return list(change), np.array([list(values) for values in change.values()], dtype=float)
