"""Probing: how well a label is read from each layer."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from iclviz.analysis.probing import Probe
from iclviz.figures import layers, theme
from iclviz.figures.registry import named

MEASURES = {"accuracy": "Held-out accuracy (share of items)", "R2": "Held-out R² (share of variance)"}
_CHANCE_DASHES = ("dash", "dot")


@named("probe-by-layer")
def probe_by_layer(conditions: Mapping[str, Probe], *, label: str) -> go.Figure:
    """The held-out score of each layer's probe, with chance.

    Parameters
    ----------
    conditions: label of the condition -> its probe, A first.
    label: the probed label's title.
    """
    measure = next(iter(conditions.values())).measure
    figure = go.Figure()
    for turn, (name, result, colour) in enumerate(theme.coloured(conditions)):
        figure.add_traces(layers.line_with_band(result, result.score, name, colour, measure))
        figure.add_scatter(
            x=np.arange(len(result.chance)),
            y=result.chance,
            name=f"Chance, {name}",
            mode="lines",
            line={
                "color": theme.CHANCE,
                "width": theme.LINE_WIDTH,
                "dash": _CHANCE_DASHES[turn % len(_CHANCE_DASHES)],
            },
            hovertemplate=f"{measure} %{{y:.3f}}",
        )
    layers.layer_axis(figure)
    figure.update_yaxes(title=MEASURES[measure])
    caption = (
        f"How well a linear probe reads “{label}” from each layer's embeddings of items whose group it has not seen, "
        "with 95 % intervals from resampling groups. Broken lines are chance, from permuted labels; filled marks stand "
        "out at p < 0.05, one-sided, corrected over layers."
    )
    return theme.finish(
        figure,
        f"Probe of “{label}” by layer",
        layers.subtitle(conditions),
        caption,
        hovermode="x unified",
        showlegend=True,
    )
