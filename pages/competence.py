"""Whether the answer moves with its label, and stays when another label is moved."""

import streamlit as st

from iclviz.errors import UserError
from iclviz.mapping import Grid, grid
from iclviz.recording import Recording
from iclviz.reporting.map_recipes import competence_by_block, competence_sentence, label_and_control
from iclviz.tasks import task
from iclviz.ui import options
from iclviz.ui.answering import answers, slot
from iclviz.ui.conditions import recorded
from iclviz.ui.figure import show_recipe
from iclviz.ui.mapped import maps_of
from iclviz.ui.plain_text import lines_as_text
from iclviz.ui.terms import with_terms

PAGE = {
    "title": "Competence",
    "icon": "published_with_changes",
    "section": "why",
    "order": 4,
    "question": "Does the answer follow its label, and nothing else?",
    "invitation": "Move a label",
    "fields": {"moved": "", "beside": "", "competence_options": ""},
}


def chosen(controls: options.Controls, shown: dict[str, Recording]) -> Grid | None:
    """The map that is chosen; None, with the reason, where there is no such."""
    first = next(iter(shown.values()))
    usual, titles = label_and_control(first), task(first.spec.task).titles
    labels = list(first.labels)
    label = controls.select("moved", "Label that the answer is", labels, titles, usual["label"], is_main=True)
    others = [one for one in labels if one != label]
    if not others:
        st.info("Competence needs a second label, one that the task does not ask for. This task has but one.")
        return None
    start = usual["control"] if usual["control"] in others else others[0]
    control = controls.select("beside", "Control, which the task does not ask for", others, titles, start)
    more = controls.text("competence_options", "Options", "As typed: rows=query, every=1, draws=2 … what the map has.")
    try:
        return grid(f"competence label={label} control={control} {more}".strip())
    except UserError as error:
        st.error(lines_as_text(str(error)))
        return None


shown = recorded()
if shown:
    controls = options.Controls()
    of = chosen(controls, shown)
    controls.tell()
    if of is not None:
        maps = maps_of(shown, dict.fromkeys(shown, of))
        if maps:
            with slot():
                recipe, runs = competence_by_block(maps, shown)
                st.markdown(with_terms(competence_sentence(answers(recipe.questions(runs)))))
                show_recipe(recipe, runs)
