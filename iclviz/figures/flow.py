"""Information flow: how the answer's loss reaches back through pairs of tokens, block by block."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from iclviz.analysis.information_flow import PAIRS, TITLES, Flow
from iclviz.figures import theme, wording
from iclviz.figures.plain import in_pattern
from iclviz.figures.registry import named

SHARE = "Share of the block’s flow (%)"


@named("information-flow")
def information_flow(conditions: Mapping[str, Flow], *, blind: str, demonstrations: str = "") -> go.Figure:
    """Shares of three kinds of pairs in each block, and the blocks' totals, conditions below each other.

    Parameters
    ----------
    conditions: label -> its flow, A first.
    blind: what cannot be seen so; demonstrations: what the statement is limited to.
    """
    n = len(conditions)
    titles = [title for label in conditions for title in (label, "Total, of the largest")]
    figure = make_subplots(
        n, 2, subplot_titles=titles, column_widths=[0.72, 0.28], vertical_spacing=0.32 / n, horizontal_spacing=0.12
    )
    for row, (label, found) in enumerate(conditions.items(), start=1):
        for place, name in enumerate(PAIRS):
            for trace in _line(found, place, label):
                trace.update(legendgroup=name, showlegend=trace.showlegend is not False and row == 1)
                figure.add_trace(trace, row=row, col=1)
        figure.add_trace(_totals(found, label), row=row, col=2)
        figure.update_yaxes(title=SHARE, range=[-3, 103], row=row, col=1)
        figure.update_yaxes(title="Total", type="log", row=row, col=2)
    figure.update_xaxes(title="Block (number)", showgrid=False, tickformat="d")
    units = wording.each(conditions, lambda one: f"{one.n_items} items in {wording.groups(one.n_units)}")
    caption = (
        "Share of each block’s flow that goes from text to the demonstrations’ answers, from these to the last prompt "
        f"token, and elsewhere, of {units}; thin broken lines: the same with as many random tokens for answers. {blind}"
        f"{wording.sentence(demonstrations)}"
    )
    details = (
        "Flow of a pair is |sum over heads of A dL/dA|, A the attention weight and L the loss of the right answer; "
        "means over pairs of a kind, then over items, are divided by their sum. Bands are 95 % intervals from "
        "resampling groups. Blocks whose total is less than a ten-thousandth of the largest have no shares."
    )
    return theme.finish(
        figure, "Where the answer is gathered and read", "Share of flow by block, 95 % interval", caption,
        details=details, height=300 * n + 140, legend_rows=2, showlegend=True,
    )  # fmt: skip


def _line(found: Flow, place: int, label: str) -> list[go.Scatter]:
    colour, symbol = theme.SERIES[place + 2], theme.SYMBOLS[place]
    share, low, high, control = (100 * one[place] for one in (found.estimate, found.low, found.high, found.control))
    blocks = np.arange(1, len(share) + 1)
    edge = {"x": blocks, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    line = go.Scatter(
        x=blocks,
        y=share,
        name=TITLES[PAIRS[place]],
        mode="lines+markers",
        line={"color": colour, "width": theme.LINE_WIDTH},
        marker={"size": theme.MARKER_SIZE, "symbol": symbol},
        customdata=np.column_stack([low, high, control]),
        meta={"columns": ["low", "high", "with random tokens"], "panel": label},
        hovertemplate="block %{x}: %{y:.3~g} % (95 % interval %{customdata[0]:.3~g} to %{customdata[1]:.3~g}), with "
        f"random tokens %{{customdata[2]:.3~g}} %<extra>{in_pattern(label)}</extra>",
    )
    look = {"color": colour, "width": theme.THIN, "dash": "dash"}
    beside = go.Scatter(x=blocks, y=control, mode="lines", line=look, hoverinfo="skip", showlegend=False)
    band = go.Scatter(y=high, fill="tonexty", fillcolor=theme.translucent(colour), **edge)
    return [go.Scatter(y=low, **edge), band, beside, line]


def _totals(found: Flow, label: str) -> go.Bar:
    return go.Bar(
        x=np.arange(1, len(found.total) + 1),
        y=found.total,
        name=f"Total, {label}",
        marker={"color": theme.OTHERS},
        showlegend=False,
        meta={"panel": label},
        hovertemplate=f"block %{{x}}: %{{y:.3~g}} of the largest block’s<extra>{in_pattern(label)}</extra>",
    )
