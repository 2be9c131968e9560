"""Maps and traces as a page needs them: those that are there, or a sentence and a button where there is none yet."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import streamlit as st

from iclviz.errors import UserError
from iclviz.mapping import Grid, Tracer
from iclviz.maps import EffectMap, Trace
from iclviz.recording import Recording
from iclviz.ui import jobs, loading
from iclviz.ui.plain_text import as_text, lines_as_text

M = TypeVar("M", EffectMap, Trace)
K = TypeVar("K", Grid, Tracer)


def maps_of(runs: Mapping[str, Recording], grids: Mapping[str, Grid]) -> dict[str, EffectMap]:
    """The maps that are there, by the labels of their runs; a button makes the others."""
    return _made(runs, grids, loading.effect_map, "Act on")


def traces_of(runs: Mapping[str, Recording], of: Tracer | Mapping[str, Tracer]) -> dict[str, Trace]:
    """The traces that are there, by the labels of their runs; a button makes the others. of: one for all, or each's."""
    return _made(runs, of if isinstance(of, Mapping) else dict.fromkeys(runs, of), loading.trace, "Follow")


def _made(
    runs: Mapping[str, Recording],
    kinds: Mapping[str, K],
    load: Callable[[Recording, K], M | None],
    verb: str,
) -> dict[str, M]:
    found, missing = {}, []
    for label, one in runs.items():
        of = kinds[label]
        known = load(one, of)
        if known is not None:
            found[label] = known
            continue
        try:
            missing.append(loading.resolved_map(one.spec, of))
        except UserError as error:
            st.error(f"{as_text(label)}: {lines_as_text(str(error))}")
    if missing:
        names = " and ".join(label.partition(":")[0] for label in runs if label not in found)
        of = next(kinds[label] for label in runs if label not in found)
        each = "" if isinstance(of, Tracer) and of.of_model else ", for every item"
        st.info(f"{of.question} Not tried yet for {names}: {of.sentence()}{each}.")
        jobs.run_button(f"{verb} {names}", missing)
        jobs.progress(own=missing)
    return found
