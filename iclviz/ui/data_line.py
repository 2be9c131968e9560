"""The line under a page's title: what A and B share, what differs, items and groups, which demonstration seeds."""

from collections.abc import Mapping, Sequence

import streamlit as st

from iclviz.recording import Recording
from iclviz.reporting.data_line import differences, shared
from iclviz.ui.compared import seeds_of
from iclviz.ui.conditions import Condition, badge
from iclviz.ui.link_fields import SIDES
from iclviz.ui.page_state import bound, page_state
from iclviz.ui.plain_text import as_text


def show_data(found: Sequence[Condition], ready: Mapping[str, Recording], over_seeds: bool) -> None:
    """A and B, what their data are, and of how many demonstration seeds."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="data"):
        if len(ready) < len(found) or any(one.is_named for one in found):
            st.markdown(" against ".join(f"{badge(one.side)} {as_text(one.title)}" for one in found), width="content")
        seeds = seeds_of(ready)
        if ready:
            parts = [as_text(shared(list(ready.values()))), _differ(list(ready.values())), _shown(seeds)]
            st.caption(" ".join(part for part in parts if part), width="content")
        if over_seeds and len(seeds) > 1:
            meaning = "Means over every demonstration seed that A and B both have, with intervals over items and seeds."
            bound(st.toggle, f"All {len(seeds)} seeds", "all_seeds", help=meaning)


def _differ(ready: list[Recording]) -> str:
    if len(ready) < len(SIDES):
        return ""
    found = differences(*(one.spec for one in ready))
    if not found:
        return "A and B are the same."
    told = "; ".join(
        f"{as_text(title)}: {badge('a')} {as_text(before)} → {badge('b')} {as_text(after)}"
        for title, (before, after) in found.items()
    )
    return f"They differ only in {told}." if len(found) == 1 else f"What differs: {told}."


def _shown(seeds: Sequence[int]) -> str:
    """Which of the recorded demonstration seeds are shown."""
    if not seeds:
        return ""
    if page_state()["all_seeds"] and len(seeds) > 1:
        return f"All {len(seeds)} demonstration seeds."
    return (
        f"Demonstration seed {seeds[0]}, {f'of {len(seeds)} recorded' if len(seeds) > 1 else 'the only one recorded'}."
    )
