"""Representational similarity: the matrices themselves, and their alignment with a hypothesis by layer."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from iclviz.analysis.rsa import AlignmentTest
from iclviz.figures import layers, theme, wording
from iclviz.figures.registry import named
from iclviz.recording import Array

_MOST_GROUP_LABELS = 12

_PERMUTED = {
    "items": "single items",
    "groups": "whole groups",
    "blocks": "whole groups among those of equal size",
    "items within groups": "items within their groups",
}

METHODS = {
    "spearman": "Spearman's rho",
    "pearson": "Pearson's r",
    "tau-a": "Kendall's tau-a",
    "rho-a": "rho-a",
}


def _off_diagonal(matrix: Array) -> Array:
    return matrix[~np.eye(len(matrix), dtype=bool)]


def _scale(values: Array) -> dict[str, object]:
    """Diverging around zero for values on both sides of it, else sequential; the diagonal does not set the range."""
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    if low < 0 < high:
        most = max(-low, high)
        return {"colorscale": list(theme.DIVERGING), "cmin": -most, "cmax": most, "cmid": 0}
    return {"colorscale": theme.SEQUENTIAL, "cmin": low, "cmax": high if high > low else low + 1}


def _group_ticks(groups: Array) -> tuple[Array, Array, Array]:
    """Where groups of sorted items begin, and places and names of their labels, thinned where there are many."""
    names, starts, counts = np.unique(groups, return_index=True, return_counts=True)
    order = np.argsort(starts)
    names, starts, counts = names[order], starts[order], counts[order]
    every = int(np.ceil(len(names) / _MOST_GROUP_LABELS))
    # A tick exactly on an item would take the place of the item's own name in the hover.
    centres = starts + (counts - 1) / 2 + 0.002 * len(groups)
    return starts[1:], centres[::every], names[::every]


@named("similarity-matrices")
def similarity_matrices(
    rsms: Mapping[str, Array],
    hypothesis: Array,
    *,
    item_ids: Sequence[str],
    groups: Array | None = None,
    hypothesis_title: str = "Hypothesis",
    group_title: str = "group",
    metric: str = "cosine",
    layer: int,
    demonstrations: str = "",
) -> go.Figure:
    """The RSMs of conditions and the hypothesis side by side, items sorted by group.

    Parameters
    ----------
    rsms: label -> (n, n) of one layer, A first; they share one colour scale.
    hypothesis: (n, n), NaN = no prediction; its values mean something else, so it has a scale of its own.
    item_ids: n names.
    groups: (n,) by which items are sorted and between which lines are drawn; None = as they are.
    hypothesis_title, group_title, metric: names for titles and hovers.
    layer: the layer shown.
    demonstrations: what the statement is limited to, such as "for this demonstration set only (seed 0)".
    """
    order = np.arange(len(item_ids)) if groups is None else np.argsort(np.asarray(groups), kind="stable")
    names = [str(item_ids[item]) for item in order]
    panels = {**rsms, hypothesis_title: hypothesis}
    gap = theme.gap(len(panels), 0.05)
    figure = make_subplots(1, len(panels), subplot_titles=list(panels), horizontal_spacing=gap, shared_yaxes=True)
    for column, (label, matrix) in enumerate(panels.items(), start=1):
        is_hypothesis = column == len(panels)
        value = "prediction" if is_hypothesis else f"{metric} similarity"
        figure.add_heatmap(
            x=names,
            y=names,
            z=np.asarray(matrix, dtype=float)[np.ix_(order, order)],
            name=label,
            coloraxis="coloraxis2" if is_hypothesis else "coloraxis",
            meta={"columns": [value]},
            hovertemplate=f"%{{y}}<br>%{{x}}<br>{value} %{{z:.3f}}<extra>%{{fullData.name}}</extra>",
            row=1,
            col=column,
        )
        figure.update_yaxes(scaleanchor="x" if column == 1 else f"x{column}", row=1, col=column)
    figure.update_xaxes(type="category", title="Item", showgrid=False, constrain="domain", showticklabels=False)
    figure.update_yaxes(type="category", showgrid=False, constrain="domain", autorange="reversed", showticklabels=False)
    figure.update_yaxes(title="Item", row=1, col=1)
    if groups is not None:
        _draw_groups(figure, np.asarray(groups)[order], group_title)
    shared = np.concatenate([_off_diagonal(np.asarray(matrix, dtype=float)) for matrix in rsms.values()])
    bar = {"orientation": "h", "thickness": 10, "yanchor": "top", "y": -0.38, "xanchor": "left"}
    share = len(rsms) / len(panels)
    figure.update_layout(
        coloraxis={
            **_scale(shared),
            "colorbar": {**bar, "x": 0, "len": share - 0.05, "title": {"text": f"{metric.capitalize()} similarity"}},
        },
        coloraxis2={
            **_scale(_off_diagonal(np.asarray(hypothesis, dtype=float))),
            "colorbar": {
                **bar,
                "x": share + 0.02,
                "len": 1 - share - 0.02,
                "title": {"text": "Prediction (own scale)"},
            },
        },
    )
    caption = (
        f"Similarity ({metric}) of every pair of items at layer {layer} in each condition, beside what the hypothesis "
        "predicts. Conditions share one colour scale, set without the diagonal; the hypothesis has its own, and gaps "
        f"are pairs of which it says nothing.{wording.sentence(demonstrations)}"
    )
    subtitle = f"Layer {layer}, items sorted by {group_title}" if groups is not None else f"Layer {layer}"
    return theme.finish(figure, "Representational similarity", subtitle, caption, height=520, margin_b=160)


def _draw_groups(figure: go.Figure, groups: Array, title: str) -> None:
    """Lines between groups of sorted items, and the groups' names on the axes."""
    borders, places, names = _group_ticks(groups)
    ticks = {"tickvals": places, "ticktext": [str(name) for name in names], "showticklabels": True, "ticks": ""}
    figure.update_xaxes(title=f"Item, by {title}", **ticks)
    figure.update_yaxes(title=f"Item, by {title}", **ticks, row=1, col=1)
    line = {"color": theme.GROUP_LINE, "width": theme.THIN}
    ends = (-0.5, len(groups) - 0.5)
    for border in borders - 0.5:
        figure.add_shape(type="line", x0=border, x1=border, y0=ends[0], y1=ends[1], line=line, row="all", col="all")
        figure.add_shape(type="line", x0=ends[0], x1=ends[1], y0=border, y1=border, line=line, row="all", col="all")


@named("alignment-by-layer")
def alignment_by_layer(
    conditions: Mapping[str, AlignmentTest], *, hypothesis: str, demonstrations: str = ""
) -> go.Figure:
    """The alignment of each layer's RSM with a hypothesis, and what permuted hypotheses reach on average.

    Parameters
    ----------
    conditions: label -> its test, A first.
    hypothesis: the hypothesis's title.
    demonstrations: what the statement is limited to, such as "for this demonstration set only (seed 0)".
    """
    method = METHODS[next(iter(conditions.values())).method]
    figure = go.Figure()
    for label, test, colour in theme.coloured(conditions):
        figure.add_traces(layers.line_with_band(test, test.estimate, label, colour, method))
        if np.isfinite(test.null_mean).any():
            figure.add_scatter(
                x=np.arange(len(test.null_mean)),
                y=test.null_mean,
                name=f"Permutation mean, {label}",
                legendgroup=label,
                showlegend=False,
                mode="lines",
                line={"color": colour, "width": theme.THIN, "dash": "dash"},
                hovertemplate=f"{method} %{{y:.3f}}",
            )
    layers.layer_axis(figure)
    figure.update_yaxes(title=f"Alignment ({method})", zeroline=True)
    caption = (
        f"Correlation ({method}) of each layer's similarity matrix with the hypothesis “{hypothesis}”. Bands are 95 % "
        f"bootstrap intervals from resampling {wording.each(conditions, _resampled)}; they are conservative (wide). "
        f"Zero is not what an alignment without meaning has.{_permutations(conditions)}"
        f"{wording.without_values(conditions)}{wording.sentence(demonstrations)}"
    )
    return theme.finish(
        figure,
        f"Alignment with “{hypothesis}” by layer",
        layers.subtitle(conditions),
        caption,
        hovermode="x unified",
        showlegend=True,
    )


def _resampled(test: AlignmentTest) -> str:
    return f"{test.n_units:,} single items" if test.unit == "items" else wording.groups(test.n_units)


def _permutations(conditions: Mapping[str, AlignmentTest]) -> str:
    """How to read what permutations give, as a further sentence; nothing where no condition has any."""
    permuted = {label: test for label, test in conditions.items() if np.isfinite(test.null_mean).any()}
    if not permuted:
        return ""
    return (
        " Thin broken lines are its mean over permutations of "
        f"{wording.each(permuted, lambda test: _PERMUTED[test.unit])}; filled marks stand out of these permutations at "
        "p < 0.05, one-sided, corrected over layers by the maximum statistic, and open marks do not."
    )
