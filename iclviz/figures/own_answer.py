"""Whether attention to the demonstrations' answers foretells the model's own answer."""

from collections.abc import Mapping

import plotly.graph_objects as go

from iclviz.analysis.own_answer import CHANCE, OwnAnswer
from iclviz.figures import theme, wording
from iclviz.figures.layers import layer_axis, line_with_band
from iclviz.figures.registry import named


@named("own-answer")
def own_answer_by_block(conditions: Mapping[str, OwnAnswer], *, demonstrations: str = "") -> go.Figure:
    """AUROC of attention to an answer for the model's giving it, block by block.

    Parameters
    ----------
    conditions: label -> its AUROC, A first; demonstrations: what the statement is limited to.
    """
    figure = go.Figure()
    for (label, found), colour in zip(conditions.items(), theme.SERIES, strict=False):
        figure.add_traces(line_with_band(found, found.estimate, label, colour, "AUROC", first=1))
    figure.add_hline(y=CHANCE, line={"color": theme.CHANCE, "width": theme.THIN, "dash": "dash"})
    layer_axis(figure, 1)
    figure.update_yaxes(title="AUROC", range=[0, 1.03])
    units = wording.each(conditions, lambda one: f"{one.n_items} items in {wording.groups(one.n_units)}")
    answers = wording.each(conditions, lambda one: ", ".join(one.answers))
    caption = (
        "How well attention from the last prompt token to the demonstrations that have an answer tells whether the "
        f"model gives it, for the answers {answers}, of {units}; 0.5 is chance. Attention that goes where an answer is "
        f"read need not be what it comes from.{wording.sentence(demonstrations)}"
    )
    details = (
        "Of all pairs of an item that is answered so and one that is answered otherwise, the share in which the first "
        "attends more; summed over heads, mean over answers. Bands are 95 % intervals from resampling groups of items."
    )
    return theme.finish(
        figure, "Does attention to the answers foretell the model’s own", "AUROC, 95 % interval", caption,
        details=details, hovermode="x unified", showlegend=True,
    )  # fmt: skip
