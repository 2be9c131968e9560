"""A study as it fills: its grid, curves over k, any two of its conditions as A and B."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd
import streamlit as st

from iclviz.errors import UserError
from iclviz.reporting.over_seeds import OverSeeds
from iclviz.reporting.study_bundle import drawn, over_seeds, recorded_places
from iclviz.studies import StudyState, every_kept
from iclviz.ui import jobs, loading, options
from iclviz.ui.answering import answer, answers, answers_there_are, slot
from iclviz.ui.figure import show, show_recipe
from iclviz.ui.page_files import open_page
from iclviz.ui.page_state import set_condition
from iclviz.ui.plain_text import as_text, lines_as_text
from iclviz.ui.saving_comparison import STUDY, file_buttons
from iclviz.ui.terms import with_terms

PAGE = {
    "title": "Study",
    "icon": "grid_view",
    "section": "run",
    "order": 3,
    "question": "How far is a study, and what does it show over models, tasks and k?",
    "fields": {"study": ""},
}

HOW = """A study is one file: models, tasks, conditions, seeds and maps. Look at what it would take, then run it:

```yaml
study: kinds-and-numbers
models: [smollm2-135m-instruct]
tasks:
  reading: {task: reading_comprehension, n_items: 32}
conditions:
  none: {kind: none}
  correct: {kind: correct, k: [2, 8]}
  shuffled: {kind: shuffled, k: [2, 8]}
seeds: [0, 1, 2]
primary: {a: "shuffled, k = 8", b: "correct, k = 8"}
```

```sh
iclviz study FILE.yaml --dry-run
iclviz study FILE.yaml
```
"""


def meant(state: StudyState) -> None:
    """What the comparison that was meant found in one model and task: behaviour, and the study's measures."""
    if state.study.primary is None:
        return
    a, b = map(state.name, state.study.primary)
    found = {state.place(model, name): (model, name) for model, name in recorded_places(state)}
    if not found:
        return
    st.subheader(f"The comparison that was meant: {as_text(a)} (A) against {as_text(b)} (B)")
    where = st.selectbox("In", list(found)) if len(found) > 1 else next(iter(found))
    with slot():
        over = over_seeds(state, *found[where], loading.sealed)
        with slot():
            behaviour(over)
        with slot():
            measured(over, state.study.measures)


def behaviour(over: OverSeeds) -> None:
    """The headline, and behaviour as a picture."""
    headline = answer(over.headline)
    recipe, runs = over.scores(headline.score)
    line, size = over.said(headline, answers(recipe.questions(runs)) if over.outcomes else None)
    st.markdown(f"#### {as_text(line)}")
    st.caption(with_terms(size))
    show_recipe(recipe, runs)


def measured(over: OverSeeds, names: Sequence[str]) -> None:
    """How each of the study's measures changes from A to B, by layer."""
    found, absent = over.measures(names)
    recipes = {name: over.change(one) for name, one in found.items()}
    asked = {name: next(iter(recipe.questions(over.runs).values())) for name, recipe in recipes.items()}
    st.markdown(with_terms(over.changed(answers_there_are(asked))))
    for reason in absent.values():
        st.caption(with_terms(reason))
    for name, recipe in recipes.items():
        with slot():
            show_recipe(recipe, over.runs, name)


def as_a_and_b(state: StudyState) -> None:
    """Two conditions of one model and task, opened as A and B."""
    study = state.study
    if state.is_hidden:
        st.caption("Conditions have their names when every run is recorded; until then none can be opened.")
        return
    there = {place: runs for place, runs in state.by_place.items() if any(one.summary for one in runs)}
    names = list(dict.fromkeys(condition for _, _, condition in there))
    if len(names) < 2:
        return
    first, second = study.primary if study.primary and set(study.primary) <= set(names) else (names[0], names[-1])
    columns = st.columns([2, 2, 2, 2, 2], vertical_alignment="bottom")
    models = list(dict.fromkeys(place[0] for place in there))
    model = columns[0].selectbox("Model", models, format_func=study.shown_model)
    name = columns[1].selectbox("Task", list(dict.fromkeys(place[1] for place in there)))
    a = columns[2].selectbox("A", names, names.index(first))
    b = columns[3].selectbox("B", names, names.index(second))
    runs = [next((one for one in there.get((model, name, side), []) if one.summary), None) for side in (a, b)]
    if columns[4].button("Open as A and B", disabled=None in runs):
        for side, one in zip("ab", runs, strict=True):
            if one is not None:
                set_condition(side, one.resolved.spec)
        open_page("summary")


def told(names: Mapping[str, str]) -> StudyState | None:
    """The study that is chosen; None, with the reason, where it cannot be read."""
    name = options.select("study", "Study", list(names), names)
    try:
        return loading.study_state(name)
    except UserError as error:
        st.error(lines_as_text(str(error)))
        return None


names = every_kept(loading.store())
if not names:
    st.info("No study has been started in this cache.")
    st.markdown(HOW)
else:
    state = told({name: name for name in names})
    if state is not None:
        st.markdown(f"**{state.n_there} of {len(state.cells)}** runs recorded. {as_text(state.kept.words)}")
        if state.missing:
            jobs.run_button("Run what is missing", state.missing)
            jobs.progress(own=state.missing)
        st.dataframe(pd.DataFrame(state.grid()).set_index("condition"), width="stretch")
        if state.n_there:
            show(drawn(state))
        as_a_and_b(state)
        meant(state)
        if state.n_there:
            kind = replace(STUDY, name=f"{state.study.name}.zip")
            file_buttons([kind], (state.study.name, "--no-run"), f"{state.study.digest} {state.n_there}")
