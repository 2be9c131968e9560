"""Representational similarity: the alignment of each layer with a hypothesis."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from iclviz.analysis.measures.alignment import METHODS
from iclviz.analysis.rsa import AlignmentTest
from iclviz.figures import layers, theme, wording
from iclviz.figures.registry import named

_PERMUTED = {
    "items": "single items",
    "groups": "whole groups",
    "blocks": "whole groups among those of equal size",
    "items within groups": "items within their groups",
    "units within groups": "units (copies of one thing) within their groups",
    "items within units": "items within their units",
}


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
                hovertemplate=f"{method} %{{y:.3~g}}",
            )
    layers.layer_axis(figure)
    figure.update_yaxes(title=f"Alignment ({method})", zeroline=True)
    permuted = any(np.isfinite(test.null_mean).any() for test in conditions.values())
    read = (
        "Compare with the thin broken lines, from permuted items, not with zero; filled marks stand out from them."
        if permuted
        else "Do not compare with zero: an alignment without meaning need not be zero."
    )
    caption = (
        f"Correlation ({method}) of each layer's similarity matrix with the hypothesis “{hypothesis}”, with 95 % "
        f"intervals. {read}{wording.sentence(demonstrations)}"
    )
    details = (
        f"Bands are 95 % bootstrap intervals from resampling {wording.each(conditions, _resampled)}; they are "
        f"conservative (wide).{_permutations(conditions)}{wording.without_values(conditions)}"
    )
    return theme.finish(
        figure,
        f"Alignment with “{hypothesis}” by layer",
        layers.subtitle(conditions),
        caption,
        details=details,
        hovermode="x unified",
        showlegend=True,
    )


def _resampled(test: AlignmentTest) -> str:
    return wording.groups(test.n_units)


def _permutations(conditions: Mapping[str, AlignmentTest]) -> str:
    """How to read what permutations give, as a further sentence; nothing where no condition has any."""
    permuted = {label: test for label, test in conditions.items() if np.isfinite(test.null_mean).any()}
    if not permuted:
        return ""
    return (
        " Thin broken lines are the mean alignment over permutations of "
        f"{wording.each(permuted, lambda test: _PERMUTED[test.unit])}; filled marks stand out from these at p < 0.05, "
        " one-sided, corrected over layers by the maximum statistic, and open marks do not."
    )
