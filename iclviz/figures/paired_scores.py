"""Behaviour at a glance: a score in A beside B, with every item between."""

from collections.abc import Iterator

import numpy as np
import plotly.graph_objects as go

from iclviz.analysis.score_changes import ScorePairs
from iclviz.figures import theme, wording
from iclviz.figures.registry import named
from iclviz.recording import Array

HEIGHT = 310
MARGIN = {"l": 60, "r": 16, "t": 74, "b": 36}
WIDEST_LINE = 9
"""Of lines that stand for many items, in pixels."""
SEEN = 95
"""Per cent of items that the axis has room for: one wild answer would flatten all others."""


@named("score-pairs")
def score_pairs(
    pairs: ScorePairs, *, better: str = "higher", chance: float | None = None, demonstrations: str = ""
) -> go.Figure:
    """The mean score of A and of B with their intervals, and a thin line from each item's score in A to that in B.

    Parameters
    ----------
    pairs: the scores, in the unit in which they are said.
    better: "higher" or "lower", of what is drawn.
    chance: what guessing reaches, in that unit; None = no line.
    demonstrations: what the statement is limited to, such as "for this demonstration set only (seed 0)".
    """
    figure = go.Figure([*_lines(pairs), *_means(pairs)])
    theme.show_chance(figure, chance)
    figure.update_xaxes(title="Condition", tickvals=[0, 1], ticktext=["A", "B"], range=[-0.35, 1.45], showgrid=False)
    figure.update_yaxes(title=pairs.unit.axis, range=_range(pairs, chance))
    n_beyond = _n_beyond(pairs, figure.layout.yaxis.range[1])
    beyond = f", of which {n_beyond} go beyond the axis" if n_beyond else ""
    lines = "are thicker the more items went that way" if _is_share(pairs) else f"are single items{beyond}"
    caption = (
        f"{pairs.unit.axis}: marks are the means of {len(pairs.a)} items with their 95 % intervals. Grey lines {lines}."
        f"{wording.sentence(demonstrations)}"
    )
    details = (
        f"Means over items in {wording.groups(pairs.n_units)}"
        f"{f' and {pairs.n_seeds} demonstration seeds' if pairs.n_seeds > 1 else ''}. Whether A and B differ is tested "
        "by whole groups of items; that intervals overlap is no test of it."
    )
    return theme.finish(
        figure, pairs.unit.axis, f"{better} is better", caption, details=details, showlegend=False, height=HEIGHT,
        margin=MARGIN,
    )  # fmt: skip


def _is_share(pairs: ScorePairs) -> bool:
    return pairs.unit.kind == "share" and bool(np.isin(np.concatenate([pairs.a, pairs.b]), (0.0, 100.0)).all())


def _means(pairs: ScorePairs) -> Iterator[go.Scatter]:
    for place, (label, colour) in enumerate(zip("AB", theme.CONDITIONS, strict=True)):
        mean, low, high = (float(values[place]) for values in (pairs.mean, pairs.low, pairs.high))
        yield go.Scatter(
            x=[place],
            y=[mean],
            name=label,
            mode="markers+text",
            text=[pairs.unit.said(mean)],
            textposition="middle right" if place else "middle left",
            textfont={"size": theme.TITLE_SIZE, "color": colour},
            marker={"color": colour, "size": 2 * theme.MARKER_SIZE},
            error_y={"array": [high - mean], "arrayminus": [mean - low], "thickness": 2, "width": 6, "color": colour},
            customdata=[[low, high]],
            meta={"columns": ["low", "high"]},
            hovertemplate="%{y:.3~g} (95 % interval %{customdata[0]:.3~g} to %{customdata[1]:.3~g})"
            f"<extra>{label}</extra>",
        )


def _lines(pairs: ScorePairs) -> Iterator[go.Scatter]:
    """A line for each item, or for each way in which items of right and wrong answers went."""
    if _is_share(pairs):
        yield from _flows(pairs)
        return
    for name, a, b in zip(pairs.item_ids, pairs.a, pairs.b, strict=True):
        yield _line(float(a), float(b), theme.THIN, name)


def _flows(pairs: ScorePairs) -> Iterator[go.Scatter]:
    ways, counts = np.unique(np.column_stack([pairs.a, pairs.b]), axis=0, return_counts=True)
    for (a, b), count in zip(ways, counts, strict=True):
        yield _line(float(a), float(b), WIDEST_LINE * count / len(pairs.a), f"{count} items")


def _line(a: float, b: float, width: float, name: str) -> go.Scatter:
    return go.Scatter(
        x=[0, 1],
        y=[a, b],
        name=name,
        mode="lines",
        line={"color": theme.translucent(theme.OTHERS, 0.45), "width": max(width, theme.THIN)},
        hovertemplate="%{y:.3~g}<extra>%{fullData.name}</extra>",
    )


def _range(pairs: ScorePairs, chance: float | None) -> list[float]:
    if pairs.unit.kind == "share":
        return [-4.0, 104.0]
    items = _known(np.concatenate([pairs.a, pairs.b]))
    low = min(*_known(pairs.low), *np.percentile(items, [100 - SEEN]), *([] if chance is None else [chance]))
    high = max(*_known(pairs.high), *np.percentile(items, [SEEN]), *([] if chance is None else [chance]))
    if items.min() >= 0:
        low = 0.0  # an amount begins at nothing
    room = 0.06 * (high - low or 1.0)
    return [low - room, high + room]


def _known(values: Array) -> Array:
    return np.asarray(values[np.isfinite(values)])


def _n_beyond(pairs: ScorePairs, highest: float) -> int:
    return int((np.maximum(pairs.a, pairs.b) > highest).sum())
