"""A study as it fills: its grid, curves over k, any two of its conditions as A and B."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from iclviz.errors import UserError
from iclviz.reporting.study_bundle import drawn
from iclviz.studies import CellState, StudyState, every_kept, kept, state_of
from iclviz.ui import jobs, loading, options
from iclviz.ui.figure import show
from iclviz.ui.page_files import open_page
from iclviz.ui.page_state import set_condition
from iclviz.ui.plain_text import as_text, lines_as_text

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


def grid_of(state: StudyState) -> pd.DataFrame:
    """Conditions in rows, models and tasks in columns: the mean main score, and how many runs are there."""
    study = state.study
    places = [(model, name) for model in study.models for name in study.tasks]
    several = len(study.models) > 1
    rows = {
        state.name(one.name): {
            f"{name}, {model}" if several else name: in_a_cell(state.by_place[model, name, one.name])
            for model, name in places
        }
        for one in study.conditions
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def in_a_cell(runs: list[CellState]) -> str:
    """The mean score of runs, and how many of them there are."""
    scores = [one.score for one in runs if one.summary is not None]
    there = "" if len(scores) == len(runs) else f" ({len(scores)}/{len(runs)})"
    return f"{sum(scores) / len(scores):.3f}{there}" if scores else f"–{there}"


def as_a_and_b(state: StudyState) -> None:
    """Two conditions of one model and task, opened as A and B."""
    study = state.study
    if state.study.hidden and not state.is_complete:
        st.caption("Conditions have their names when every run is recorded; until then none can be opened.")
        return
    there = {place: runs for place, runs in state.by_place.items() if any(one.summary for one in runs)}
    names = list(dict.fromkeys(condition for _, _, condition in there))
    if len(names) < 2:
        return
    first, second = study.primary if study.primary and set(study.primary) <= set(names) else (names[0], names[-1])
    columns = st.columns([2, 2, 2, 2, 1.4], vertical_alignment="bottom")
    model = columns[0].selectbox("Model", list(dict.fromkeys(place[0] for place in there)))
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
        found = kept(name, loading.store())
        return None if found is None else state_of(found, loading.store())
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
        st.dataframe(grid_of(state), width="stretch")
        if state.n_there:
            show(drawn(state))
        as_a_and_b(state)
        st.caption(f"The whole study as one file: `iclviz study FILE --to {as_text(state.study.name)}.zip`")
