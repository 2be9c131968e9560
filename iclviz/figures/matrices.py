"""Matrices of layers or classes: second-order similarity, transfer between layers, confusions of a probe."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from iclviz.figures import theme, wording
from iclviz.figures.registry import named
from iclviz.recording import Array

_SIZE = 480


def _heatmap(matrix: Array, x: Sequence[object], y: Sequence[object], value: str, **colours: object) -> go.Figure:
    return go.Figure(
        go.Heatmap(
            x=list(x),
            y=list(y),
            z=matrix,
            name=value,
            meta={"columns": [value]},
            colorbar={"title": {"text": value, "side": "right"}, "thickness": 12},
            hovertemplate=f"%{{y}}, %{{x}}: %{{z:.3~g}}<extra>{value}</extra>",
            **colours,
        )
    )


def _layers(figure: go.Figure, across: str, down: str) -> None:
    figure.update_xaxes(title=across, tickformat="d", showgrid=False)
    figure.update_yaxes(title=down, tickformat="d", showgrid=False)


@named("second-order")
def second_order(
    matrix: Array, *, measure: str, across: str = "Layer", down: str = "Layer", demonstrations: str = ""
) -> go.Figure:
    """How alike each layer of one side arranges the items to each layer of another.

    Parameters
    ----------
    matrix: (K, J) similarities, rows of the one side.
    measure: "Spearman's rho of RSMs" or "debiased CKA".
    across, down: titles of the axes.
    demonstrations: what the statement is limited to.
    """
    most = float(np.nanmax(np.abs(matrix))) if np.isfinite(matrix).any() else 1.0
    scale = {"colorscale": list(theme.DIVERGING), "zmin": -most, "zmax": most, "zmid": 0}
    figure = _heatmap(matrix, range(matrix.shape[1]), range(matrix.shape[0]), measure, **scale)
    _layers(figure, across, down)
    caption = (
        f"{measure} of every pair of layers, over the same items. A block of strong colour is a run of layers that "
        f"arrange the items alike; where both sides are the same run the diagonal is 1."
        f"{wording.sentence(demonstrations)}"
    )
    return theme.finish(figure, "Second-order similarity of layers", measure, caption, height=_SIZE)


@named("layer-transfer")
def layer_transfer(matrix: Array, *, label: str, measure: str, chance: float, demonstrations: str = "") -> go.Figure:
    """How well a probe of one layer reads a label from another.

    Parameters
    ----------
    matrix: (L + 1, L + 1) scores, rows the layer of training.
    label: the label's title; measure: what the score is; chance: the scale's middle.
    demonstrations: what the statement is limited to.
    """
    most = float(np.nanmax(np.abs(matrix - chance))) if np.isfinite(matrix).any() else 1.0
    scale = {"colorscale": list(theme.DIVERGING), "zmin": chance - most, "zmax": chance + most, "zmid": chance}
    figure = _heatmap(matrix, range(matrix.shape[1]), range(matrix.shape[0]), measure, **scale)
    _layers(figure, "Layer of the test", "Layer of the training")
    caption = (
        f"{measure} of a probe of “{label}” that was trained on one layer and tested on another, on held-out groups; "
        f"the diagonal is the probe of each layer. The scale's middle is chance ({chance:.2f})."
        f"{wording.sentence(demonstrations)}"
    )
    details = "Each layer is centred on its own training items, so what transfers is the label's direction."
    title = f"Transfer of the probe of “{label}” between layers"
    return theme.finish(figure, title, measure, caption, details=details, height=_SIZE)


@named("confusion")
def confusion(
    matrix: Array, classes: Sequence[str], *, label: str, layer: int, condition: str = "", demonstrations: str = ""
) -> go.Figure:
    """Which class a probe names for held-out items of each class.

    Parameters
    ----------
    matrix: (C, C) counts, rows the true class.
    classes: C names.
    label: the label's title; layer: which layer's probe it is; condition: whose, in a few words.
    demonstrations: what the statement is limited to.
    """
    rows = matrix.sum(axis=1, keepdims=True)
    share = np.divide(matrix, rows, out=np.full(matrix.shape, np.nan), where=rows > 0)
    names = [str(name) for name in classes]
    figure = _heatmap(share, names, names, "Share of the class", colorscale=theme.SEQUENTIAL, zmin=0, zmax=1)
    figure.update_xaxes(title="Named class", type="category", showgrid=False)
    figure.update_yaxes(title="True class", type="category", autorange="reversed", showgrid=False)
    whose = f" of {condition}" if condition else ""
    caption = (
        f"Which class of “{label}” the probe of layer {layer} names for held-out items{whose}, as shares of each true "
        f"class ({int(matrix.sum())} items). The diagonal is right; a bright column is a class that is named too often."
        f"{wording.sentence(demonstrations)}"
    )
    return theme.finish(figure, f"Confusions of the probe of “{label}”", f"Layer {layer}{whose}", caption, height=_SIZE)
