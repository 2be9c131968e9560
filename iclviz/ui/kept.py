"""Recordings that keep what a page needs, or a sentence and a button where none does."""

from collections.abc import Mapping

import streamlit as st

from iclviz.errors import UserError
from iclviz.recording import Recording
from iclviz.ui import jobs, loading
from iclviz.ui.plain_text import as_text, lines_as_text


def that_keep(pairs: Mapping[str, Recording], record: str, what: str, short: str) -> dict[str, Recording]:
    """The conditions of which some run keeps what a recorder leaves; a button records it in the others.

    record: the recorder's name; what: what it leaves, after "keep", and short: on a button.
    """
    found, runs = {}, []
    for label, one in pairs.items():
        needed = one.spec.with_(record=(record,), poolings=None, attention_items=())
        if (other := loading.keeping(one, needed)) is not None:
            found[label] = other
            continue
        try:
            runs.append(loading.resolved(loading.keeping_too(one, needed)))
        except UserError as error:
            st.error(f"{as_text(label)}: {lines_as_text(str(error))}")
    if runs:
        names = " and ".join(label.partition(":")[0] for label in pairs if label not in found)
        st.info(f"{names} did not keep {what}. Run {names} again with it kept; all other numbers stay the same.")
        jobs.run_button(f"Record {short} of {names}", runs)
        jobs.progress(own=runs)
    return found
