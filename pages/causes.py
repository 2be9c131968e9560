"""What acting on the model does to its answers: maps of effects over heads, roles, blocks and demonstrations."""

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from iclviz.analysis.effect_maps import has_controls, known_outcomes, usual_outcome
from iclviz.errors import UserError
from iclviz.figures.effect_maps import EFFECT_TITLES
from iclviz.mapping import Grid, ready_maps
from iclviz.maps import EffectMap
from iclviz.recording import Recording
from iclviz.reporting.map_recipes import (
    chosen_sites,
    effects_by_site,
    effects_on_items,
    heads_that_attend,
    is_of_orders,
    map_grids,
    map_scope,
    map_sentence,
    order_alone,
    order_sentence,
    shares_that_come_back,
    with_other_runs,
)
from iclviz.reporting.trace_recipes import foretold_by, foretold_sentence, is_patch_of_states, patches_foretold
from iclviz.ui import options
from iclviz.ui.answering import answers, slot
from iclviz.ui.clickable import show_sites
from iclviz.ui.compared import look_further
from iclviz.ui.conditions import recorded
from iclviz.ui.copying import Copied
from iclviz.ui.figure import show_recipe
from iclviz.ui.mapped import maps_of, traces_of
from iclviz.ui.page_state import set_state, write_url
from iclviz.ui.plain_text import lines_as_text
from iclviz.ui.terms import with_terms

PAGE = {
    "title": "Causes",
    "icon": "bolt",
    "section": "why",
    "order": 1,
    "question": "What must the model do to answer as it does?",
    "invitation": "Act on the model",
    "fields": {
        "act": "heads",
        "act_options": "",
        "beyond": False,
        "effect": "",
        "row": "",
        "column": "",
        "section": "",
    },
}


@dataclass(frozen=True)
class View:
    """What the page shows: the conditions whose map is made, label -> recording, all of them, their maps, and how."""

    pairs: Mapping[str, Recording]
    every: Mapping[str, Recording]
    maps: Mapping[str, EffectMap]
    grids: Mapping[str, Grid]
    outcome: str
    beyond: bool

    @property
    def limits(self) -> str:
        """What statements are limited to."""
        return map_scope(self.maps, self.pairs)


def chosen_grids(controls: options.Controls) -> dict[str, Grid]:
    """The map that is chosen of each condition; none, with the reason, where there is no such."""
    ready = {typed: title for title, typed in ready_maps().items()}
    typed = controls.select("act", "What is done", list(ready), ready, "heads", is_main=True)
    more = controls.text("act_options", "Options", "As typed: rows=query, window=3, draws=5 … what each map has.")
    try:
        return map_grids(typed, more, pairs)
    except UserError as error:
        st.error(lines_as_text(str(error)))
        return {}


def on_items(view: View) -> None:
    """One site's effect on every item."""
    first = next(iter(view.maps.values()))
    names = next(iter(view.grids.values())).names()
    values = [{str(value): value for value in axis.values} for axis in first.axes]
    chosen = [
        options.select(field, axis.name.capitalize(), list(known), names)
        for field, axis, known in zip(("row", "column"), first.axes, values, strict=True)
    ]
    at = (values[0][chosen[0]], values[1][chosen[1]])
    recipe, runs = effects_on_items(view.maps, view.pairs, view.outcome, at, view.limits)
    show_recipe(recipe, runs)


def judged(view: View) -> None:
    """The strongest sites of one half of the groups, in the other half."""
    recipe, runs = chosen_sites(view.maps, view.pairs, view.outcome, view.beyond, view.limits)
    show_recipe(recipe, runs)


def attending(view: View) -> None:
    """Whether heads that attend to relevant text are heads that the answer needs."""
    recipe, runs = heads_that_attend(view.maps, view.pairs, view.limits)
    show_recipe(recipe, runs)


def shares(view: View) -> None:
    """How much of the difference between both conditions comes back."""
    shared = with_other_runs(view.maps, view.every)
    if not shared:
        st.info("This map puts nothing of the other condition in place. Choose one that does, such as states patched.")
        return
    recipe, runs = shares_that_come_back(shared, view.every, view.outcome, view.limits)
    show_recipe(recipe, runs)


def foretold(view: View) -> None:
    """What one gradient foretells of these patches."""
    if not all(is_patch_of_states(of) for of in view.grids.values()):
        st.info("Gradients foretell what patching states would do. Choose states of the other condition.")
        return
    traces = traces_of(view.pairs, {label: foretold_by(view.grids[label]) for label in view.pairs})
    if traces:
        maps = {label: made for label, made in view.maps.items() if label in traces}
        recipe, runs = patches_foretold(traces, maps, view.pairs)
        st.markdown(with_terms(foretold_sentence(answers(recipe.questions(runs)))))
        show_recipe(recipe, runs)


def ordered(view: View) -> None:
    """What the order of demonstrations does alone."""
    recipe, runs = order_alone(view.maps, view.pairs, view.outcome, view.limits)
    st.markdown(with_terms(order_sentence(answers(recipe.questions(runs)))))
    show_recipe(recipe, runs)


SECTIONS = {
    "Strongest sites": judged,
    "Items of one site": on_items,
    "Attention and effect": attending,
    "Share that comes back": shares,
    "Foretold by gradients": foretold,
}
OF_ORDERS = {"Order of demonstrations": ordered, "Strongest sites": judged, "Items of one site": on_items}
"""The sections of a map over orders, at whose sites nothing is done to the model."""

pairs = recorded()
controls = options.Controls()
grids = chosen_grids(controls)
if grids:
    maps = maps_of(pairs, grids)
    if maps:
        first = next(iter(maps.values()))
        outcome = controls.select(
            "effect", "Effect on", known_outcomes(maps.values()), EFFECT_TITLES, usual_outcome(first)
        )
        beyond = has_controls(first) and controls.toggle(
            "beyond", "Beyond controls", "Takes off what the same does elsewhere: to random tokens, or to other heads."
        )
        controls.tell()
        view = View({label: pairs[label] for label in maps}, pairs, maps, grids, outcome, beyond)
        with slot():
            recipe, runs = effects_by_site(view.maps, view.pairs, view.outcome, view.beyond, view.limits)
            found, names = answers(recipe.questions(runs)), next(iter(grids.values())).names()
            st.markdown(with_terms(map_sentence(found, names)))
            if (at := show_sites(recipe.draw(found, runs), Copied(recipe, runs))) is not None:
                values = {shown: value for value, shown in names.items()}
                row = values.get(str(at[0]), str(at[0]))
                set_state({"row": row, "column": str(at[1]), "section": "Items of one site"})
                write_url()
                st.rerun()
        look_further(OF_ORDERS if is_of_orders(maps) else SECTIONS, view)
    elif all(is_patch_of_states(of) for of in grids.values()):
        st.subheader("A quick look first")
        with slot():
            foretold(View(pairs, pairs, {}, grids, "", False))
