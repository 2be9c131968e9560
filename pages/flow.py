"""Through which tokens the answer's loss moves: gathered in the demonstrations' answers, and read from there."""

import streamlit as st

from iclviz.mapping import tracer
from iclviz.reporting.trace_recipes import flow_by_block, flow_sentence
from iclviz.ui.answering import answers, slot
from iclviz.ui.conditions import recorded
from iclviz.ui.figure import show_recipe
from iclviz.ui.mapped import traces_of
from iclviz.ui.terms import with_terms

PAGE = {
    "title": "Flow",
    "icon": "water",
    "section": "why",
    "order": 5,
    "question": "Where are the demonstrations' answers gathered, and where are they read?",
    "invitation": "Follow the answer back",
    "fields": {},
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
