"""Competence: whether the answer follows its label, and stays when another one is moved."""

from collections.abc import Mapping

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from iclviz.analysis.competence import SCORES, Competence
from iclviz.figures import theme, wording
from iclviz.figures.bands import banded_line, look
from iclviz.figures.registry import named
from iclviz.natural_units import plain


@named("competence")
def competence_by_block(conditions: Mapping[str, Competence], *, blind: str, demonstrations: str = "") -> go.Figure:
    """How far the answer moves with its label, stays with the control, and the mean of both, in each block.

    Parameters
    ----------
    conditions: label -> its competence, A first.
    blind: what cannot be seen so; demonstrations: what the statement is limited to.
    """
    n = len(conditions)
    titles = [f"{label}: {_in_words(one)}" for label, one in conditions.items()]
    figure = make_subplots(n, 1, subplot_titles=titles, vertical_spacing=0.36 / n)
    for row, (label, found) in enumerate(conditions.items(), start=1):
        names = titles_of(found)
        for place in range(len(SCORES)):
            for trace in banded_line(
                found,
                place,
                found.blocks,
                names[place],
                look(place),
                panel=label,
                unit=" %",
                times=100,
                where="block %{x}: ",
                control=found.random[place],
                control_name="at random",
            ):
                trace.update(legendgroup=str(place), showlegend=trace.showlegend is not False and row == 1)
                figure.add_trace(trace, row=row, col=1)
    figure.update_yaxes(title="As the task says (%)", range=[-3, 103])
    figure.update_xaxes(title="Block (number)", showgrid=False, tickformat="d")
    units = wording.each(conditions, lambda one: f"{one.n_items} items in {wording.groups(one.n_units)}")
    first = next(iter(conditions.values()))
    caption = (
        f"How far the output over the candidates is what the task says when {first.label} is moved to another "
        f"candidate’s class in the states of a block, when {first.control}, a control, is moved, and the mean of both, "
        f"competence, of {units}; thin broken lines: moved as far at random. {blind}{wording.sentence(demonstrations)}"
    )
    details = (
        "Each is 1 less the total variation distance from what the task says, averaged within classes and then over "
        "them; a model that ignores both, or follows both, has a competence of 50 %. Bands are 95 % intervals from "
        "resampling groups of items. The block that is named was chosen on one half of the groups and judged on the "
        "other."
    )
    return theme.finish(
        figure, "Does the answer follow its label", "1 less total variation distance, 95 % interval", caption,
        details=details, height=300 * n + 120, legend_rows=2, showlegend=True,
    )  # fmt: skip


def titles_of(found: Competence) -> tuple[str, str, str]:
    """What each of the scores is called."""
    return (
        f"Answer follows when {found.label} is moved",
        f"Answer stays when {found.control} is moved",
        "Competence, the mean of both",
    )


def _in_words(found: Competence) -> str:
    estimate, low, high = (100 * one for one in found.of_chosen)
    if estimate != estimate:  # NaN
        return "too few groups to choose a block on some and judge it on others"
    return (
        f"competence {plain(round(estimate))} % ({plain(round(low))} to {plain(round(high))}) in block {found.chosen}"
    )
