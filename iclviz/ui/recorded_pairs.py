"""Comparisons that the cache holds already, offered where the chosen one has not been run."""

import streamlit as st

from iclviz.errors import UserError
from iclviz.recorded import Summary
from iclviz.spec import Demonstrations, RunSpec
from iclviz.ui import loading
from iclviz.ui.link_fields import SIDES
from iclviz.ui.page_state import condition_specs, describe, set_condition
from iclviz.ui.plain_text import as_text
from iclviz.whereabouts import without_folder

SHOWN = 4

Pair = tuple[RunSpec, RunSpec]


def recorded_pairs() -> list[Pair]:
    """Runs that differ in their demonstrations alone, the fewest and the most of each kind of run, newest first; none
    that a sample of weights tells, which no choice finds.
    """
    alike: dict[RunSpec, list[RunSpec]] = {}
    for entry in _found_by_choice():
        alike.setdefault(entry.spec.with_(demonstrations=Demonstrations()), []).append(entry.spec)
    several = [sorted(specs, key=order) for specs in alike.values() if len(specs) > 1]
    return [(specs[0], specs[-1]) for specs in several]


def _found_by_choice() -> list[Summary]:
    return [run.entry for run in loading.store().runs() if not run.entry.by_sample]


def order(spec: RunSpec) -> tuple[int, bool, int, int]:
    """By which of two conditions the first is A: the one with fewer demonstrations, other than correct ones first."""
    shown = spec.demonstrations
    return shown.k, shown.kind == "correct", -shown.seed, -shown.order


def show_newest() -> None:
    """Choose the newest comparison, unless the chosen one has been run; told without resolving specs, which takes
    longer than a first page may.
    """
    pairs = recorded_pairs()
    here = {_essence(entry.spec) for entry in _found_by_choice()}
    if pairs and any(_essence(condition_specs().side(side)) not in here for side in SIDES):
        show_pair(*pairs[0])


def _essence(spec: RunSpec) -> tuple[object, ...]:
    return without_folder(spec.model), spec.task, spec.demonstrations.canonical(), spec.n_items, spec.seed


def show_recent(of_task: str = "") -> None:
    """A button for each of the newest comparisons, of one task where it is given; nothing where there is none."""
    pairs = [pair for pair in recorded_pairs() if of_task in ("", pair[0].task)][:SHOWN]
    if not pairs:
        return
    st.markdown("Recorded already:")
    for place, (a, b) in enumerate(pairs):
        label = f"{describe(a)} against {describe(b, a)}"
        st.button(as_text(label), key=f"recent-{place}", on_click=show_pair, args=(a, b), icon=":material/compare:")


def show_pair(a: RunSpec, b: RunSpec) -> None:
    """Choose two recorded specs as A and B."""
    try:
        set_condition("a", a)
        set_condition("b", b)
    except UserError as error:
        st.session_state["refused"] = [str(error)]
