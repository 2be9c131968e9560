"""Measures by layer on pages: which of them a page shows, and what every one of them has: its figure, its change from A
to B, and what it is in items that were answered rightly.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import streamlit as st

from iclviz import analysis
from iclviz.analysis.measure import Measure, Measuring
from iclviz.analysis.measures import all_measures
from iclviz.analysis.wording import capital
from iclviz.recording import Recording
from iclviz.reporting.missing import layer_causes, merged
from iclviz.reporting.recipes import Recipe, by_layer, by_layer_over_seeds, by_name, change_by_layer
from iclviz.reporting.scope import seeds_scope
from iclviz.tasks import Task
from iclviz.ui import options
from iclviz.ui.compared import compared, runs_over_seeds, seeds_button
from iclviz.ui.figure import show_recipe
from iclviz.ui.missing import show_missing
from iclviz.ui.page_state import keep_known, page_state
from iclviz.ui.plain_text import as_text


def of_page(page: str, recording: Recording, measuring: Measuring) -> dict[str, Measure]:
    """The measures that a page shows and of which a recording may have a value, by name."""
    found = {name: one for name, one in all_measures().items() if one.page == page}
    return {name: one for name, one in found.items() if not one.absent(recording, measuring)}


def chosen(page: str, recording: Recording, measuring: Measuring) -> Measure | None:
    """The measure that a page shows now; None where no measure has a value."""
    found = of_page(page, recording, measuring)
    if not found:
        return None
    keep_known("shown", found, next(iter(found)))
    return found[page_state()["shown"]]


def show_picker(
    page: str, recording: Recording, measuring: Measuring, controls: options.Controls | None = None
) -> None:
    """The control that chooses the measure, where a page has several; folded where controls are given."""
    found = of_page(page, recording, measuring)
    if len(found) < 2:
        return
    titles, first = {name: capital(one.title) for name, one in found.items()}, next(iter(found))
    if controls:
        controls.select("shown", "Measure", list(titles), titles, first)
    else:
        options.pick("shown", "Measure", titles, first)


@dataclass(frozen=True)
class Shown:
    """A measure of some conditions, label -> recording, as a page shows it."""

    measure: Measure
    conditions: Mapping[str, Recording]
    measuring: Measuring
    the_task: Task
    demonstrations: str

    @property
    def first(self) -> Recording:
        """The recording that says what the items are."""
        return next(iter(self.conditions.values()))

    @property
    def runs(self) -> dict[str, list[Recording]]:
        """The runs of each condition: that of the chosen demonstration seed, or of all that the conditions have."""
        if page_state()["all_seeds"]:
            return runs_over_seeds(self.conditions)
        return {label: [one] for label, one in self.conditions.items()}

    @cached_property
    def asked(self) -> tuple[Recipe, dict[str, Recording]]:
        """Its figure by layer, and the runs by the names that it asks of them."""
        runs = self.runs
        n_seeds = max(map(len, runs.values()))
        if n_seeds == 1:
            return by_layer(self.measure, self.conditions, self.measuring, self.the_task, self.demonstrations), dict(
                self.conditions
            )
        return by_layer_over_seeds(self.measure, runs, self.measuring, self.the_task, seeds_scope(n_seeds)), by_name(
            runs
        )


def show_by_layer(view: Shown) -> dict[str, Any]:
    """The measure by layer with what has to be said of it, to copy; the results by label."""
    recipe, runs = view.asked
    found = show_recipe(recipe, runs)
    for note in view.measure.notes(list(found.values()), view.first, view.measuring, view.the_task.titles):
        st.info(as_text(note))
    results = recipe.results(found)
    show_missing(
        merged({label: layer_causes(getattr(one, "missing", {}), view.measure.unit) for label, one in results.items()})
    )
    return found


def show_change(view: Shown) -> None:
    """B minus A of the measure, over all demonstration seeds that both have."""
    pair = compared(dict(view.conditions))
    if pair is None:
        return
    recipe = change_by_layer(
        view.measure, pair.labels, pair.comparison.first, view.measuring, view.the_task, demonstrations=pair.scope
    )
    show_recipe(recipe, pair.runs)
    seeds_button(pair)


def show_right_and_wrong(view: Shown) -> None:
    """How well the measure of an item tells items that were answered rightly from the others."""
    show_recipe(
        Recipe(
            analysis.right_against_wrong,
            {label: (label,) for label in view.conditions},
            "right_against_wrong",
            {"measure": view.measure.name, "measuring": view.measuring},
            {
                "measure": view.measure.subject(view.first, view.measuring, view.the_task.titles),
                "first": view.measure.first_layer,
                "demonstrations": view.demonstrations,
            },
        ),
        view.conditions,
    )


SECTIONS: Mapping[str, Callable[[Shown], None]] = {
    "B minus A": show_change,
    "Right against wrong": show_right_and_wrong,
}
"""What pages offer to look at further of any measure."""
