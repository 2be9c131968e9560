"""Conditions A and B as a page needs them: their recordings, or a sentence and a button where there is none yet."""

from dataclasses import dataclass

import streamlit as st

from iclviz.curating import annotation
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
    """

    side: str
    title: str
    resolved: Resolved | None
    recording: Recording | None
    problem: str = ""

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
    return Condition(side, named or title, one.resolved, one.recording, one.problem)


def recorded() -> dict[str, Recording]:
    """The recordings by condition label; says what is missing and how to get it, and ends the page if all is."""
    found = conditions()
    _header(found)
    ready = {condition.label: condition.recording for condition in found if condition.recording is not None}
    missing = [condition for condition in found if condition.recording is None]
    for condition in missing:
        if condition.problem:
            st.error(f"{condition.side.upper()}: {lines_as_text(condition.problem)}")
    runnable = [condition for condition in missing if condition.resolved is not None]
    if runnable:
        names = " and ".join(condition.side.upper() for condition in runnable)
        what = "have not been run yet. Run them" if len(runnable) > 1 else "has not been run yet. Run it"
        st.info(f"{names} {what} here, or choose other conditions in the sidebar.")
        jobs.run_button(f"Run {names}", [condition.resolved for condition in runnable if condition.resolved])
        jobs.progress()
    if not ready:
        show_recent()
        st.stop()
    for label, recording in ready.items():
        sealed = loading.store().summary(recording.key).created
        for problem in _not_numbers(recording.key, sealed, recording):
            st.warning(f"{as_text(label)}: {as_text(problem)}")
    return ready


@st.cache_data(show_spinner=False, max_entries=256)
def _not_numbers(key: str, sealed: float, _recording: Recording) -> list[str]:
    from iclviz.analysis.non_finite import not_numbers  # not above: analyses would hold up the very first page

    return not_numbers(_recording)


def _header(found: list[Condition]) -> None:
    badges = [f":{COLOURS[one.side]}-badge[{one.side.upper()}] {as_text(one.title)}" for one in found]
    st.markdown("  ·vs·  ".join(badges).replace("·vs·", "against"))
