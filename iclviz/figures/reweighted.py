"""Re-weighting: the factors that were learned for each head, and what they do to the answer."""

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from iclviz.analysis.reweighted import Reweighted
from iclviz.figures import theme, wording
from iclviz.figures.registry import named
from iclviz.natural_units import plain, signed


@named("re-weighting")
def reweighting(conditions: Mapping[str, Reweighted], *, blind: str, demonstrations: str = "") -> go.Figure:
    """The factor of every head, a map for each condition.

    Parameters
    ----------
    conditions: label -> what was learned, A first.
    blind: what cannot be seen so; demonstrations: what the statement is limited to.
    """
    n = len(conditions)
    titles = [f"{label}: {gain_in_words(one)}" for label, one in conditions.items()]
    figure = make_subplots(n, 1, subplot_titles=titles, vertical_spacing=0.3 / n)
    most = max(float(np.abs(np.log(one.factor)).max(initial=0.0)) for one in conditions.values()) or 1.0
    for row, (label, found) in enumerate(conditions.items(), start=1):
        figure.add_trace(_cells(found, label, most, n), row=row, col=1)
    figure.update_xaxes(title="Block (number)", showgrid=False, tickformat="d")
    figure.update_yaxes(title="Head", showgrid=False, tickformat="d")
    units = wording.each(conditions, lambda one: f"{one.n_items} items in {wording.groups(one.n_units)}")
    caption = (
        "What attention from the last prompt token to the demonstrations’ answers is multiplied by, for each head, as "
        f"learned on one half of the groups; the gain is judged on the other half, of {units}. {blind}"
        f"{wording.sentence(demonstrations)}"
    )
    details = (
        "A weight A becomes exp(b) A, not renormalised; b is learned by Adam on the right answer’s loss. Shown is the "
        "geometric mean of both halves’ factors, and how far their ranks agree. The gain at random is of factors "
        "learned the same way for as many random tokens."
    )
    return theme.finish(
        figure, "Heads that should attend more to the answers", "Learned factor of attention to the answers", caption,
        details=details, height=240 * n + 130, showlegend=False,
    )  # fmt: skip


def gain_in_words(found: Reweighted) -> str:
    """The gain, beside that at random."""
    gain, low, high = (signed(float(one[0])) for one in (found.estimate, found.low, found.high))
    return (
        f"{gain} nats ({low} to {high}), at random {signed(float(found.estimate[1]))}; both halves’ factors "
        f"agree to {plain(round(found.agreement, 2))}"
    )


def _cells(found: Reweighted, label: str, most: float, n: int) -> go.Heatmap:
    n_blocks, n_heads = found.factor.shape
    bar = {"title": {"text": "Factor"}, "tickvals": [-most, 0, most], "len": 1 / n, "y": 1.0, "yanchor": "top"}
    return go.Heatmap(
        x=list(range(1, n_blocks + 1)),
        y=list(range(n_heads)),
        z=np.log(found.factor.T),
        customdata=found.factor.T[..., None],
        name=label,
        colorscale=list(theme.DIVERGING),
        zmin=-most,
        zmax=most,
        colorbar=bar | {"ticktext": [f"{np.exp(one):.3g}" for one in (-most, 0, most)]},
        showscale=True,
        meta={"columns": ["log of the factor", "factor"], "panel": label},
        hovertemplate="block %{x}, head %{y}: × %{customdata[0]:.3~g}<extra></extra>",
    )
