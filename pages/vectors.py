"""Whether one vector stands in for the demonstrations: task vectors and function vectors."""

from collections.abc import Mapping

import streamlit as st

from iclviz.analysis.effect_maps import known_outcomes
from iclviz.analysis.recovered import SCORES
from iclviz.errors import UserError
from iclviz.figures.effect_maps import EFFECT_TITLES
from iclviz.mapping import Grid, grid, grids
from iclviz.recording import Recording
from iclviz.reporting.map_recipes import first_with_shares, share_sentence, shares_that_come_back
from iclviz.reporting.scope import demonstration_scope
from iclviz.resolve import Resolved, ResolvedMap
from iclviz.spec import Demonstrations
from iclviz.ui import jobs, loading, options
from iclviz.ui.answering import answers, slot
from iclviz.ui.conditions import recorded
from iclviz.ui.figure import show_recipe
from iclviz.ui.mapped import maps_of
from iclviz.ui.plain_text import as_text, lines_as_text
from iclviz.ui.terms import with_terms

PAGE = {
    "title": "Vectors",
    "icon": "arrow_outward",
    "section": "why",
    "order": 3,
    "question": "Can one vector stand in for the demonstrations?",
    "invitation": "Put a vector in their place",
    "fields": {"vector": "task_vector", "vector_options": "", "effect": ""},
}

VECTORS = ("task_vector", "function_vector")
WITHOUT = "without demonstrations"


def chosen(controls: options.Controls, shown: Mapping[str, Recording]) -> dict[str, Grid]:
    """The map that is chosen, of each condition; none, with the reason, where there is no such."""
    titles = {name: grids()[name].title for name in VECTORS}
    kind = controls.select("vector", "What is put in", list(titles), titles, VECTORS[0], is_main=True)
    more = controls.text("vector_options", "Options", "As typed: draws=5, most=80 … what each has.")
    found = {}
    for label, one in shown.items():
        of = one.spec.demonstrations
        try:
            found[label] = grid(f"{kind} shown={of.kind} k={of.k} seed={of.seed} order={of.order} {more}".strip())
        except UserError as error:
            st.error(lines_as_text(str(error)))
            return {}
    return found


def without_demonstrations(shown: Mapping[str, Recording], of: Mapping[str, Grid]) -> dict[str, Recording]:
    """The run of each condition without demonstrations; a button makes it with its map where it is not there."""
    found: dict[str, Recording] = {}
    missing: dict[str, Resolved | ResolvedMap] = {}
    for label, one in shown.items():
        bare = loading.found(one.spec.with_(demonstrations=Demonstrations("none", 0)))
        if bare.recording is not None:
            found[label] = bare.recording
        elif bare.resolved is None:
            st.error(f"{as_text(label)}: {lines_as_text(bare.problem)}")
        else:
            made = loading.resolved_map(bare.resolved.spec, of[label])
            missing |= {bare.resolved.key: bare.resolved, made.key: made}
    if missing:
        first = next(iter(of.values()))
        st.info(f"{first.question} Not tried yet: {first.sentence()}, in prompts without demonstrations.")
        jobs.run_button("Try it", list(missing.values()))
        jobs.progress(own=list(missing.values()))
    return found


shown = {label: one for label, one in recorded().items() if one.spec.demonstrations.canonical().k}
if not shown:
    st.info("Vectors are of demonstrations. Choose a condition that has some.")
controls = options.Controls()
of_shown = chosen(controls, shown) if shown else {}
if of_shown:
    bare = without_demonstrations(shown, of_shown)
    maps = maps_of(bare, of_shown)
    if maps:
        names = {label: f"{label} ({WITHOUT})" for label in maps}
        runs = {**{label: shown[label] for label in maps}, **{names[label]: bare[label] for label in maps}}
        shared = {label: (made, names[label], label) for label, made in maps.items()}
        limits = demonstration_scope(shown[label] for label in maps)
        with slot():
            known = [name for name in known_outcomes(maps.values()) if name in SCORES]
            each = {name: shares_that_come_back(shared, runs, name, limits) for name in known}
            told = {name: answers(recipe.questions(every)) for name, (recipe, every) in each.items()}
            outcome = controls.select("effect", "Effect on", list(each), EFFECT_TITLES, first_with_shares(told))
            controls.tell()
            st.markdown(with_terms(share_sentence(told[outcome], next(iter(of_shown.values())).names())))
            recipe, every = each[outcome]
            show_recipe(recipe, every)
