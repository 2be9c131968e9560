"""Every head of the model: what kind it is, whether the answer needs it, and one of them everywhere."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import streamlit as st

from iclviz.analysis.every_head import HeadScores
from iclviz.errors import UserError
from iclviz.mapping import Grid, grid, tracer
from iclviz.maps import EffectMap
from iclviz.natural_units import plain
from iclviz.recording import Recording
from iclviz.reporting.map_recipes import map_label
from iclviz.reporting.trace_recipes import every_head, heads_sentence
from iclviz.resolve import Resolved, ResolvedMap
from iclviz.spec import RunSpec
from iclviz.ui import jobs, loading, options
from iclviz.ui.answering import answers, slot
from iclviz.ui.clickable import show_cells
from iclviz.ui.conditions import recorded
from iclviz.ui.copying import Copied
from iclviz.ui.mapped import traces_of
from iclviz.ui.page_files import open_page
from iclviz.ui.page_state import page_state, set_state, write_url
from iclviz.ui.plain_text import lines_as_text
from iclviz.ui.terms import with_terms

PAGE = {
    "title": "Heads",
    "icon": "hub",
    "section": "why",
    "order": 4,
    "question": "What kind of head is each, and which does the answer need?",
    "invitation": "Look at every head",
    "fields": {"heads_of": "", "layer": (15, 0, 1000), "head": ""},
}

ANSWERS = "demonstration_attention"


def further(label: str, one: Recording) -> tuple[Recording, dict[str, EffectMap]]:
    """The run as it keeps attention by demonstration, and its maps of heads; buttons make what is not there."""
    shown = one.spec.demonstrations.canonical()
    found: dict[str, EffectMap] = {}
    columns = st.container(horizontal=True, gap="small")
    with columns:
        if shown.k:
            needed = one.spec.with_(record=(ANSWERS,), poolings=None, attention_items=())
            kept = loading.keeping(one, needed)
            if kept is None:
                _offer("Attention to answers", lambda: loading.resolved(loading.keeping_too(one, needed)))
            one = kept or one
        _map(label, one, grid("heads"), "Effect of ablating", found)
        if shown.k and shown.kind != "shuffled":
            means = grid(f"head_means shown={shown.kind} k={shown.k} seed={shown.seed} order={shown.order}")
            shuffled = one.spec.with_(demonstrations=replace(shown, kind="shuffled", examples=()))
            wrong = loading.found(shuffled).recording
            if wrong is not None:
                _map(label, wrong, means, "Function-vector score", found, f"{label} (shuffled)")
            else:
                _offer("Function-vector score", lambda: loading.resolved_map(shuffled, means), shuffled)
    return one, found


def _map(label: str, run: Recording, of: Grid, what: str, found: dict[str, EffectMap], own: str = "") -> None:
    """Add a run's map, or a button that makes it."""
    made = loading.effect_map(run, of)
    if made is not None:
        found[map_label(own or label, of)] = made
    else:
        _offer(what, lambda: loading.resolved_map(run.spec, of))


def _offer(what: str, resolve: Callable[[], Resolved | ResolvedMap], run: RunSpec | None = None) -> None:
    """A button that makes a score; run: one that is recorded before."""
    try:
        wanted = [resolve()] if run is None else [loading.resolved(run), resolve()]
    except UserError as error:
        st.caption(lines_as_text(str(error)))
        return
    jobs.run_button(f"Add: {what}", wanted, primary=False)


def one_head(found: HeadScores, block: int, head: int) -> None:
    """A head's scores, and where else it can be seen."""
    parts = [
        f"{title} **{plain(round(value, 3))}** (rank {rank} of {found.shape[0] * found.shape[1]})"
        for title, value, rank in found.of_head(block, head)
    ]
    st.markdown(f"**Block {block}, head {head}:** {'; '.join(parts)}.")
    with st.container(horizontal=True, gap="small"):
        if st.button("What it attends to", icon=":material/visibility:"):
            open_page("attention")
        if st.button("Ablate it on one item", icon=":material/touch_app:"):
            set_state({"live_acts": f"ablate of=head layers={block} heads={head}"})
            open_page("live")


def chosen_head(shape: tuple[int, int]) -> tuple[int, int | None]:
    """The block and head that are chosen, within the model's; no head is every head of the block."""
    state = page_state()
    block = min(max(int(state["layer"]), 1), shape[0])
    head = int(state["head"]) if str(state["head"]).isdecimal() and int(state["head"]) < shape[1] else None
    return block, head


pairs: Mapping[str, Recording] = recorded()
label = options.select("heads_of", "Condition", list(pairs), None, list(pairs)[-1])
catalogues = traces_of({label: pairs[label]}, tracer("head_catalogue"))
if catalogues:
    run, maps = further(label, pairs[label])
    jobs.progress()
    recipe, runs = every_head(label, run, catalogues[label], maps)
    with slot():
        answered = answers(recipe.questions(runs))
        found = answered["heads"]
        block, head = chosen_head(found.shape)
        st.markdown(with_terms(heads_sentence(found)))
        show_cells(recipe.draw(answered, runs), block, head, Copied(recipe, runs))
        if head is not None:
            one_head(found, block, head)
        st.subheader("All heads")
        rows = found.rows()
        event = st.dataframe(rows, hide_index=True, on_select="rerun", selection_mode="single-row", key="heads-table")
        chosen = event["selection"]["rows"]
        if chosen and (rows[chosen[0]]["Block"], rows[chosen[0]]["Head"]) != (block, head):
            set_state({"layer": int(rows[chosen[0]]["Block"]), "head": str(int(rows[chosen[0]]["Head"]))})
            write_url()
            st.rerun()
