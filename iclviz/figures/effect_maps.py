"""What acting does: the effect at each site of a map, one site's on each item, sites that were chosen and judged."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from iclviz.analysis.effect_maps import ChosenSite, EffectOnItems, SiteEffects, unit_of
from iclviz.analysis.head_links import HeadLink
from iclviz.analysis.statistics import SIGNIFICANT, stands_out
from iclviz.analysis.wording import capital
from iclviz.figures import theme, wording
from iclviz.figures.plain import in_pattern
from iclviz.figures.registry import named
from iclviz.natural_units import MINUS
from iclviz.recording import Array

OUTCOMES = {
    "margin": "Margin of the right answer (nats)",
    "answer": "Log-probability of the right answer (nats)",
    "score": "Main score of what the model writes",
}
"""What effects are of, with its unit."""

EFFECT_TITLES = {
    "margin": "Margin over other answers",
    "answer": "Log-probability of the answer",
    "score": "Score of what is written",
}
"""What effects are of, in a few words."""

_CELL, _LEAST = 26, 150
_EACH_TICKED = 12
"""Columns up to which each has its tick, and none stands between two."""

_COLUMNS = (
    "low",
    "high",
    "p",
    "p corrected over sites",
    "items",
    "items in which no value changed",
    "right",
    "sd between draws",
)


@named("effect-map")
def effect_map(
    conditions: Mapping[str, SiteEffects],
    *,
    title: str,
    done: str,
    blind: str,
    names: Mapping[str, str] | None = None,
    name: str = "effect-map",
    demonstrations: str = "",
) -> go.Figure:
    """The mean effect at each site, conditions below each other on one scale; sites that stand out are marked.

    Parameters
    ----------
    conditions: label -> its effects, A first.
    title: the map's title; done: what was done at each site, as a clause; blind: what the map cannot show.
    names: value of the first axis -> what it is called.
    name: what its files are called.
    demonstrations: what the statement is limited to.
    """
    first = next(iter(conditions.values()))
    rows = {
        label: [(names or {}).get(str(value), str(value)) for value in one.first] for label, one in conditions.items()
    }
    figure = make_subplots(len(conditions), 1, subplot_titles=list(conditions), vertical_spacing=0.36 / len(conditions))
    for number, (label, effects) in enumerate(conditions.items(), start=1):
        figure.add_trace(_cells(effects, rows[label], label), row=number, col=1)
        figure.add_trace(_marks(effects, rows[label]), row=number, col=1)
    few = len(first.second) <= _EACH_TICKED
    figure.update_xaxes(title=capital(first.axes[1]), showgrid=False, matches="x", dtick=1 if few else None)
    figure.update_yaxes(title=capital(first.axes[0]), showgrid=False, type="category", autorange="reversed")
    most = max(float(np.nanmax(np.abs(one.estimate), initial=0.0)) for one in conditions.values()) or 1.0
    bar = {"title": {"text": effect_title(first.outcome), "side": "right"}, "thickness": 12}
    figure.update_layout(
        coloraxis={"colorscale": list(theme.DIVERGING), "cmin": -most, "cmax": most, "cmid": 0, "colorbar": bar}
    )
    units = wording.each(conditions, lambda one: f"{one.n_items} items in {wording.groups(one.n_units)}")
    less = f", less that of {first.beyond}" if first.beyond else ""
    caption = (
        f"Mean effect over {units}, when {done}{less}; sites with a dot differ from zero at p < {SIGNIFICANT}, "
        f"corrected over all sites of a panel. {blind}{wording.sentence(demonstrations)}"
    )
    details = (
        "An effect is the outcome of an item while something is done less its outcome with nothing done; below zero "
        "the right answer loses. P comes from sign flips of whole groups and is corrected by the maximum over sites."
    )
    height = max(_LEAST, _CELL * max(map(len, rows.values()))) * len(conditions)
    theme.finish(
        figure,
        title,
        OUTCOMES[first.outcome],
        caption,
        details=details,
        showlegend=False,
        height=height + 90 * len(conditions) + 60,
        margin={**theme.MARGIN, "t": 84},
    )
    return _called(figure, name)


def effect_title(outcome: str) -> str:
    """What effects on an outcome are, with their unit."""
    unit = unit_of(outcome).strip()
    return f"Effect ({unit})" if unit else "Effect (units of the score)"


def _called(figure: go.Figure, name: str) -> go.Figure:
    """The figure with a name of its own for its files."""
    figure.layout.meta = {**figure.layout.meta, "name": name}
    return figure


def _cells(effects: SiteEffects, rows: list[str], label: str) -> go.Heatmap:
    extra = [
        effects.low, effects.high, effects.p, effects.p_corrected, effects.n, effects.unchanged, effects.right,
        effects.between_draws,
    ]  # fmt: skip
    right = f", right answer preferred %{{customdata[6]:.0%}} (undisturbed {effects.right_base:.0%})"
    return go.Heatmap(
        x=list(effects.second),
        y=rows,
        z=effects.estimate,
        name=label,
        customdata=np.stack(extra, axis=-1),
        meta={"columns": [effect_title(effects.outcome), *_COLUMNS]},
        coloraxis="coloraxis",
        hovertemplate=f"{effects.axes[0]} %{{y}}, {effects.axes[1]} %{{x}}: %{{z:.3~g}} (95 % interval "
        "%{customdata[0]:.3~g} to %{customdata[1]:.3~g}), p corrected %{customdata[3]:.3~g}"
        f"{right if np.isfinite(effects.right_base) else ''}<extra>{in_pattern(label)}</extra>",
    )


def _marks(effects: SiteEffects, rows: list[str]) -> go.Scatter:
    at = np.argwhere(stands_out(effects.p_corrected))
    size = np.abs(effects.estimate)
    most = np.nanmax(size, initial=0.0) or 1.0
    dark = [bool(size[row, column] > 0.55 * most) for row, column in at]
    return go.Scatter(
        x=[effects.second[column] for _, column in at],
        y=[rows[row] for row, _ in at],
        mode="markers",
        marker={"size": 6, "color": np.where(dark, "#FFFFFF", "#22262C").tolist(), "line": {"width": 0}},
        hoverinfo="skip",
        showlegend=False,
    )


@named("effect-chosen")
def effect_chosen(
    conditions: Mapping[str, SiteEffects],
    *,
    title: str,
    names: Mapping[str, str] | None = None,
    name: str = "effect-chosen",
    demonstrations: str = "",
) -> go.Figure:
    """The sites that one half of the groups found strongest, as strong as the other half finds them.

    conditions: label -> its effects; title: the map's; names, name: as of `effect_map`.
    """
    figure = go.Figure()
    for label, effects, colour in theme.coloured(conditions):
        where = [effects.place(site.first, site.second, names or {}) for site in effects.chosen]
        figure.add_trace(_judged(effects.chosen, where, label, colour))
        figure.add_trace(
            go.Scatter(
                x=[site.chosen_at for site in effects.chosen],
                y=where,
                mode="markers",
                name=f"{label}: in the half that chose",
                marker={"symbol": "x-thin", "size": 9, "color": colour, "line": {"width": 2, "color": colour}},
                hovertemplate="%{y}: %{x:.3~g} in the half that chose<extra></extra>",
            )
        )
    figure.update_xaxes(title=effect_title(next(iter(conditions.values())).outcome), zeroline=True)
    figure.update_yaxes(title="Site", type="category", autorange="reversed")
    most = max(len(one.chosen) for one in conditions.values())
    caption = (
        "The strongest sites of one half of the groups (×), as strong as the other half finds them, with 95 % "
        "intervals; only the latter are fair. Filled: p < 0.05 in the other half, corrected over these sites."
    )
    theme.finish(
        figure, f"{title}: the strongest sites, judged on other items", "95 % interval",
        caption + wording.sentence(demonstrations), height=170 + 34 * most * len(conditions), showlegend=True,
        legend_rows=len(conditions),
    )  # fmt: skip
    return _called(figure, name)


def _judged(chosen: tuple[ChosenSite, ...], where: list[str], label: str, colour: str) -> go.Scatter:
    estimate, low, high = (np.array([getattr(site, name) for site in chosen]) for name in ("estimate", "low", "high"))
    filled = stands_out(np.array([site.p_corrected for site in chosen]))
    return go.Scatter(
        x=estimate,
        y=where,
        mode="markers",
        name=label,
        marker={
            "size": 9,
            "color": colour,
            "symbol": np.where(filled, theme.mark(label), f"{theme.mark(label)}-open").tolist(),
        },
        error_x={
            "type": "data",
            "symmetric": False,
            "array": high - estimate,
            "arrayminus": estimate - low,
            "width": 4,
        },
        customdata=np.column_stack([low, high, [site.p for site in chosen], [site.p_corrected for site in chosen]]),
        meta={"columns": ["low", "high", "p", "p corrected over these sites"]},
        hovertemplate="%{y}: %{x:.3~g} (95 % interval %{customdata[0]:.3~g} to %{customdata[1]:.3~g}), p corrected "
        f"%{{customdata[3]:.3~g}}<extra>{in_pattern(label)}</extra>",
    )


@named("attention-and-effect")
def attention_and_effect(conditions: Mapping[str, HeadLink], *, demonstrations: str = "") -> go.Figure:
    """The effect of ablating each head over its attention ratio, conditions below each other; colours are blocks.

    conditions: label -> both, A first.
    """
    titles = [f"{label}: {_how_they_go(found)}" for label, found in conditions.items()]
    figure = make_subplots(len(titles), 1, subplot_titles=titles, vertical_spacing=0.36 / len(titles))
    for number, (label, found) in enumerate(conditions.items(), start=1):
        blocks, heads = np.indices(found.ratio.shape)
        figure.add_trace(
            go.Scatter(
                x=found.ratio.ravel(),
                y=found.effect.ravel(),
                mode="markers",
                name=label,
                marker={"size": theme.MARKER_SIZE, "color": blocks.ravel() + 1, "coloraxis": "coloraxis"},
                customdata=np.column_stack([blocks.ravel() + 1, heads.ravel()]),
                meta={"columns": ["block", "head"], "panel": label},
                hovertemplate="block %{customdata[0]}, head %{customdata[1]}: effect %{y:.3~g}, log ratio %{x:.3~g}"
                f"<extra>{in_pattern(label)}</extra>",
            ),
            row=number,
            col=1,
        )
    figure.update_xaxes(title="Log attention ratio, relevant over irrelevant", matches="x")
    figure.update_yaxes(title=effect_title(next(iter(conditions.values())).outcome), matches="y", zeroline=True)
    bar = {"title": {"text": "Block", "side": "right"}, "thickness": 12}
    figure.update_layout(coloraxis={"colorscale": theme.SEQUENTIAL, "colorbar": bar})
    caption = (
        "Each point is a head: what setting it to zero does to the answer, over how much more it attends to relevant "
        "text at the last prompt token. Where the points fall to the lower right, heads that attend to relevant text "
        f"are heads that the answer needs.{wording.sentence(demonstrations)}"
    )
    details = (
        "rho is the rank correlation over all heads, its interval from resampling groups of items; within blocks, "
        "ranks are taken less their block's mean, and p comes from permuting heads within blocks."
    )
    return theme.finish(
        figure, "Do the heads that attend to relevant text matter?", "Attention ratio and effect of each head", caption,
        details=details, height=290 * len(titles) + 60, margin={**theme.MARGIN, "t": 84}, showlegend=False,
    )  # fmt: skip


def _how_they_go(found: HeadLink) -> str:
    within = "" if np.isnan(found.p_within) else f"; within blocks {found.rho_within:.2f}, p = {found.p_within:.3f}"
    interval = "" if found.reason else f" ({found.low:.2f} to {found.high:.2f})"
    return f"rho = {found.rho:.2f}{interval}{within}".replace("-", MINUS)


@named("effect-on-items")
def effect_on_items(conditions: Mapping[str, EffectOnItems], *, outcome: str, demonstrations: str = "") -> go.Figure:
    """One site's effect on each item, over its outcome with nothing done.

    conditions: label -> the effects; outcome: one of `OUTCOMES`.
    """
    figure = go.Figure()
    for label, found, colour in theme.coloured(conditions):
        figure.add_trace(
            go.Scatter(
                x=found.base,
                y=found.effect,
                mode="markers",
                name=label,
                marker={"size": theme.MARKER_SIZE, "color": colour, "symbol": theme.mark(label)},
                text=list(found.item_ids),
                customdata=_of_items(found),
                meta={"columns": ["item", "control", "places", "places that changed"]},
                hovertemplate="%{text}: %{y:.3~g} (undisturbed %{x:.3~g})<extra>%{fullData.name}</extra>",
            )
        )
    figure.update_xaxes(title=f"{OUTCOMES[outcome]}, nothing done", showgrid=True)
    figure.update_yaxes(title=effect_title(outcome), zeroline=True)
    where = next(iter(conditions.values())).where
    caption = (
        f"The effect at {where} on each item, over the item's outcome with nothing done. An item far from the others "
        f"carries much of the mean.{wording.sentence(demonstrations)}"
    )
    return theme.finish(figure, f"Effect on each item: {where}", OUTCOMES[outcome], caption, showlegend=True)


def _of_items(found: EffectOnItems) -> list[list[object]]:
    control: Array = np.full(len(found.effect), np.nan) if found.control is None else found.control
    rows = zip(found.item_ids, control.tolist(), found.acted.tolist(), found.changed.tolist(), strict=True)
    return [list(row) for row in rows]
