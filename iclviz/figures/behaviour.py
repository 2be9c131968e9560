"""Behaviour: scores by condition, over the number of demonstrations, and item by item."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import plotly.graph_objects as go

from iclviz.analysis.behaviour import ScoreSummary
from iclviz.figures import theme, wording
from iclviz.figures.plain import in_pattern
from iclviz.figures.registry import named
from iclviz.natural_units import Better

_TOWARDS: dict[Better, str] = {"higher": "right", "lower": "left"}

_COLUMNS = ["low", "high", "items", "unreadable responses"]  # the names that tables written before have
_HOVER = (
    "%{{y:.3~g}}{unit} (95 % interval %{{customdata[0]:.3~g}} to %{{customdata[1]:.3~g}})<br>"
    "%{{customdata[2]}} items, %{{customdata[3]}} unparseable<extra>%{{fullData.name}}</extra>"
)


def _numbers(*summaries: ScoreSummary) -> dict[str, object]:
    """The parts of a trace that a series of summaries gives: means, bars of their intervals, numbers for the hover."""
    mean, low, high = (np.array([getattr(one, name) for one in summaries]) for name in ("mean", "low", "high"))
    return {
        "y": mean,
        "error_y": {"array": high - mean, "arrayminus": mean - low, "thickness": theme.LINE_WIDTH, "width": 5},
        "customdata": [[one.low, one.high, one.n, one.n_unparsed] for one in summaries],
        "meta": {"columns": _COLUMNS},
    }


def _lowest(summaries: Iterable[ScoreSummary]) -> list[float]:
    return [value for one in summaries for value in (one.low, one.mean)]


def _counted(unit: str) -> str:
    """The unit behind a number in a hover."""
    return f" {in_pattern(unit)}" if unit else ""


def _interval(summary: ScoreSummary) -> str:
    groups = wording.groups(summary.n_units)
    if summary.is_share:
        return f"Wilson intervals on the number of independent items in {groups}"
    return f"percentile intervals from resampling {groups}"


@named("score-by-condition")
def score_by_condition(
    conditions: Mapping[str, ScoreSummary],
    *,
    score: str,
    unit: str = "",
    better: Better = "higher",
    chance: float | None = None,
    demonstrations: str = "",
) -> go.Figure:
    """The mean score of each condition with its interval.

    Parameters
    ----------
    conditions: label -> its summary, A first.
    score: the score's title; unit: its unit, if it has one.
    better: whether a higher or a lower score is the better one; chance: what guessing reaches, None = no line.
    demonstrations: what the statement is limited to, such as "for this demonstration set only (seed 0)".
    """
    axis = f"{score} ({unit})" if unit else score
    figure = go.Figure(
        [
            go.Scatter(
                x=[label],
                name=label,
                mode="markers",
                marker={"color": colour, "size": 1.6 * theme.MARKER_SIZE},
                hovertemplate=_HOVER.format(unit=_counted(unit)),
                **_numbers(summary),
            )
            for label, summary, colour in theme.coloured(conditions)
        ]
    )
    figure.update_xaxes(title="Condition", range=[-0.6, len(conditions) - 0.4])
    figure.update_yaxes(title=axis)
    theme.with_reference(figure, unit, _lowest(conditions.values()), chance)
    caption = (
        f"Mean {wording.inner(score)} over items in each condition, with 95 % {wording.each(conditions, _interval)}. "
        f"{better.capitalize()} is better; overlapping intervals of the same items are no test of their difference."
        f"{wording.sentence(demonstrations)}"
    )
    return theme.finish(figure, f"{score} by condition", "Mean over items, 95 % interval", caption, showlegend=False)


@named("score-over-k")
def score_over_k(
    series: Mapping[str, Mapping[int, ScoreSummary]],
    *,
    score: str,
    unit: str = "",
    better: Better = "higher",
    chance: float | None = None,
    demonstrations: str = "",
) -> go.Figure:
    """The mean score over the number of demonstrations, a line for each kind of demonstration.

    Parameters
    ----------
    series: label -> (k -> summary).
    score: the score's title; unit: its unit, if it has one.
    better: whether a higher or a lower score is the better one; chance: what guessing reaches, None = no line.
    demonstrations: what the statement is limited to, such as "for this demonstration set only (seed 0)".
    """
    figure = go.Figure(
        [
            go.Scatter(
                x=sorted(summaries),
                name=label,
                mode="lines+markers",
                line={"color": colour, "width": theme.LINE_WIDTH},
                marker={"size": theme.MARKER_SIZE},
                hovertemplate="k = %{x}: " + _HOVER.format(unit=_counted(unit)),
                **_numbers(*(summaries[k] for k in sorted(summaries))),
            )
            for label, summaries, colour in theme.of_both(series)
        ]
    )
    figure.update_xaxes(title="Demonstrations k (number)", tickvals=sorted({k for one in series.values() for k in one}))
    figure.update_yaxes(title=f"{score} ({unit})" if unit else score)
    theme.with_reference(figure, unit, _lowest(one for of_k in series.values() for one in of_k.values()), chance)
    points = {f"{label}, k = {k}": one for label, summaries in series.items() for k, one in summaries.items()}
    caption = (
        f"Mean {wording.inner(score)} over the number k of demonstrations, with 95 % "
        f"{wording.each(points, _interval)}. {better.capitalize()} is better; the set for k + 1 holds the set for "
        f"k, so neighbouring points are not independent.{wording.sentence(demonstrations)}"
    )
    return theme.finish(
        figure, f"{score} over demonstrations", "Mean over items, 95 % interval", caption, showlegend=True
    )


@named("score-distribution")
def score_distribution(
    conditions: Mapping[str, ScoreSummary],
    *,
    score: str,
    unit: str = "",
    better: Better = "higher",
    chance: float | None = None,
    demonstrations: str = "",
) -> go.Figure:
    """How the items' scores are spread in each condition.

    Parameters
    ----------
    conditions: label -> its summary, A first.
    score: the score's title; unit: its unit, if it has one.
    better: whether a higher or a lower score is the better one; chance: what guessing reaches, which is a mean and
        has no line here.
    demonstrations: what the statement is limited to, such as "for this demonstration set only (seed 0)".
    """
    is_share = all(one.is_share for one in conditions.values())
    figure = go.Figure(list(_shares(conditions) if is_share else _histograms(conditions)))
    figure.update_xaxes(title=score if is_share or not unit else f"{score} ({unit})")
    figure.update_yaxes(title="Items (number)")
    if is_share:
        caption = (
            f"How many items have the score and how many have not, in each condition.{wording.sentence(demonstrations)}"
        )
        return theme.finish(
            figure, f"Distribution of {wording.inner(score)}", "Items that have a score", caption, barmode="group"
        )
    caption = (
        f"The {wording.inner(score)} of every item in each condition, counted in bins of one width. "
        f"{'Conditions lie over each other; what' if len(conditions) > 1 else 'What'} lies to the "
        f"{_TOWARDS[better]} is better."
        f"{wording.sentence(demonstrations)}"
    )
    subtitle = "Items that have a score"
    return theme.finish(
        figure, f"Distribution of {wording.inner(score)}", subtitle, caption, barmode="overlay", bargap=0.02
    )


def _histograms(conditions: Mapping[str, ScoreSummary]) -> Iterator[go.Histogram]:
    for label, summary, colour in theme.coloured(conditions):
        yield go.Histogram(
            x=summary.values[np.isfinite(summary.values)],
            name=label,
            bingroup="score",
            marker={"color": theme.translucent(colour, 0.5), "line": {"color": colour, "width": theme.THIN}},
            hovertemplate="%{x}: %{y} items<extra>%{fullData.name}</extra>",
        )


def _shares(conditions: Mapping[str, ScoreSummary]) -> Iterator[go.Bar]:
    """Two bars for a score that an item has or has not."""
    for label, summary, colour in theme.coloured(conditions):
        known = summary.values[np.isfinite(summary.values)]
        n_yes = int((known > 0).sum())
        yield go.Bar(
            x=["no", "yes"],
            y=[len(known) - n_yes, n_yes],
            name=label,
            marker={"color": colour},
            text=[len(known) - n_yes, n_yes],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{x}: %{y} items<extra>%{fullData.name}</extra>",
        )
