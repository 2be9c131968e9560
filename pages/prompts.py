"""Any item's prompt, response, expected answer and score, A beside B."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from iclviz.recording import Recording
from iclviz.tasks import task
from iclviz.ui.conditions import recorded
from iclviz.ui.controls import show_item_control
from iclviz.ui.page_state import set_state
from iclviz.ui.plain_text import as_text
from iclviz.ui.prompt_text import show_tokens

PAGE = {
    "title": "Prompts",
    "icon": "article",
    "section": "compare",
    "order": 3,
    "question": "What exactly was read and answered?",
    "invitation": "The responses",
    "fields": {"item": (0, 0, 4096)},
}


def item_table(label: str, recording: Recording, shown: Sequence[str]) -> None:
    """Every item with its response and main score; choosing a row shows its prompt, if it is among those shown."""
    name = task(recording.spec.task).primary.score
    rows = {
        "Item": list(recording.item_ids),
        "Expected": list(recording.answers),
        "Response": [text.strip() for text in recording.responses],
        "Parsed": list(recording.parsed),
        task(recording.spec.task).titles[name]: np.round(recording.scores[name], 3),
    }
    key = f"items-{label[0]}"

    def take() -> None:
        chosen = [recording.item_ids[row] for row in st.session_state[key].selection.rows]
        if chosen and chosen[0] in shown:
            set_state({"item": list(shown).index(chosen[0])})

    st.dataframe(rows, height=320, hide_index=False, key=key, on_select=take, selection_mode="single-row")


def _number(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


def one_item(label: str, recording: Recording, item_id: str) -> None:
    """Prompt, response and scores of an item under one condition."""
    st.markdown(f"**{as_text(label)}**")
    if item_id not in recording.item_ids:
        st.info("This condition has other items.")
        return
    number = list(recording.item_ids).index(item_id)
    ids = recording.prompt_ids[number] + recording.response_ids[number]
    show_tokens(recording.tokens[number], ids, recording.spans[number])
    parsed = recording.parsed[number]
    titles = task(recording.spec.task).titles
    facts = {
        "Expected": recording.answers[number],
        "Response": repr(recording.responses[number]),
        "Parsed": "unparseable" if parsed is None else parsed,
        "Tokens read": str(len(recording.prompt_ids[number])),
        **{titles.get(name, name): _number(values[number]) for name, values in recording.scores.items()},
    }
    st.table(
        {"": list(map(as_text, facts)), "value": list(map(as_text, facts.values()))},
        border="horizontal",
        hide_index=True,
        hide_header=True,
    )


pairs = recorded()
first = next(iter(pairs.values()))
number = show_item_control(first.n_items)
item_id = first.item_ids[number]
st.markdown(f"Item **{as_text(item_id)}**")
for column, (label, recording) in zip(st.columns(len(pairs)), pairs.items(), strict=True):
    with column:
        one_item(label, recording, item_id)
st.subheader("All items")
st.caption("The box at the left of a row chooses its item.")
for tab, (label, recording) in zip(st.tabs(list(map(as_text, pairs))), pairs.items(), strict=True):
    with tab:
        item_table(label, recording, first.item_ids)
