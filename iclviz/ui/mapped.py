"""Maps as a page needs them: those that are there, or a sentence and a button where there is none yet."""

from collections.abc import Mapping

import streamlit as st

from iclviz.errors import UserError
from iclviz.mapping import Grid
from iclviz.maps import EffectMap
from iclviz.recording import Recording
from iclviz.ui import jobs, loading
from iclviz.ui.plain_text import as_text, lines_as_text


def maps_of(runs: Mapping[str, Recording], grids: Mapping[str, Grid]) -> dict[str, EffectMap]:
    """The maps that are there, by the labels of their runs; a button makes the others."""
    found, missing = {}, []
    for label, one in runs.items():
        of = grids[label]
        known = loading.effect_map(one, of)
        if known is not None:
            found[label] = known
            continue
        try:
            missing.append(loading.resolved_map(one.spec, of))
        except UserError as error:
            st.error(f"{as_text(label)}: {lines_as_text(str(error))}")
    if missing:
        names = " and ".join(label.partition(":")[0] for label in runs if label not in found)
        of = next(grids[label] for label in runs if label not in found)
        st.info(f"{of.question} Not tried yet for {names}: {of.sentence()}, for every item.")
        jobs.run_button(f"Act on {names}", missing)
        jobs.progress()
    return found
