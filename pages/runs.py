"""Every run of the cache: find it, show it as A or B, name and note it, discard it, bring in others' runs."""

from typing import Any

import pandas as pd
import streamlit as st

from iclviz.curating import MOST_NAME, Annotation, annotate, annotation, discard, discarded, empty, restore
from iclviz.errors import UserError
from iclviz.reporting.bundles import import_bundle, plan_import
from iclviz.store import Ailing
from iclviz.ui import loading, runs_table, screen
from iclviz.ui.condition_sets import CHOSEN
from iclviz.ui.link_fields import MOST_MEMBERS
from iclviz.ui.page_files import open_page
from iclviz.ui.page_state import condition_specs, set_condition, set_state
from iclviz.ui.plain_text import as_text, lines_as_text
from iclviz.ui.recorded_pairs import order

PAGE = {
    "title": "Runs",
    "icon": "table_rows",
    "section": "run",
    "order": 2,
    "question": "What has been run? Find it, name it, compare it.",
}

FILTERS = {"task": "Task", "model": "Model", "shown": "Demonstrations", "tags": "Tags"}


def found(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that the filters leave."""
    columns = st.columns([1.6, *[1] * len(FILTERS)])
    words = columns[0].text_input("Search", placeholder="Any words, in any column", help="Rows that hold every word.")
    chosen = {
        column: place.multiselect(title, runs_table.values_of(rows, column), placeholder="All")
        for place, (column, title) in zip(columns[1:], FILTERS.items(), strict=True)
    }
    return runs_table.filtered(rows, words, chosen)


def selected(rows: pd.DataFrame) -> list[str]:
    """The keys of the recorded rows that are chosen in the table."""
    event: Any = st.dataframe(
        rows,
        column_config=runs_table.COLUMNS,
        column_order=runs_table.order(is_narrow=screen.room() is not None),
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        placeholder="–",
        height="content" if len(rows) < 12 else 460,
        key=f"runs{st.session_state.get('table', '')}",
    )
    chosen = rows.iloc[[place for place in event.selection.rows if place < len(rows)]]
    return [str(key) for key in chosen[chosen["state"] == "recorded"]["key"]]


def actions(keys: list[str]) -> None:
    """What can be done with the chosen runs."""
    if not keys:
        st.caption("Choose rows at their left edge: one to show, name or note it, two or more to compare them.")
        return
    with st.container(horizontal=True):
        if len(keys) == 1:
            for side in ("a", "b"):
                st.button(f"Show as {side.upper()}", on_click=show_as, args=({side: keys[0]},), icon=":material/login:")
        if len(keys) == 2 and st.button("Compare as A and B", type="primary", icon=":material/compare:"):
            show_as(
                dict(zip("ab", sorted(keys, key=lambda key: order(loading.store().summary(key).spec)), strict=True))
            )
            if "runs_problem" not in st.session_state:
                open_page("summary")
            st.rerun()
        if 1 < len(keys) <= MOST_MEMBERS and st.button("Compare as a set", icon=":material/stacked_line_chart:"):
            set_state({"vary": CHOSEN, "runs": keys})
            st.switch_page("pages/compare.py")
        many = f"{len(keys)} runs" if len(keys) > 1 else "this run"
        with st.popover(f"Discard {many}", icon=":material/delete:"):
            st.markdown(f"Discard {many}? You can take this back until the discarded runs are emptied.")
            st.button("Discard", on_click=throw_away, args=(keys,), type="primary")
    if len(keys) == 1:
        edit(keys[0])


def show_as(sides: dict[str, str]) -> None:
    """Choose recordings as A, B or both; says what of them the sidebar cannot hold."""
    try:
        for side, key in sides.items():
            set_condition(side, loading.store().summary(key).spec)
        shown = {side: loading.resolved(condition_specs().side(side)).key for side in sides}
        sampled = [side.upper() for side, key in sides.items() if loading.store().summary(key).by_sample]
    except UserError as error:
        st.session_state["runs_problem"] = str(error)
        return
    other = [side.upper() for side, key in sides.items() if shown[side] != key]
    if sampled:
        st.session_state["runs_problem"] = (
            f"{' and '.join(sampled)} cannot be shown here: an older iclviz read only a sample of "
            "its model's weights. Run it again; `iclviz.load` in Python still reads it, and so does “Compare as a set”."
        )
    elif other:
        st.session_state["runs_problem"] = (
            f"{' and '.join(other)} cannot be shown here. A and B must share items, item seed, task options and "
            "prompt style, with the usual precision and length of responses. `iclviz.load` in Python compares any runs."
        )


def throw_away(keys: list[str]) -> None:
    """Discard recordings, and offer to take it back."""
    try:
        every = runs_table.recordings_of(keys)
        for key in every:
            discard(loading.store(), key)
        st.session_state["discarded"] = every
        st.session_state["table"] = st.session_state.get("table", 0) + 1  # rows are chosen by their places
    except UserError as error:
        st.session_state["runs_problem"] = str(error)


def take_back(keys: list[str]) -> None:
    """Restore discarded recordings."""
    try:
        for key in keys:
            restore(loading.store(), key)
        st.session_state.pop("discarded", None)
    except UserError as error:
        st.session_state["runs_problem"] = str(error)


def edit(key: str) -> None:
    """The form in which a run is named, tagged and noted."""
    said = annotation(loading.store(), key)
    with st.form(f"annotation-{key}"):
        columns = st.columns(2)
        name = columns[0].text_input(
            "Name", said.name, help=f"Names the condition on every page; {MOST_NAME} characters."
        )
        tags = columns[1].multiselect("Tags", said.tags, said.tags, accept_new_options=True, help="Type a new one.")
        note = st.text_area("Note", said.note, help="For yourself; it goes with the run into an export.")
        if st.form_submit_button("Save", type="primary"):
            try:
                for one in runs_table.recordings_of([key]):
                    annotate(loading.store(), one, Annotation(name.strip(), tuple(tags), note.strip()))
            except UserError as error:
                st.session_state["runs_problem"] = str(error)
            st.rerun()


def lately_discarded() -> None:
    """What was just discarded, with the way back."""
    there = discarded(loading.store())
    keys = [key for key in st.session_state.get("discarded", []) if key in there]
    if keys:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"Discarded {len(keys)} run{'s' if len(keys) > 1 else ''}.")
            st.button("Undo", on_click=take_back, args=(keys,), icon=":material/undo:")


def all_discarded() -> None:
    """Everything that was discarded and still takes space."""
    there = discarded(loading.store())
    if not there:
        return
    title = f"Discarded runs ({len(there)}, {sum(there.values()) / 1e6:.1f} MB)"
    with st.expander(title):
        for key, size in there.items():
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"{as_text(runs_table.discarded_name(key))} ({size / 1e6:.1f} MB)", width="content")
                st.button("Restore", key=f"restore-{key}", on_click=take_back, args=([key],))
        with st.container(horizontal=True):
            st.button("Restore all", on_click=take_back, args=(list(there),))
            with st.popover("Empty", icon=":material/delete_forever:"):
                st.markdown("Remove them for good? This cannot be taken back.")
                st.button("Remove for good", on_click=empty_all, type="primary")


def empty_all() -> None:
    """Remove discarded recordings for good."""
    try:
        empty(loading.store())
    except UserError as error:
        st.session_state["runs_problem"] = str(error)


def bring_in() -> None:
    """Import what others exported."""
    with st.expander("Import a bundle"):
        st.markdown("A ZIP file that `iclviz export KEY … --to FILE.zip` wrote. Every file in it is checked.")
        uploaded = st.file_uploader("Bundle", ["zip"], key="bundle")
        if uploaded is not None:
            offer(uploaded)
        if said := st.session_state.pop("imported", None):
            st.success(said)
        for problem in st.session_state.pop("refused_imports", ()):
            st.warning(as_text(problem))


def offer(bundle: Any) -> None:
    """What a bundle would bring, and the button that takes it in."""
    try:
        plan = plan_import(loading.store(), bundle)
        st.markdown("  \n".join(as_text(sentence) for sentence in plan.sentences()))
        if not st.button("Import", type="primary"):
            return
        taken = import_bundle(loading.store(), bundle)
    except UserError as error:
        st.error(as_text(str(error)))
        return
    parts = [f"{len(taken.new)} new"] + ([f"{len(taken.known)} known already"] if taken.known else [])
    st.session_state["imported"] = f"Imported: {', '.join(parts)}."
    st.session_state["refused_imports"] = list(taken.refused.values())
    st.rerun()


def what_ails() -> None:
    """What of the cache cannot be used, each with its reason; what is damaged can be removed."""
    found = runs_table.ailing()
    if not found:
        return
    with st.expander(f"Cannot be read ({len(found)})", icon=":material/warning:", expanded=True):
        for place, one in enumerate(found):
            line, button = st.columns([6, 1], vertical_alignment="center")
            line.markdown(as_text(one.problem))
            if not one.is_newer:
                button.button("Remove", key=f"remove-{place}-{one.name}", on_click=remove, args=(one,))


def remove(one: Ailing) -> None:
    """Take away what is damaged."""
    try:
        one.remove()
    except (UserError, OSError) as error:
        st.session_state["runs_problem"] = str(error)


rows = runs_table.runs()
if problem := st.session_state.pop("runs_problem", None):
    st.warning(lines_as_text(problem))
lately_discarded()
if rows.empty:
    st.info("The cache holds no runs yet. Make one on the Run page, or import a bundle.")
else:
    left = found(rows)
    st.caption(f"{len(left)} of {len(rows)} runs · {rows['size'].sum():.1f} MB in all")
    actions(selected(left))
what_ails()
all_discarded()
bring_in()
