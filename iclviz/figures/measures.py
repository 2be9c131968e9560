"""A measure by layer that has no figure of its own: lines with their intervals, and what there is without it."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from iclviz.analysis.measure import ByLayer
from iclviz.analysis.results import Estimates
from iclviz.analysis.right_and_wrong import RightAgainstWrong
from iclviz.analysis.wording import capital
from iclviz.figures import layers, theme, wording
from iclviz.figures.registry import named


@named("measure-by-layer")
def measure_by_layer(
    conditions: Mapping[str, ByLayer],
    *,
    measure: str,
    value: str,
    about: str,
    first: int = 0,
    name: str = "measure-by-layer",
    demonstrations: str = "",
) -> go.Figure:
    """A measure of conditions in each layer.

    Parameters
    ----------
    conditions: label -> the measure by layer, A first.
    measure: what is measured, inside a sentence; value: the axis's title; about: what it says, for the details.
    first: the number of the first layer, 1 for blocks; name: what its files are called.
    demonstrations: what the statement is limited to, such as "for this demonstration set only (seed 0)".
    """
    figure = go.Figure()
    tested = any(np.isfinite(result.p).any() for result in conditions.values())
    for label, result, colour in theme.coloured(conditions):
        shown = result if tested else Estimates(result.estimate, result.low, result.high)  # open marks are tested ones
        figure.add_traces(layers.line_with_band(shown, result.estimate, label, colour, value, first=first))
        if np.isfinite(result.reference).any():
            figure.add_scatter(
                x=np.arange(first, first + len(result.reference)),
                y=result.reference,
                name=f"Reference, {label}",
                legendgroup=label,
                showlegend=False,
                mode="lines",
                line={"color": colour, "width": theme.THIN, "dash": "dash"},
                hovertemplate=f"{value} %{{y:.3~g}}",
            )
    layers.layer_axis(figure, first)
    figure.update_yaxes(title=value, zeroline=True)
    unit = layers.unit(first)
    read = (
        f"Filled marks stand out from the thin broken lines at p < 0.05, corrected over {unit}s."
        if tested
        else "Nothing is tested here. To see whether two conditions differ, open “B minus A”."
    )
    caption = f"{capital(measure)}, by {unit}, with 95 % intervals. {read}{wording.sentence(demonstrations)}"
    details = (
        f"{about} Intervals, of the kind that the methods paragraph names, rest on "
        f"{wording.each(conditions, _resampled)}."
        f"{wording.without_values(conditions)}"
    )
    finished = theme.finish(
        figure,
        f"{capital(measure)} by {unit}",
        "95 % interval" + (f"; filled: p < 0.05 corrected over {unit}s" if tested else ""),
        caption,
        details=details,
        hovermode="x unified",
        showlegend=True,
    )
    finished.layout.meta = {**finished.layout.meta, "name": name}
    return finished


def _resampled(result: ByLayer) -> str:
    return wording.groups(result.n_units)


@named("right-against-wrong")
def right_against_wrong(
    conditions: Mapping[str, RightAgainstWrong], *, measure: str, first: int = 0, demonstrations: str = ""
) -> go.Figure:
    """How well a measure tells items that were answered rightly from the others, in each layer.

    Parameters
    ----------
    conditions: label -> the area under the ROC curve, A first.
    measure: what is measured, inside a sentence; first: the number of the first layer, 1 for blocks.
    demonstrations: what the statement is limited to.
    """
    figure = go.Figure()
    for label, result, colour in theme.coloured(conditions):
        figure.add_traces(layers.line_with_band(result, result.estimate, label, colour, "AUROC", first=first))
    figure.add_hline(y=0.5, line={"color": theme.CHANCE, "width": theme.THIN, "dash": "dash"})
    layers.layer_axis(figure, first)
    figure.update_yaxes(title="Right against wrong (AUROC)", range=[-0.02, 1.02])
    unit = layers.unit(first)
    counts = wording.each(conditions, lambda one: f"{one.n_right} right and {one.n_wrong} wrong")
    caption = (
        f"Probability that an item that was answered rightly has a larger {measure} than one that was not, by {unit}, "
        f"for {counts} items. A measure that knows nothing of it has 0.5 (broken line); this is "
        f"exploratory and no test.{wording.sentence(demonstrations)}"
    )
    details = (
        "What the design's factors, such as the place of the text, explain of the ranks is taken out first. "
        f"Intervals (95 %) are from resampling {wording.each(conditions, lambda one: wording.groups(one.n_units))}."
    )
    return theme.finish(
        figure,
        f"Right against wrong answers: {measure}",
        "Area under the ROC curve, 95 % interval",
        caption,
        details=details,
        hovermode="x unified",
        showlegend=True,
    )
