"""Any item's prompt, response, expected answer and score, A beside B."""

from collections.abc import Sequence

import streamlit as st

from iclviz.figures.points_of_items import item_points
from iclviz.natural_units import plain
from iclviz.recording import Recording
from iclviz.reporting.followed import followed_by
from iclviz.reporting.scope import demonstration_scope
from iclviz.tasks import task
from iclviz.ui import cached
from iclviz.ui.conditions import recorded
from iclviz.ui.controls import show_item_control
from iclviz.ui.figure import show
from iclviz.ui.items import show_items
from iclviz.ui.plain_text import as_text
from iclviz.ui.prompt_text import only_here, show_tokens

PAGE = {
    "title": "Prompts",
    "icon": "article",
    "section": "compare",
    "order": 3,
    "question": "What exactly was read and answered?",
    "invitation": "The responses",
    "fields": {"item": (0, 0, 4096)},
}


def one_item(label: str, recording: Recording, item_id: str, other: Sequence[str]) -> None:
    """Prompt, response and scores of an item under one condition; other: the tokens of the same under the other one."""
    st.markdown(f"**{as_text(label)}**")
    if item_id not in recording.item_ids:
        st.info("This condition has other items.")
        return
    number = list(recording.item_ids).index(item_id)
    ids = recording.prompt_ids[number] + recording.response_ids[number]
    own = only_here(recording.tokens[number], other) if other else frozenset()
    show_tokens(recording.tokens[number], ids, recording.spans[number], own)
    show_points(label, recording, number)
    parsed = recording.parsed[number]
    of = task(recording.spec.task)
    facts = {
        "Expected": recording.answers[number],
        "Response": repr(recording.responses[number]),
        "Parsed": "unparseable" if parsed is None else parsed,
        **({"Followed": followed_by(recording, number)} if of.has_statements else {}),
        "Tokens read": str(len(recording.prompt_ids[number])),
        **{of.titles.get(name, name): plain(values[number]) for name, values in recording.scores.items()},
    }
    st.table(
        {"": list(map(as_text, facts)), "value": list(map(as_text, facts.values()))},
        border="horizontal",
        hide_index=True,
        hide_header=True,
    )


def show_points(label: str, recording: Recording, number: int) -> None:
    """A picture of an item that is points; nothing for others."""
    points = cached.points(recording.key, number, recording)
    if points is not None:
        said = recording.parsed[number]
        answer = None if said is None else float(said)
        limits = demonstration_scope([recording])
        item = recording.item_ids[number]
        show(item_points(points, condition=label, item=item, answer=answer, demonstrations=limits), name=label[0])


def tokens_of(recording: Recording, item_id: str) -> Sequence[str]:
    """The tokens of an item; none where a condition lacks it."""
    ids = list(recording.item_ids)
    return recording.tokens[ids.index(item_id)] if item_id in ids else []


pairs = recorded()
first = next(iter(pairs.values()))
the_task = task(first.spec.task)
number = show_item_control(first.n_items)
item_id = first.item_ids[number]
st.markdown(f"Item **{as_text(item_id)}**")
read = {label: tokens_of(one, item_id) for label, one in pairs.items()}
for column, (label, recording) in zip(st.columns(len(pairs)), pairs.items(), strict=True):
    with column:
        others = [tokens for name, tokens in read.items() if name != label]
        one_item(label, recording, item_id, others[0] if others else [])
if len(pairs) > 1:
    st.caption("Underlined: tokens that stand in this text and not in the other, both read in order.")
st.subheader("All items")
show_items(pairs, the_task, the_task.primary.score, opens=False)
