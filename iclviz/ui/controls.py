"""Controls that several pages share: the sidebar's conditions A and B, and the choice of an item or a layer."""

import streamlit as st

from iclviz.errors import UserError
from iclviz.intervening import intervention, kinds
from iclviz.models.locating import on_disk
from iclviz.models.presets import DEMO_MODEL, model_title, presets
from iclviz.spec import MOST_ATTENTION_ITEMS
from iclviz.tasks import KINDS, Task, all_tasks, task
from iclviz.ui import loading
from iclviz.ui.link_fields import ACT_BORDER, CONDITIONS, MOST_ITEMS, MOST_K, MOST_SEED, SIDES
from iclviz.ui.page_state import (
    COLOURS,
    bound,
    confirm,
    is_only_linked,
    kept_places,
    page_state,
    set_state,
    swap,
)
from iclviz.ui.plain_text import as_text


def sidebar() -> None:
    """The sidebar's controls for A and B, on every page."""
    _leave_missing_tasks()
    with st.sidebar:
        _side_controls("a")
        st.button("Swap A and B", on_click=swap, icon=":material/swap_vert:", width="stretch")
        _side_controls("b")
        n_items, seed = st.columns(2)
        same = "Queries of the task, the same for A and B."
        bound(n_items.number_input, "Items", "items", 2, MOST_ITEMS, help=same)
        bound(seed.number_input, "Item seed", "items_seed", 0, MOST_SEED, help="Draws the queries.")


def _leave_missing_tasks() -> None:
    """Take the default for a task that the cache no longer keeps, or that is damaged."""
    for name in [f"{side}_task" for side in SIDES]:
        try:
            if page_state()[name] in all_tasks():
                task(page_state()[name])
                continue
            problem = f"{name} = {page_state()[name]}"
        except UserError as error:
            problem = str(error)
        st.session_state["refused"] = [*(st.session_state.get("refused") or ()), problem]
        set_state({name: CONDITIONS[name].default})


def _side_controls(side: str) -> None:
    chosen = page_state()
    the_task = task(chosen[f"{side}_task"])
    st.markdown(f"##### :{COLOURS[side]}-badge[{side.upper()}] Condition {side.upper()}")
    bound(
        st.selectbox,
        "Model",
        f"{side}_model",
        models_here(chosen[f"{side}_model"]),
        accept_new_options=True,
        format_func=model_title,
        help="A preset on this disk, or type a preset's name, a hub id, a folder or a .gguf file.",
    )
    model = chosen[f"{side}_model"]
    if is_only_linked(model) and not loading.is_here(model):
        st.button("Use this model", key=f"use-{side}-model", on_click=confirm, args=(model,), icon=":material/link:")
    titles = all_tasks().titles()
    bound(
        st.selectbox, "Task", f"{side}_task", list(titles), format_func=titles.get, help=as_text(the_task.description)
    )
    kind, k, seed = st.columns([2, 1, 1], gap="xsmall")
    meaning = "  \n".join(f"**{name}**: {KINDS[name]}" for name in the_task.demonstration_kinds)
    kinds = _kinds(the_task, chosen[f"{side}_kind"])
    bound(kind.selectbox, "Demonstrations", f"{side}_kind", kinds, help=f"Kind of demonstrations.  \n{meaning}")
    bound(k.number_input, "k", f"{side}_k", 0, MOST_K, help="Number of demonstrations.")
    bound(seed.number_input, "Seed", f"{side}_seed", 0, MOST_SEED, help="Draws the demonstrations.")
    if chosen[f"{side}_kind"] == "custom":
        shown_as = "Each as the model is to read it, answer included; an empty line between two. The first k are shown."
        bound(st.text_area, "Your examples", f"{side}_examples", help=shown_as)
    acts, order = st.columns([3, 1], gap="xsmall")
    bound(acts.text_input, "Done to the model", f"{side}_acts", placeholder="nothing", help=_about_acts())
    in_turn = "Order of the demonstrations, the same for all items: 0 is as drawn, every other number another one."
    bound(order.number_input, "Order", f"{side}_order", 0, MOST_SEED, help=in_turn)


def _about_acts() -> str:
    examples = "  \n".join(f"`{one.example}`: {intervention(one.example).sentence()}" for one in kinds().values())
    return f"What is changed while the model reads; several with “{ACT_BORDER.strip()}” between.  \n{examples}"


def models_here(chosen: str) -> list[str]:
    """The models that can be chosen: those on this disk, and the one that is chosen."""
    here = [name for name, row in presets().items() if on_disk(row)]
    return list(dict.fromkeys([DEMO_MODEL, *here, chosen]))


def _kinds(the_task: Task, chosen: str) -> list[str]:
    return list(dict.fromkeys([*the_task.demonstration_kinds, chosen]))


def show_item_control(n_items: int) -> int:
    """The control that chooses one of n items; the item's number."""
    shown = min(page_state()["item"], n_items - 1)
    about = "Counts from 0, in the task's order."
    number: int = bound(st.number_input, "Item", "item", 0, n_items - 1, shown=shown, help=about)
    return number


def show_attention_items_control() -> None:
    """The control that chooses items whose attention is kept token by token."""
    page_state()["attention_items"] = list(kept_places())
    bound(
        st.multiselect,
        "Keep attention token by token for items",
        "attention_items",
        range(page_state()["items"]),
        max_selections=MOST_ATTENTION_ITEMS,
        placeholder="None",
        help=f"Up to {MOST_ATTENTION_ITEMS} items by their places from 0, for attention on text. "
        "A run with other places is another run; its other numbers are the same.",
    )


def show_layer_control(last: int, where: str = "", first: int = 0) -> int:
    """The control that chooses a layer from `first` to `last`; blocks count from 1.

    where: tells apart several on one page, which all show the one chosen layer.
    """
    shown = min(max(page_state()["layer"], first), last)
    title = "Block" if first else "Layer"
    meaning = "Blocks count from 1." if first else "0 enters the first block; the last leaves it."
    if last <= first:
        return first
    layer: int = bound(st.slider, title, "layer", first, last, where=where, shown=shown, help=meaning)
    return layer
