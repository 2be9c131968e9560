"""Patches foretold by gradients, beside those that were made."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from iclviz.analysis.foretold import Foretold
from iclviz.figures import theme, wording
from iclviz.figures.bands import banded_line, look
from iclviz.figures.registry import named

TITLES = {"last": "Last prompt token", "query": "Query", "answer:*": "Demonstrations’ answers"}


@named("patches-foretold")
def patches_foretold(
    conditions: Mapping[str, Foretold], *, donor: str, blind: str, demonstrations: str = ""
) -> go.Figure:
    """What a gradient foretells of patching each place in each block, and true patches where they were made.

    Parameters
    ----------
    conditions: label -> what was foretold, A first.
    donor: the demonstrations whose states would be put in place, in words.
    blind: what cannot be seen so; demonstrations: what the statement is limited to.
    """
    n = len(conditions)
    titles = [f"{label}: {_agreement(one)}" for label, one in conditions.items()]
    figure = make_subplots(n, 1, subplot_titles=titles, vertical_spacing=0.36 / n)
    for row, (label, found) in enumerate(conditions.items(), start=1):
        for place in range(len(found.places)):
            for trace in _lines(found, place, label) if np.isfinite(found.estimate[place]).any() else ():
                trace.update(legendgroup=trace.name, showlegend=trace.showlegend is not False and row == 1)
                figure.add_trace(trace, row=row, col=1)
    figure.update_yaxes(title="Effect on the margin (nats)", zeroline=True)
    figure.update_xaxes(title="Block (number)", showgrid=False, tickformat="d", matches="x")
    units = wording.each(conditions, lambda one: f"{one.n_items} items in {wording.groups(one.n_units)}")
    caption = (
        f"What one gradient foretells of putting in place what the same item has with {donor}, of {units}; "
        "squares are true patches, where they were made, and the gradient may be trusted where both go together. "
        f"{blind}{wording.sentence(demonstrations)}"
    )
    details = (
        "Gradient of the margin between the candidates’ first tokens with respect to the state, times the difference "
        "of both states, summed over the place’s tokens. Agreement is the rank correlation over blocks of mean "
        "effects. Bands are 95 % intervals over groups of items."
    )
    return theme.finish(
        figure, "Patches foretold", "Mean effect by block, 95 % interval", caption, details=details,
        height=300 * n + 120, legend_rows=2, showlegend=True,
    )  # fmt: skip


def _agreement(found: Foretold) -> str:
    told = [
        f"{TITLES[name].lower()} {found.agreement[place]:.2f}"
        for place, name in enumerate(found.places)
        if np.isfinite(found.agreement[place])
    ]
    return f"agreement with true patches: {', '.join(told)}" if told else "no true patches beside it yet"


def _lines(found: Foretold, place: int, label: str) -> list[go.Scatter]:
    """What is foretold of a place as a line, and true patches as squares of its colour."""
    blocks, name = list(range(1, found.estimate.shape[1] + 1)), TITLES[found.places[place]]
    told = banded_line(found, place, blocks, name, look(place), panel=label, unit=" nats", where="block %{x}: ")
    if not np.isfinite(found.true[place]).any():
        return told
    true = go.Scatter(
        x=blocks,
        y=found.true[place],
        name=f"{name}, true patch",
        mode="markers",
        marker={"size": theme.MARKER_SIZE, "symbol": "square-open", "color": look(place)[0]},
        meta={"columns": [], "panel": label},
        hovertemplate=f"block %{{x}}: %{{y:.3~g}} nats<extra>{name}, true patch</extra>",
    )
    return [*told, true]
