"""Conditions A and B as a page needs them: their recordings, or a sentence and a button where there is none yet."""

from dataclasses import dataclass

import streamlit as st

from iclviz.curating import annotation, restore
from iclviz.errors import UserError
from iclviz.recording import Recording
from iclviz.resolve import Resolved
from iclviz.ui import jobs, loading
from iclviz.ui.link_fields import SIDES
from iclviz.ui.page_state import COLOURS, condition_specs, describe
from iclviz.ui.plain_text import as_text, lines_as_text
from iclviz.ui.recorded_pairs import show_recent


@dataclass(frozen=True)
class Condition:
    """One side of the comparison.

    Attributes
    ----------
    side: "a" or "b".
    title: a few words that tell it from the other.
    resolved: its spec with every default, None where it cannot be run.
    recording: its recording, None where it has not run.
    problem: why it cannot be run or read.
    is_named: whether its title is a name that somebody gave its run.
    """

    side: str
    title: str
    resolved: Resolved | None
    recording: Recording | None
    problem: str = ""
    is_named: bool = False

    @property
    def label(self) -> str:
        """Letter and title, as legends print them."""
        return f"{self.side.upper()}: {self.title}"


def conditions() -> list[Condition]:
    """A and B as they are chosen now."""
    specs = condition_specs()
    titles = {"a": describe(specs.a, specs.b), "b": describe(specs.b, specs.a)}
    return [_condition(side, titles[side]) for side in SIDES]


def _condition(side: str, title: str) -> Condition:
    one = loading.found(condition_specs().side(side))
    named = annotation(loading.store(), one.resolved.key).name if one.resolved and not one.problem else ""
    return Condition(side, named or title, one.resolved, one.recording, one.problem, bool(named))


def recorded(over_seeds: bool = False) -> dict[str, Recording]:
    """The recordings by condition label; says what they are, what is missing and how to get it, and ends the page if
    all is.

    over_seeds: whether the page can show all demonstration seeds at once, so that there is a switch.
    """
    found = conditions()
    ready = {condition.label: condition.recording for condition in found if condition.recording is not None}
    from iclviz.ui.data_line import show_data  # not above: analyses would hold up the very first page

    show_data(found, ready, over_seeds)
    missing = [condition for condition in found if condition.recording is None]
    for condition in missing:
        if condition.problem:
            st.error(f"{condition.side.upper()}: {lines_as_text(condition.problem)}")
    _offer_discarded(missing)
    runnable = [condition for condition in missing if condition.resolved is not None]
    if runnable:
        names = " and ".join(condition.side.upper() for condition in runnable)
        what = "have not been run yet. Run them" if len(runnable) > 1 else "has not been run yet. Run it"
        st.info(f"{names} {what} here, or choose other conditions in the sidebar.")
        jobs.run_button(f"Run {names}", [condition.resolved for condition in runnable if condition.resolved])
        jobs.progress()
        if ready and runnable[0].resolved:
            show_recent(runnable[0].resolved.spec.task)
    if not ready:
        show_recent()
        st.stop()
    for label, recording in ready.items():
        sealed = loading.store().summary(recording.key).created
        for problem in _not_numbers(recording.key, sealed, recording):
            st.warning(f"{as_text(label)}: {as_text(problem)}")
    return ready


def _offer_discarded(missing: list[Condition]) -> None:
    """The way back for conditions whose recordings were discarded."""
    there = loading.store().discarded()
    for one in missing:
        if one.resolved is not None and one.resolved.key in there:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"{badge(one.side)} {as_text(one.title)} was discarded.", width="content")
                st.button(
                    "Restore", key=f"restore-{one.side}", on_click=_restore, args=(one.resolved.key,),
                    icon=":material/undo:",
                )  # fmt: skip


def _restore(key: str) -> None:
    try:
        restore(loading.store(), key)
    except UserError as error:
        st.session_state["job_problem"] = str(error)


@st.cache_data(show_spinner=False, max_entries=256)
def _not_numbers(key: str, sealed: float, _recording: Recording) -> list[str]:
    from iclviz.analysis.non_finite import not_numbers  # not above: analyses would hold up the very first page

    return not_numbers(_recording)


def badge(side: str) -> str:
    """A condition's letter in its colour."""
    return f":{COLOURS[side]}-badge[{side.upper()}]"
