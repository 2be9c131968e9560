"""What became of items, A beside B."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from iclviz.analysis.outcomes import OutcomeCounts
from iclviz.analysis.wording import capital
from iclviz.figures import theme, wording
from iclviz.figures.registry import named
from iclviz.recording import Array

SHAPES = ("", "/", "x", "-")
"""Patterns of outcomes, in turn; what is none of them is grey."""
HEAD, BAR, FOOT = 96, 26, 52


@named("outcome-counts")
def outcome_counts(
    conditions: Mapping[str, OutcomeCounts],
    *,
    by: str = "Items",
    title: str = "What was answered",
    demonstrations: str = "",
) -> go.Figure:
    """Shares of items with each outcome, a bar for each value and condition.

    Parameters
    ----------
    conditions: label -> its counts, A first.
    by: what the values are of; title: the figure's.
    demonstrations: what the statement is limited to.
    """
    first = next(iter(conditions.values()))
    rows = [
        (f"{value} · {label.partition(':')[0]}", found.counts[found.values.index(value)], colour)
        for value in first.values
        for label, found, colour in theme.coloured(conditions)
        if value in found.values
    ]
    figure = go.Figure([_bars(rows, place, first.outcomes) for place in range(len(first.outcomes))])
    figure.update_xaxes(title="Items (%)", range=[0, 100])
    figure.update_yaxes(title=by, range=[len(rows) - 0.4, -0.6])
    caption = (
        f"How many items had which outcome, by {wording.inner(by)}, A beside B. Items are counted and nothing is "
        f"tested here.{wording.sentence(demonstrations)}"
    )
    return theme.finish(
        figure,
        title,
        "Numbers of items stand in the bars",
        caption,
        barmode="stack",
        showlegend=False,
        height=HEAD + BAR * len(rows) + FOOT,
        margin={"l": 24, "r": 16, "t": HEAD - 32, "b": FOOT},
    )


def _bars(rows: Sequence[tuple[str, Array, str]], place: int, outcomes: Sequence[str]) -> go.Bar:
    """One outcome's part of every bar; rows: what a bar is called, its counts, its condition's colour."""
    counts, totals = [int(of[place]) for _, of, _ in rows], [int(of.sum()) for _, of, _ in rows]
    is_rest = place == len(outcomes) - 1
    return go.Bar(
        x=[100 * count / total for count, total in zip(counts, totals, strict=True)],
        y=[name for name, *_ in rows],
        orientation="h",
        name=outcomes[place],
        text=[f"{capital(outcomes[place])} {count}" if count else "" for count in counts],
        textposition="inside",
        insidetextanchor="middle",
        textfont={"color": "#FFFFFF"},
        marker={
            "color": [theme.OTHERS if is_rest else colour for *_, colour in rows],
            "pattern": {
                "shape": "" if is_rest else SHAPES[place % len(SHAPES)],
                "fgcolor": "#FFFFFF",
                "fgopacity": 0.35,
                "fillmode": "overlay",
            },
            "line": {"color": [colour for *_, colour in rows], "width": theme.THIN},
        },
        customdata=[[count, total] for count, total in zip(counts, totals, strict=True)],
        meta={"columns": ["items", "of"]},
        hovertemplate="%{customdata[0]} of %{customdata[1]} items<extra>%{fullData.name}, %{y}</extra>",
    )
