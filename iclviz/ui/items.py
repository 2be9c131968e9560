"""One table of all items, A beside B, from which an item's prompts open side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from iclviz.recording import Recording
from iclviz.reporting.item_rows import few_valued, item_rows
from iclviz.tasks import Task
from iclviz.ui import screen
from iclviz.ui.page_files import open_page
from iclviz.ui.page_state import set_state

HEIGHT = 320
ON_PHONES = 90
"""Width of a column of texts, so that several are seen."""
ALL = "all items"
OPENED = "an item was chosen"


@st.fragment
def show_items(conditions: Mapping[str, Recording], the_task: Task, score: str, opens: bool = True) -> None:
    """The items of conditions, label -> recording, to sort and to filter by a label; a row chooses its item.

    opens: whether a chosen item opens on the page of prompts.
    """
    sides = {label[0]: one for label, one in conditions.items()}
    first = next(iter(sides.values()))
    rows = item_rows(sides, the_task, score)
    titles = [the_task.titles[name] for name in few_valued(first)]
    options = [ALL, *(f"{title}: {value}" for title in titles for value in sorted(set(rows[title])))]
    only = st.selectbox("Show", options, key="items-shown", width=300, help="Items of one value of a label.")
    kept = [place for place in range(first.n_items) if _is_wanted(rows, titles, place, only)]
    axis = the_task.natural_unit(score).axis
    columns: dict[str, Any] = {
        name: st.column_config.NumberColumn(name.removesuffix(f": {axis}"), format="%.3g", help=axis)
        for name, values in rows.items()
        if any(isinstance(value, float) for value in values)
    }
    if screen.room():
        columns |= {name: st.column_config.Column(width=ON_PHONES) for name in rows.keys() - columns.keys()}

    def take() -> None:
        if picked := st.session_state["items-table"].selection.rows:
            set_state({"item": kept[picked[0]]})
            st.session_state[OPENED] = True

    st.dataframe(
        {name: [values[place] for place in kept] for name, values in rows.items()},
        height=HEIGHT,
        hide_index=True,
        key="items-table",
        on_select=take,
        selection_mode="single-row",
        column_config=columns,
    )
    st.caption(f"{len(kept)} of {first.n_items} items. The box at the left of a row opens its prompts side by side.")
    if st.session_state.pop(OPENED, False):
        if opens:
            open_page("prompts")
        st.rerun()


def _is_wanted(rows: Mapping[str, list[str]], titles: Sequence[str], place: int, only: str) -> bool:
    return only == ALL or any(f"{title}: {rows[title][place]}" == only for title in titles)
