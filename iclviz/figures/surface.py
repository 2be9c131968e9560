"""Surface controls and the noise ceiling, by layer."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from iclviz.analysis.reliability import NoiseCeiling
from iclviz.analysis.surface import STEPS, SurfaceControl
from iclviz.figures import layers, theme, wording
from iclviz.figures.registry import named
from iclviz.recording import Array


def _line(values: Array, name: str, colour: str, dash: str) -> go.Scatter:
    return go.Scatter(
        x=np.arange(len(values)),
        y=values,
        name=name,
        mode="lines",
        line={"color": colour, "width": theme.LINE_WIDTH, "dash": dash},
        hovertemplate=f"{name} %{{y:.3~g}}",
    )


@named("surface-control")
def surface_control(control: SurfaceControl, *, hypothesis: str, condition: str, demonstrations: str = "") -> go.Figure:
    """The alignment of one condition, alone and with surface removed, beside each surface measure's correlation.

    Parameters
    ----------
    control: the result over layers.
    hypothesis: the hypothesis's title; condition: the condition's label.
    demonstrations: what the statement is limited to.
    """
    figure = go.Figure(
        [
            _line(control.raw, "Alignment", theme.SERIES[2], "solid"),
            _line(control.linear, "Linear surface removed", theme.SERIES[3], "solid"),
            _line(control.matched, "Pairs matched on surface", theme.SERIES[4], "solid"),
            *(
                _line(row, f"Layer with {name}", theme.CHANCE, dash)
                for row, name, dash in zip(
                    control.of_rsms, control.names, ("dash", "dot", "dashdot", "longdash", "longdashdot"), strict=False
                )
            ),
        ]
    )
    layers.layer_axis(figure)
    figure.update_yaxes(title="Correlation (Spearman's rho)", zeroline=True)
    surfaces = ", ".join(
        f"{name} {value:.2f}" for name, value in zip(control.names, control.of_hypothesis, strict=True)
    )
    surfaces = surfaces or "none that varies"
    caption = (
        f"Alignment of {condition} with “{hypothesis}” by layer, alone and with surface removed in two ways; grey "
        "lines are how each layer itself correlates with surface. This describes and is no test: what is left may "
        f"still be surface in another form.{wording.sentence(demonstrations)}"
    )
    details = (
        "Linear: the partial correlation once surface measures are removed as straight lines of ranks. Matched: within "
        f"{STEPS} steps of each surface measure. The hypothesis itself correlates with: {surfaces}."
    )
    return theme.finish(
        figure,
        f"Alignment with “{hypothesis}” beside surface",
        f"{condition}, correlation over pairs of items",
        caption,
        details=details,
        hovermode="x unified",
        showlegend=True,
    )


@named("noise-ceiling")
def noise_ceiling(conditions: Mapping[str, NoiseCeiling], *, demonstrations: str = "") -> go.Figure:
    """How much of the RSM is common to demonstration sets, by layer.

    Parameters
    ----------
    conditions: label -> its bounds over layers.
    demonstrations: what the statement is limited to.
    """
    figure = go.Figure()
    for label, ceiling, colour in theme.coloured(conditions):
        edge = {"x": np.arange(len(ceiling.lower)), "mode": "lines", "line": {"color": colour, "width": theme.THIN}}
        figure.add_scatter(y=ceiling.lower, name=f"Lower, {label}", hovertemplate="lower %{y:.3~g}", **edge)
        figure.add_scatter(
            y=ceiling.upper,
            name=f"Upper, {label}",
            hovertemplate="upper %{y:.3~g}",
            fill="tonexty",
            fillcolor=theme.translucent(colour),
            **edge,
        )
    layers.layer_axis(figure)
    figure.update_yaxes(title="Between seeds (Spearman's rho)", zeroline=True)
    seeds = wording.each(conditions, lambda one: f"{one.n_seeds} demonstration seeds")
    caption = (
        f"Correlation of each seed's similarity matrix with the mean of the others (lower) and of all (upper), over "
        f"{seeds}. Near 1 the arrangement of items hardly depends on which demonstrations are shown; no hypothesis "
        f"can be expected to align better than the upper line.{wording.sentence(demonstrations)}"
    )
    return theme.finish(
        figure,
        "What demonstration sets have in common",
        "Lower and upper noise ceiling over demonstration seeds",
        caption,
        hovermode="x unified",
        showlegend=True,
    )
