"""Probing: how well a label is read from each layer."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from iclviz.analysis.probing import Probe, Transfer
from iclviz.figures import layers, theme, wording
from iclviz.figures.registry import named
from iclviz.recording import Array

SCORE_NAMES = {
    "balanced accuracy": "Held-out balanced accuracy",
    "R2": "Held-out R² (share of variance)",
}
_RULES = {
    "balanced accuracy": " Balanced accuracy is the mean over classes of the share of items read rightly; the probe "
    "names the class whose score rises most above what its share of the training items alone gives it.",
    "R2": " R² is against the mean of the training items.",
}
_INTERVALS = {
    "balanced accuracy": "Wilson's, on the number of independent held-out items in {groups}",
    "R2": "the jackknife's, leaving out each of {groups}",
}
_CHANCE_DASHES = ("dash", "dot")
_PERMUTED = {
    "items": "between items",
    "groups": "between groups",
    "items within groups": "within groups",
    "units within groups": "of units within groups",
    "items within units": "within units",
}


@named("probe-by-layer")
def probe_by_layer(conditions: Mapping[str, Probe], *, label: str, demonstrations: str = "") -> go.Figure:
    """The held-out score of each layer's probe, with chance.

    Parameters
    ----------
    conditions: label of the condition -> its probe, A first.
    label: the probed label's title.
    demonstrations: what the statement is limited to, such as "for this demonstration set only (seed 0)".
    """
    measure = next(iter(conditions.values())).measure
    figure = go.Figure()
    for turn, (name, result, colour) in enumerate(theme.coloured(conditions)):
        figure.add_traces(layers.line_with_band(result, result.score, name, colour, measure, _beside(result)))
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
            hovertemplate=f"{measure} %{{y:.3~g}}",
        )
    layers.layer_axis(figure)
    figure.update_yaxes(title=SCORE_NAMES[measure])
    groups = wording.each(conditions, lambda result: wording.groups(result.n_units))
    permuted = wording.each(conditions, lambda result: _PERMUTED.get(result.unit, "not at all"))
    caption = (
        f"How well a linear probe reads “{label}” from each layer's embeddings of items whose group it has not seen, "
        "with 95 % intervals. Broken lines (chance) and filled marks (p < 0.05, corrected over layers) are those of a "
        f"least-squares probe.{wording.sentence(demonstrations)}"
    )
    details = (
        f"{_RULES[measure]} Bands are 95 % intervals ({_INTERVALS[measure].format(groups=groups)}): they are about the "
        "held-out items alone and are no test against chance. Broken lines (chance) and filled marks (p < 0.05, "
        "one-sided, corrected over layers) are those of a least-squares probe of fixed strength on the same folds, its "
        f"labels permuted {permuted}; its own score stands in the figure's data. A score below chance can arise in "
        "crossed designs, where holding out a group leaves another factor unequally represented: it is not less "
        f"information.{wording.without_values(conditions)}"
    )
    return theme.finish(
        figure,
        f"Probe of “{label}” by layer",
        layers.subtitle(conditions),
        caption,
        details=details,
        hovermode="x unified",
        showlegend=True,
    )


@named("selectivity-by-layer")
def selectivity_by_layer(conditions: Mapping[str, Probe], *, label: str, demonstrations: str = "") -> go.Figure:
    """What the probe reads of a label beyond which type of item it has before it.

    Parameters
    ----------
    conditions: label of the condition -> its probe, A first.
    label: the probed label's title.
    demonstrations: what the statement is limited to.
    """
    figure = go.Figure()
    for name, result, colour in theme.coloured(conditions):
        layers_axis = np.arange(len(result.selectivity))
        for values, what, dash in (
            (result.selectivity, "Selectivity", "solid"),
            (result.control_score, "Control task", "dot"),
        ):
            figure.add_scatter(
                x=layers_axis,
                y=values,
                name=f"{what}, {name}",
                mode="lines+markers" if dash == "solid" else "lines",
                line={"color": colour, "width": theme.LINE_WIDTH, "dash": dash},
                marker={"size": theme.MARKER_SIZE},
                hovertemplate=f"{what.lower()} %{{y:.3~g}}",
            )
    layers.layer_axis(figure)
    figure.update_yaxes(title="Score, and what is beyond the control", zeroline=True)
    caption = (
        f"Selectivity of the probe of “{label}” by layer: its score less that of control tasks (dotted) whose labels "
        "are random for each type of item, both on folds that spread the items of a type. Near zero the probe may only "
        f"recognise types; it describes and is no test (Hewitt and Liang 2019).{wording.sentence(demonstrations)}"
    )
    return theme.finish(
        figure, f"Selectivity of the probe of “{label}”", "Score minus control task", caption,
        hovermode="x unified", showlegend=True,
    )  # fmt: skip


@named("probe-by-parameter")
def probe_by_parameter(
    conditions: Mapping[str, Mapping[str, Probe]], *, label: str, parameter: str, layer: int, demonstrations: str = ""
) -> go.Figure:
    """How the score of one layer's probe depends on a parameter of the probe.

    Parameters
    ----------
    conditions: label of the condition -> (the parameter's value as text -> its probe), A first.
    label: the probed label's title; parameter: the parameter's name; layer: the layer.
    demonstrations: what the statement is limited to.
    """
    measure = next(iter(next(iter(conditions.values())).values())).measure
    figure = go.Figure()
    for name, probes, colour in theme.coloured(conditions):
        score, low, high, chance = (
            np.array([getattr(one, part)[layer] for one in probes.values()])
            for part in ("score", "low", "high", "chance")
        )
        figure.add_scatter(
            x=list(probes),
            y=score,
            name=name,
            mode="lines+markers",
            line={"color": colour, "width": theme.LINE_WIDTH},
            marker={"size": theme.MARKER_SIZE},
            error_y={"array": high - score, "arrayminus": score - low, "thickness": theme.LINE_WIDTH, "width": 5},
            customdata=np.column_stack([low, high, chance]),
            meta={"columns": ["low", "high", "chance"]},
            hovertemplate=f"{measure} %{{y:.3~g}} (95 % interval %{{customdata[0]:.3~g}} to %{{customdata[1]:.3~g}}), "
            "chance %{customdata[2]:.3~g}",
        )
    figure.update_xaxes(title=parameter, type="category")
    figure.update_yaxes(title=SCORE_NAMES[measure])
    caption = (
        f"{SCORE_NAMES[measure]} of the probe of “{label}” at layer {layer} by {parameter.lower()}, everything else as "
        "chosen above, with 95 % intervals. Do not trust a result that one setting alone shows; if you choose "
        f"the best setting here, report its score on other items.{wording.sentence(demonstrations)}"
    )
    return theme.finish(
        figure, f"Probe of “{label}” by {parameter.lower()}", f"Layer {layer}, 95 % interval", caption,
        hovermode="x unified", showlegend=True,
    )  # fmt: skip


@named("transfer-by-layer")
def transfer_by_layer(conditions: Mapping[str, Transfer], *, label: str, demonstrations: str = "") -> go.Figure:
    """How well probes of one condition read a label from the same layers of another.

    Parameters
    ----------
    conditions: what was trained and tested -> the transfer.
    label: the probed label's title.
    demonstrations: what the statement is limited to.
    """
    measure = next(iter(conditions.values())).measure
    figure = go.Figure()
    for name, result, colour in theme.of_both(conditions):
        figure.add_traces(layers.line_with_band(result, result.score, name, colour, measure))
    layers.layer_axis(figure)
    figure.update_yaxes(title=SCORE_NAMES[measure])
    groups = wording.each(conditions, lambda result: wording.groups(result.n_units))
    caption = (
        f"{SCORE_NAMES[measure]} of a probe of “{label}” that was trained on one condition and tested on the other, on "
        f"groups that it has not seen, with 95 % intervals ({_INTERVALS[measure].format(groups=groups)}). Each "
        "condition is centred on its own training items: what transfers is the label's direction, not where the items "
        f"lie.{wording.sentence(demonstrations)}"
    )
    return theme.finish(
        figure, f"Transfer of the probe of “{label}”", "Trained on one condition, tested on the other", caption,
        hovermode="x unified", showlegend=True,
    )  # fmt: skip


def _beside(result: Probe) -> dict[str, Array]:
    beside = {"least-squares probe": result.least_squares}
    return beside if result.accuracy is None else {**beside, "plain accuracy": result.accuracy}
