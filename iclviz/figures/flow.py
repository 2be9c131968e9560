"""Information flow: how the answer's loss reaches back through pairs of tokens, block by block."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from iclviz.analysis.information_flow import PAIRS, TITLES, Flow
from iclviz.figures import theme, wording
from iclviz.figures.bands import banded_line, look
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
            for trace in banded_line(
                found,
                place,
                range(1, len(found.total) + 1),
                TITLES[name],
                look(place),
                panel=label,
                unit=" %",
                times=100,
                where="block %{x}: ",
                control=found.control[place],
                control_name="with random tokens",
            ):
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
