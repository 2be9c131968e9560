"""Through which tokens the answer's loss moves: gathered in the demonstrations' answers, and read from there."""

from collections.abc import Mapping

import streamlit as st

from iclviz.analysis.effect_maps import usual_outcome
from iclviz.analysis.own_answer import RECORD
from iclviz.mapping import grid, tracer
from iclviz.recording import Recording
from iclviz.reporting.map_recipes import effects_by_site, map_sentence
from iclviz.reporting.scope import demonstration_scope
from iclviz.reporting.trace_recipes import (
    flow_by_block,
    flow_sentence,
    gain_by_reweighting,
    own_answer_sentence,
    own_answers,
    reweighting_sentence,
)
from iclviz.ui.answering import answers, slot
from iclviz.ui.compared import look_further
from iclviz.ui.conditions import recorded
from iclviz.ui.figure import show_recipe
from iclviz.ui.kept import that_keep
from iclviz.ui.mapped import maps_of, traces_of
from iclviz.ui.terms import with_terms

PAGE = {
    "title": "Flow",
    "icon": "water",
    "section": "why",
    "order": 6,
    "question": "Where are the demonstrations' answers gathered, and where are they read?",
    "invitation": "Follow the answer back",
    "fields": {"section": ""},
}


def isolated(shown: Mapping[str, Recording]) -> None:
    """The answers isolated in the first and in the last blocks."""
    of = grid("isolation")
    if maps := maps_of(shown, dict.fromkeys(shown, of)):
        outcome = usual_outcome(next(iter(maps.values())))
        recipe, runs = effects_by_site(maps, shown, outcome, False, demonstration_scope(shown.values()))
        st.markdown(with_terms(map_sentence(answers(recipe.questions(runs)), of.names())))
        show_recipe(recipe, runs)


def reweighted(shown: Mapping[str, Recording]) -> None:
    """Factors of attention to the answers, learned."""
    if traces := traces_of(shown, tracer("reweighting")):
        recipe, runs = gain_by_reweighting(traces, shown)
        st.markdown(with_terms(reweighting_sentence(answers(recipe.questions(runs)))))
        show_recipe(recipe, runs)


def foretelling(shown: Mapping[str, Recording]) -> None:
    """Whether attention to the answers foretells the model's own."""
    kept = that_keep(shown, RECORD, "attention by demonstration", "attention by demonstration")
    if not kept:
        return
    recipe, runs = own_answers(kept)
    st.markdown(with_terms(own_answer_sentence(answers(recipe.questions(runs)))))
    show_recipe(recipe, runs)


SECTIONS = {
    "Answers isolated": isolated,
    "Answers re-weighted": reweighted,
    "Attention and own answer": foretelling,
}

shown = {label: one for label, one in recorded().items() if one.spec.demonstrations.canonical().k}
if not shown:
    st.info("Flow is followed through the demonstrations' answers. Choose a condition that has demonstrations.")
else:
    traces = traces_of(shown, tracer("information_flow"))
    if traces:
        with slot():
            recipe, runs = flow_by_block(traces, shown)
            st.markdown(with_terms(flow_sentence(answers(recipe.questions(runs)))))
            show_recipe(recipe, runs)
    look_further(SECTIONS, shown)
