"""Acting on one item as pages need it: the answer at once, or a sentence while the model is being loaded."""

import time
from contextlib import suppress

import streamlit as st

from iclviz.errors import UserError
from iclviz.intervening import Intervention
from iclviz.jobs.live import LiveAnswers, LiveTable
from iclviz.jobs.starting import ensure_live
from iclviz.live import LiveAnswer, LiveSpec
from iclviz.mapping import as_mapped
from iclviz.places import cache_folder
from iclviz.recording import Recording
from iclviz.store import Store
from iclviz.ui.answering import asker

PATIENCE = 1.5
"""Seconds for which a page waits; loading a model takes longer."""

POLL_SECONDS, REFRESH_SECONDS = 0.01, 0.5


class LoadingError(UserError):
    """The answer is not there yet, since the model is being loaded."""

    def __init__(self) -> None:
        super().__init__("The model is being loaded; the answer will stand here.")


@st.cache_resource(show_spinner=False)
def _of_cache(folder: str) -> tuple[LiveTable, LiveAnswers]:
    store = Store(folder)
    return LiveTable(store), LiveAnswers(store)


def live_spec(recording: Recording, item: int, done: tuple[Intervention, ...], writes: bool = False) -> LiveSpec:
    """One item of a recording's run, with something done to the model on top of what is done there.

    Raises
    ------
    UserError: the recording is too old to know its model.
    """
    if recording.origin is None:
        raise UserError("This recording does not know its model's files.", "Run it again.")
    return LiveSpec(as_mapped(recording.spec), item, done, recording.origin.model, writes)


def warm(spec: LiveSpec) -> None:
    """Have the model and the item read before anything is done, once for each: what is known needs neither."""
    wanted = (spec.run, spec.item)
    if st.session_state.get("live-warm") != wanted:
        st.session_state["live-warm"] = wanted
        table, _ = _of_cache(str(cache_folder()))
        table.submit(spec, spec.key, asker=asker())
        ensure_live(table)


def live_answer(spec: LiveSpec) -> LiveAnswer:
    """What the model answers to one item.

    Raises
    ------
    LoadingError: not yet.
    UserError: it cannot be done.
    """
    table, answers = _of_cache(str(cache_folder()))
    if (found := answers.get(spec.key)) is not None:
        return found
    table.submit(spec, spec.key, asker=asker())
    ensure_live(table)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if (found := answers.get(spec.key)) is not None:
            return found
        job = table.get(spec.key)
        if job is not None and job.state == "failed":
            table.remove(spec.key)
            raise UserError(job.error or "This could not be done.")
        time.sleep(POLL_SECONDS)
    raise LoadingError


def wait(spec: LiveSpec) -> None:
    """Draw the part of the page anew when the answer has come."""

    @st.fragment(run_every=REFRESH_SECONDS)
    def watch() -> None:
        table, answers = _of_cache(str(cache_folder()))
        ensure_live(table)
        with suppress(UserError):
            job = table.get(spec.key)
            if answers.get(spec.key) is not None or job is None or not job.is_open:
                st.rerun()
        st.caption("The model is being loaded …")

    watch()
