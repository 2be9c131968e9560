"""Several conditions at once: a measure by layer, a score, and their RSMs side by side."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle

import numpy as np
import plotly.graph_objects as go

from iclviz.analysis.seeds import OverSeeds
from iclviz.analysis.wording import capital
from iclviz.figures import layers, theme, wording
from iclviz.figures.registry import named

_EACH_OPACITY = 0.35


def _numbers(result: OverSeeds) -> dict[str, object]:
    seeds = np.full(len(result.estimate), result.n_seeds)
    return {
        "customdata": np.column_stack([result.low, result.high, seeds]),
        "meta": {"columns": ["low", "high", "demonstration seeds"]},
    }


def _interval(result: OverSeeds) -> str:
    if not np.isfinite(result.low).any():
        return "no interval"
    return {0: "no demonstrations", 1: "one seed"}.get(result.n_seeds, f"{result.n_seeds} seeds")


def _drawn(conditions: Mapping[str, OverSeeds], among: Sequence[str] = ()) -> Iterator[tuple[str, OverSeeds, str, str]]:
    """Label, result, colour and mark of each condition."""
    labels = dict.fromkeys(among or conditions)
    looks = {
        label: (colour, mark)
        for (label, _, colour), mark in zip(theme.coloured(labels), cycle(theme.SYMBOLS), strict=False)
    }
    yield from ((label, result, *looks[label]) for label, result in conditions.items())


def _intervals(conditions: Mapping[str, OverSeeds], are_drawn: bool = True) -> str:
    """What intervals are over."""
    shown = [result for result in conditions.values() if np.isfinite(result.low).any()]
    if not are_drawn or not shown:
        return "no intervals"
    several = any(result.n_seeds > 1 for result in shown)
    return f"95 % intervals over groups of items{' and demonstration seeds' if several else ''}"


def _over_what(conditions: Mapping[str, OverSeeds], are_drawn: bool = True) -> str:
    """The same, with what each condition has."""
    intervals = _intervals(conditions, are_drawn)
    return intervals if intervals == "no intervals" else f"{intervals}: {wording.each(conditions, _interval)}"


@named("measure-of-set")
def measure_of_set(
    conditions: Mapping[str, OverSeeds],
    *,
    measure: str,
    value: str,
    first: int = 0,
    bands: bool = True,
    among: Sequence[str] = (),
    demonstrations: str = "",
) -> go.Figure:
    """A measure in each layer of up to eight conditions.

    Parameters
    ----------
    conditions: label -> the measure by layer.
    measure: what is measured, such as "Alignment with “Same line”"; value: the axis's title.
    first: the number of the first layer, 1 for attention's blocks.
    bands: whether intervals are drawn.
    among: every label of the set, where some have no value: each keeps its colour and mark in all figures.
    demonstrations: what the statement is limited to.
    """
    figure = go.Figure()
    for label, result, colour, symbol in _drawn(conditions, among):
        axis = np.arange(first, first + len(result.estimate))
        if bands and np.isfinite(result.low).any():
            edge = {"x": axis, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
            figure.add_scatter(y=result.low, legendgroup=label, **edge)
            fill = theme.translucent(colour, 0.12)
            figure.add_scatter(y=result.high, legendgroup=label, fill="tonexty", fillcolor=fill, **edge)
        figure.add_scatter(
            x=axis,
            y=result.estimate,
            name=label,
            legendgroup=label,
            mode="lines+markers",
            line={"color": colour, "width": theme.LINE_WIDTH},
            marker={"size": theme.MARKER_SIZE, "symbol": symbol},
            hovertemplate="%{y:.3~g} (95 % interval %{customdata[0]:.3~g} to %{customdata[1]:.3~g}), "
            "%{customdata[2]:.0f} seeds",
            **_numbers(result),
        )
    layers.layer_axis(figure, first)
    figure.update_yaxes(title=value, zeroline=True)
    intervals = _intervals(conditions, bands)
    read = "Nothing is tested here" if intervals == "no intervals" else "Bands are of each condition alone"
    caption = (
        f"{measure}, by {layers.unit(first)}, in {len(conditions)} conditions over the same items "
        f"({_over_what(conditions, bands)}). "
        f"{read}: a pair of conditions is tested as B minus A, item by item."
        f"{wording.sentence(demonstrations)}"
    )
    return theme.finish(
        figure,
        measure,
        capital(intervals),
        caption,
        hovermode="x unified",
        showlegend=True,
    )


@named("score-of-set")
def score_of_set(
    conditions: Mapping[str, OverSeeds],
    *,
    score: str,
    better: str,
    unit: str = "",
    chance: float | None = None,
    demonstrations: str = "",
) -> go.Figure:
    """A score of up to eight conditions, with each seed where there are several.

    Parameters
    ----------
    conditions: label -> its mean score, arrays (1,).
    score: the score's title; unit: its unit, if it has one; better: "higher" or "lower".
    chance: what guessing reaches; None = no line.
    demonstrations: what the statement is limited to.
    """
    figure = go.Figure()
    for label, result, colour, symbol in _drawn(conditions):
        if result.n_seeds > 1:
            figure.add_scatter(
                x=[label] * result.n_seeds,
                y=result.each[:, 0],
                name=f"{label}, single seeds",
                mode="markers",
                marker={"color": colour, "size": theme.MARKER_SIZE, "opacity": _EACH_OPACITY},
                hovertemplate="%{y:.3~g}<extra>%{fullData.name}</extra>",
                showlegend=False,
            )
        high, low = result.high - result.estimate, result.estimate - result.low
        figure.add_scatter(
            x=[label],
            y=result.estimate,
            name=label,
            mode="markers",
            marker={"color": colour, "size": 1.6 * theme.MARKER_SIZE, "symbol": symbol},
            error_y={"array": high, "arrayminus": low, "thickness": theme.LINE_WIDTH, "width": 5},
            hovertemplate="%{y:.3~g} (95 % interval %{customdata[0]:.3~g} to %{customdata[1]:.3~g}), "
            "%{customdata[2]:.0f} seeds<extra>%{fullData.name}</extra>",
            **_numbers(result),
        )
    figure.update_xaxes(title="Condition", range=[-0.6, len(conditions) - 0.4])
    figure.update_yaxes(title=f"{score} ({unit})" if unit else score)
    lowest = (side for one in conditions.values() for side in (one.low, one.each))
    theme.with_reference(figure, unit, lowest, chance)
    averaged = any(result.n_seeds > 1 for result in conditions.values())
    pale = "; pale marks are single demonstration seeds" if averaged else ""
    caption = (
        f"Mean {wording.inner(score)} in {len(conditions)} conditions over the same items ({_over_what(conditions)})"
        f"{pale}. "
        f"{better.capitalize()} is better.{wording.sentence(demonstrations)}"
    )
    return theme.finish(figure, f"{score} by condition", capital(_intervals(conditions)), caption, showlegend=False)
