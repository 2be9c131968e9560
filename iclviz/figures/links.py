"""Links of what changed inside the model with behaviour: by layer, and the scatter behind each number."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from iclviz.analysis.link import Link
from iclviz.analysis.wording import capital
from iclviz.figures import layers, theme, wording
from iclviz.figures.registry import named
from iclviz.recording import Array

_LEVELS = {
    "within": "items of one group are compared: ranks less their group's mean, scores permuted within groups",
    "between": "means of whole groups are compared, scores permuted between groups",
}


@named("link-by-layer")
def link_by_layer(
    links: Mapping[str, Link],
    *,
    score: str,
    titles: Mapping[str, str] | None = None,
    first: Mapping[str, int] | None = None,
    places: Mapping[str, int] | None = None,
    demonstrations: str = "",
) -> go.Figure:
    """The rank correlation of each measure's change with a score's change, by layer.

    Parameters
    ----------
    links: measure -> its link, all of one level.
    score: the score's title; titles: measure -> its title, where it is not its name.
    first: measure -> number of its first layer, where that is not 0.
    places: measure -> its place among all that are found, which decides its colour.
    demonstrations: what the statement is limited to.
    """
    figure = go.Figure()
    for name, link, colour in theme.of_measures(links, places):
        start, title = (first or {}).get(name, 0), (titles or {}).get(name, name)
        beside = {"given covariates": link.partial}
        figure.add_traces(layers.line_with_band(link, link.estimate, title, colour, "rho", beside, start))
    layers.layer_axis(figure)
    figure.update_yaxes(title="Link with behaviour (Spearman's rho)", range=[-1.02, 1.02], zeroline=True)
    one = next(iter(links.values()))
    tested = one.reason or f"{one.n_permutations:,} permutations, corrected over {one.n_tests} correlations"
    caption = (
        f"Rank correlation, over items, of each measure's change from A to B with the change of "
        f"{wording.inner(score)}, with 95 % intervals. Filled marks differ from zero at p < 0.05, corrected over "
        f"layers and measures; a link is no cause.{wording.sentence(demonstrations)}"
    )
    details = (
        f"{capital(_LEVELS[one.level])}. Intervals are from resampling {wording.groups(one.n_units)}"
        f"{_seeds(one)}; p is two-sided ({tested}; the headline also corrects for its two levels)."
    )
    return theme.finish(
        figure,
        f"Link with behaviour {one.level} groups",
        "95 % interval; filled: p < 0.05 corrected over layers and measures",
        caption,
        details=details,
        hovermode="x unified",
        showlegend=True,
    )


def _seeds(link: Link) -> str:
    return f" and {link.n_seeds} demonstration seeds" if link.n_seeds > 1 else ""


@named("link-scatter")
def link_scatter(
    measure_change: Array,
    score_change: Array,
    *,
    item_ids: Sequence[str],
    measure: str,
    score: str,
    groups: Array | None = None,
    n_seeds: int = 1,
    place: int | None = None,
    demonstrations: str = "",
) -> go.Figure:
    """The items behind a link: the change of a measure in one layer against the change of a score.

    Parameters
    ----------
    measure_change, score_change: (n,) B minus A of each item.
    item_ids: n ids; groups: (n,) group of each item, named in the hover.
    measure, score: titles; the measure's says which layer it is.
    n_seeds: demonstration seeds over which changes are means.
    place: of the measure among all that are found, which decides its colour.
    demonstrations: what the statement is limited to.
    """
    group = np.array([""] * len(item_ids)) if groups is None else np.asarray(groups).astype(str)
    figure = go.Figure(
        go.Scatter(
            x=measure_change,
            y=score_change,
            name="Items",
            mode="markers",
            marker={"color": theme.translucent(theme.of_measure(place), 0.6), "size": 1.2 * theme.MARKER_SIZE},
            customdata=np.column_stack([np.asarray(item_ids, dtype=object), group]),
            meta={"columns": ["item", "group"]},
            hovertemplate="%{customdata[0]}<br>measure %{x:.3~g}, score %{y:.3~g}<extra>%{customdata[1]}</extra>",
        )
    )
    figure.update_xaxes(title=f"Change of {measure}, B − A", zeroline=True)
    figure.update_yaxes(title="Change of the score, B − A", zeroline=True)
    within = " within each seed, before they are averaged" if n_seeds > 1 else ""
    caption = (
        f"Each item's change of {measure} against its change of {wording.inner(score)}, from condition A to condition "
        f"B. Items of one group are not independent of each other, and ranks are what the links compare{within}."
        f"{wording.sentence(demonstrations)}"
    )
    point = f"an item, its mean over {n_seeds} demonstration seeds" if n_seeds > 1 else "an item"
    subtitle = f"One point {point}; score: {score}"
    return theme.finish(figure, "The items behind the link", subtitle, caption, showlegend=False)


@named("conditions-scatter")
def conditions_scatter(
    points: Mapping[str, tuple[float, float]],
    *,
    measure: str,
    score: str,
    coefficient: float,
    place: int | None = None,
    demonstrations: str = "",
) -> go.Figure:
    """Conditions as points: the mean of a measure against the mean score.

    Parameters
    ----------
    points: condition -> (measure, score).
    measure, score: titles.
    coefficient: Spearman's rho over the points.
    place: of the measure among all that are found, which decides its colour.
    demonstrations: what the statement is limited to.
    """
    across, up = np.array(list(points.values()), dtype=float).reshape(-1, 2).T
    figure = go.Figure(
        go.Scatter(
            x=across,
            y=up,
            name="Conditions",
            mode="markers+text",
            text=list(points),
            textposition="top center",
            marker={"color": theme.of_measure(place), "size": 1.4 * theme.MARKER_SIZE},
            customdata=np.array(list(points), dtype=object)[:, None],
            meta={"columns": ["condition"]},
            hovertemplate="%{customdata[0]}: measure %{x:.3~g}, score %{y:.3~g}<extra></extra>",
        )
    )
    figure.update_xaxes(title=measure)
    figure.update_yaxes(title=score)
    caption = (
        f"Each condition's {wording.inner(measure)} against its mean {wording.inner(score)}; rank correlation "
        f"{coefficient:.2f} over {len(points)} conditions. Conditions share items and demonstrations, and both "
        f"values may change with k alone, so there is no p and this is exploratory.{wording.sentence(demonstrations)}"
    )
    return theme.finish(figure, "Over conditions", "One point a condition", caption, showlegend=False)
