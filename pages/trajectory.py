"""What the model would answer at each layer: A against B, right against wrong items, over candidates, on one item."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import streamlit as st

from iclviz import analysis
from iclviz.analysis.behaviour import PREFERRED, RIGHT
from iclviz.analysis.trajectory import QUANTITIES, TRAJECTORY, usual_quantity
from iclviz.analysis.wording import capital
from iclviz.figures.trajectory import TITLES
from iclviz.recording import Recording
from iclviz.reporting.recipes import Recipe, trajectory_by_layer
from iclviz.reporting.scope import demonstration_scope
from iclviz.tasks import Task, task
from iclviz.ui import options
from iclviz.ui.answering import slot
from iclviz.ui.compared import compared, look_further, seeds_button
from iclviz.ui.conditions import recorded
from iclviz.ui.controls import show_item_control
from iclviz.ui.figure import show_recipe
from iclviz.ui.kept import that_keep
from iclviz.ui.plain_text import as_text

PAGE = {
    "title": "Trajectory",
    "icon": "conversion_path",
    "section": "inside",
    "order": 4,
    "question": "At which layer is the answer there?",
    "invitation": "When it is decided",
    "fields": {"quantity": "", "outcome": "", "item": (0, 0, 4096), "section": ""},
}


@dataclass(frozen=True)
class View:
    """What the page shows: the conditions that keep a trajectory, label -> recording, and the quantity."""

    pairs: Mapping[str, Recording]
    the_task: Task
    quantity: str

    @property
    def limits(self) -> dict[str, str]:
        """What statements are limited to."""
        return {"demonstrations": demonstration_scope(self.pairs.values())}

    @property
    def recipe(self) -> Recipe:
        """The quantity by layer."""
        return trajectory_by_layer(self.pairs, self.quantity, demonstration_scope(self.pairs.values()))


def change(view: View) -> None:
    """B minus A of the quantity, over all demonstration seeds that both have and that keep a trajectory."""
    both = compared(dict(view.pairs))
    if both is None:
        return
    drawn = {"measure": capital(TITLES[view.quantity]).partition(" (")[0].lower(), "demonstrations": both.scope}
    asked, arguments = {"B − A": tuple(both.labels)}, {"quantity": view.quantity}
    show_recipe(Recipe(analysis.trajectory_change, asked, "change_by_layer", arguments, drawn), both.runs)
    seeds_button(both)


def right_and_wrong(view: View) -> None:
    """The quantity over right against wrong items."""
    first = next(iter(view.pairs.values()))
    scores = [name for name in (PREFERRED, RIGHT) if name in first.scores]
    if not scores:
        st.info("The answers of this task are not simply right or wrong.")
        return
    score = options.select("outcome", "Right by", scores, view.the_task.titles)
    arguments = {"quantity": view.quantity, "score": score}
    for tab, label in zip(st.tabs(list(map(as_text, view.pairs))), view.pairs, strict=True):
        with tab, slot():
            asked, drawn = {label: (label,)}, {"score": view.the_task.titles[score], **view.limits}
            recipe = Recipe(analysis.trajectory_by_outcome, asked, "trajectory_right_wrong", arguments, drawn)
            show_recipe(recipe, view.pairs, name=label)


def over_candidates(view: View) -> None:
    """Every candidate's log-probability."""
    for tab, label in zip(st.tabs(list(map(as_text, view.pairs))), view.pairs, strict=True):
        with tab, slot():
            drawn = {"condition": label, **view.limits}
            asked = {label: (label,)}
            recipe = Recipe(
                analysis.trajectory_over_candidates, asked, "trajectory_over_candidates", {}, drawn, alone=True
            )
            show_recipe(recipe, view.pairs, name=label)


@st.fragment
def one_item(view: View) -> None:
    """The candidates of one item."""
    first = next(iter(view.pairs.values()))
    item = first.item_ids[show_item_control(first.n_items)]
    for column, (label, one) in zip(st.columns(len(view.pairs)), view.pairs.items(), strict=True):
        with column, slot():
            if item not in one.item_ids:
                st.info(f"{as_text(label)} has no item {as_text(item)}.")
                continue
            arguments, drawn = {"item": list(one.item_ids).index(item)}, {"condition": label, **view.limits}
            asked = {label: (label,)}
            recipe = Recipe(analysis.trajectory_of_item, asked, "trajectory_of_item", arguments, drawn, alone=True)
            show_recipe(recipe, view.pairs, name=label)


SECTIONS: dict[str, Callable[[View], None]] = {
    "B minus A": change,
    "Right against wrong": right_and_wrong,
    "Over candidates": over_candidates,
    "One item": one_item,
}

pairs = that_keep(recorded(), TRAJECTORY, "what the model would answer at each layer", "the trajectory")
if pairs:
    the_task = task(next(iter(pairs.values())).spec.task)
    controls = options.Controls()
    usual = usual_quantity(list(pairs.values()))
    quantity = controls.select("quantity", "Quantity", list(QUANTITIES), TITLES, usual, is_main=True)
    view = View(pairs, the_task, quantity)
    with slot():
        show_recipe(view.recipe, pairs)
    look_further(SECTIONS, view)
