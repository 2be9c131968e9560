"""How conditions differ: B minus A of a measure by layer, and a contrast against zero."""

from collections.abc import Iterator, Mapping

import numpy as np
import plotly.graph_objects as go

from iclviz.analysis.change import Change
from iclviz.analysis.composites import CompositeToSimple
from iclviz.analysis.paired import PairedTest
from iclviz.analysis.statistics import stands_out
from iclviz.analysis.wording import capital
from iclviz.figures import layers, theme, wording
from iclviz.figures.registry import named

AGAINST = "B − A"


def _coloured(changes: Mapping[str, Change]) -> Iterator[tuple[str, Change, str]]:
    """Those of conditions in the conditions' colours, B minus A and the like in their own."""
    of_conditions = any(label.startswith(("A:", "B:")) for label in changes)
    return theme.coloured(changes) if of_conditions else theme.of_both(changes)


def _how(change: Change) -> str:
    """How a change was tested."""
    if isinstance(change, PairedTest):
        return f"swapping A and B of {wording.groups(change.n_units)} ({change.n_permutations:,} times)"
    seeds = f" and {change.n_seeds} demonstration seeds" if change.n_seeds > 1 else ""
    how = "Student's distribution over" if seeds else "inverting the interval from resampling"
    return f"{how} {wording.groups(change.n_units)}{seeds}"


@named("change-by-layer")
def change_by_layer(
    changes: Mapping[str, Change],
    *,
    measure: str,
    first: int = 0,
    versus: str = AGAINST,
    place: int | None = None,
    demonstrations: str = "",
) -> go.Figure:
    """A difference of a measure in each layer, with zero.

    Parameters
    ----------
    changes: label of what is compared -> its test over layers.
    measure: the measure's title; first: the number of the first layer, 1 for attention's blocks.
    versus: what is subtracted from what.
    place: of the measure among all that are found, which decides the colour of a single difference.
    demonstrations: what the statement is limited to.
    """
    figure = go.Figure()
    for label, change, own in _coloured(changes):
        colour = own if place is None or len(changes) > 1 else theme.of_measure(place)
        figure.add_traces(layers.line_with_band(change, change.estimate, label, colour, "difference", first=first))
    layers.layer_axis(figure, first)
    figure.update_yaxes(title=f"Difference, {versus}", zeroline=True)
    unit = layers.unit(first)
    reasons = {label: change.reason for label, change in changes.items() if change.reason}
    tested = (
        wording.each(reasons, str)
        if reasons
        else f"p is from {wording.each(changes, _how)}, two-sided, corrected over {unit}s"
    )
    caption = (
        f"Difference ({versus}) of the {measure} on the same items, by {unit}; the band is the 95 % interval. "
        f"Filled marks differ from zero at p < 0.05, corrected over {unit}s; this was not fixed before any result, so "
        "it is exploratory."
        f"{wording.sentence(demonstrations)}"
    )
    return theme.finish(
        figure,
        f"Difference of the {measure}",
        f"{versus}, 95 % interval; filled: p < 0.05 corrected over {unit}s",
        caption,
        details=f"{capital(tested)}.",
        hovermode="x unified",
        showlegend=len(changes) > 1,
    )


@named("composite-to-simple")
def composite_to_simple(conditions: Mapping[str, CompositeToSimple], *, demonstrations: str = "") -> go.Figure:
    """How much more composite prompts resemble the simple prompt that answers them than their distractors'.

    Parameters
    ----------
    conditions: condition and set of simple prompts -> its contrast by layer.
    demonstrations: what the statement is limited to.
    """
    figure = go.Figure()
    for label, result, colour in theme.coloured(conditions):
        figure.add_traces(layers.line_with_band(result, result.estimate, label, colour, "contrast"))
    layers.layer_axis(figure)
    figure.update_yaxes(title="Similarity, right − distractors'", zeroline=True)
    traded = wording.each(conditions, lambda one: one.reason or f"{one.n_permutations:,} permutations")
    caption = (
        "Similarity of composite prompts with the simple prompt that answers them, less that with the simple prompts "
        "of their distractors, by layer, with 95 % intervals; filled marks: p < 0.05 corrected over layers. A claim "
        f"rests on simple prompts with another name: the same name is shared text.{wording.sentence(demonstrations)}"
    )
    details = (
        "Intervals are from resampling sets of statements; p is one-sided, from trading the simple prompts of a set "
        f"({traded})."
    )
    return theme.finish(
        figure,
        "Composite prompts against simple ones",
        "Mean over items, 95 % interval; filled: p < 0.05 corrected over layers",
        caption,
        details=details,
        hovermode="x unified",
        showlegend=True,
    )


@named("change-by-head")
def change_by_head(change: Change, *, measure: str, versus: str = AGAINST, demonstrations: str = "") -> go.Figure:
    """A difference of a measure for each head of each block, those that stand out framed.

    Parameters
    ----------
    change: its test, arrays (L, H).
    measure: the measure's title; versus: what is subtracted from what.
    demonstrations: what the statement is limited to.
    """
    n_layers, n_heads = change.estimate.shape
    known = np.abs(change.estimate[np.isfinite(change.estimate)])
    most = float(known.max()) if known.size else 1.0
    figure = go.Figure()
    figure.add_heatmap(
        x=np.arange(n_heads),
        y=np.arange(1, n_layers + 1),
        z=change.estimate,
        name=versus,
        customdata=np.dstack([change.low, change.high, change.p_corrected]),
        meta={"columns": [versus, "low", "high", "p corrected over heads"]},
        colorscale=list(theme.DIVERGING),
        zmin=-most,
        zmax=most,
        zmid=0,
        colorbar={"title": {"text": versus, "side": "right"}, "thickness": 12},
        hovertemplate="block %{y}, head %{x}: %{z:.3~g} "
        "(95 % interval %{customdata[0]:.3~g} to %{customdata[1]:.3~g}), "
        "p corrected %{customdata[2]:.3~g}<extra></extra>",
    )
    rows, columns = np.nonzero(stands_out(change.p_corrected))
    figure.add_scatter(
        x=columns,
        y=rows + 1,
        name="p < 0.05",
        mode="markers",
        marker={"symbol": "square-open", "size": theme.MARKER_SIZE, "color": theme.HYPOTHESIS},
        hovertemplate="block %{y}, head %{x}: p < 0.05 corrected<extra></extra>",
    )
    figure.update_xaxes(title="Head (number)", tickformat="d", showgrid=False)
    figure.update_yaxes(title="Block (number)", tickformat="d", showgrid=False)
    caption = (
        f"Difference ({versus}) of the {measure} for each head of each block, on the same items. Framed heads differ "
        f"from zero at p < 0.05, corrected over all {n_layers * n_heads:,} heads ({change.reason or _how(change)})."
        f"{wording.sentence(demonstrations)}"
    )
    subtitle = f"{versus}, mean over items; framed: p < 0.05 corrected over heads"
    return theme.finish(figure, f"Difference of the {measure} by head", subtitle, caption)
