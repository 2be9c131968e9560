"""Controls that make an intervention: what is done, where, how much."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import streamlit as st

from iclviz.errors import UserError
from iclviz.intervening import Intervention, intervention, kinds, place_words
from iclviz.recording import Recording
from iclviz.spans import ANSWER, DEMONSTRATION, ROLES
from iclviz.ui.plain_text import lines_as_text

ROWS = ("last", "query")
FIRST = "knock_out"
"""What is done until somebody chooses."""

DOSE = 3.0
"""How far a dose goes on either side of nothing."""

ORDER = (
    "label", "to", "other", "item", "draw", "by", "dose", "shown", "k", "seed", "order", "rows", "layers", "heads",
)  # fmt: skip

TITLES = {
    "rows": "From",
    "to": "To",
    "of": "Part",
    "other": "To the class of another",
    "by": "Dose: log of the factor",
    "layers": "Blocks",
    "heads": "Heads",
    "draw": "Draw",
    "shown": "Demonstrations taken from",
    "item": "Whose",
    "dose": "Dose (standard deviations)",
    "sources": "Heads, as block:head",
    "k": "k",
    "seed": "Seed",
    "order": "Order",
}


def edited(recording: Recording, task_kinds: tuple[str, ...]) -> Intervention | None:
    """The intervention that the controls say; None, with the reason, where they say none.

    recording: says which places, blocks and heads there are; task_kinds: kinds of demonstrations.
    """
    known = kinds()
    first = [name for name in (FIRST, *known) if name in known]
    kind = st.selectbox(
        "What is done", list(dict.fromkeys(first)), format_func=lambda name: known[name].title, key="live-kind"
    )
    hints = get_type_hints(known[kind])
    usual = _first_values(known[kind].example)
    if not _needs_blocks(known[kind], usual):
        usual.pop("layers", None)
    values: dict[str, Any] = {}
    for name in sorted((entry.name for entry in fields(known[kind])), key=_place):
        if _is_shown(name, values):
            value = _control(kind, name, hints[name], usual, recording, task_kinds, values)
            if value is not None:
                values[name] = value
    try:
        return known[kind].from_values(values)
    except UserError as error:
        st.error(lines_as_text(str(error)))
        return None


def _first_values(example: str) -> dict[str, str]:
    return dict(part.partition("=")[::2] for part in example.split()[1:])


def _needs_blocks(kind: type[Intervention], usual: Mapping[str, str]) -> bool:
    """Whether a kind is nothing without blocks that are named."""
    try:
        intervention(" ".join([kind.kind, *(f"{name}={value}" for name, value in usual.items() if name != "layers")]))
    except UserError:
        return True
    return False


def _place(name: str) -> int:
    """What is done stands before where it is done."""
    return ORDER.index(name) if name in ORDER else -1


def _is_shown(name: str, values: Mapping[str, Any]) -> bool:
    """Whether a field means anything beside those before it."""
    if name == "heads":
        return bool(values.get("of", "head") == "head")
    if name == "other":
        return not values.get("to")
    return name != "draw" or values.get("to") == "resample" or values.get("item") in ("another", "random")


def _control(
    kind: str,
    name: str,
    hint: Any,
    usual: Mapping[str, str],
    recording: Recording,
    task_kinds: tuple[str, ...],
    before: Mapping[str, Any],
) -> Any:
    """The value of a field; None where it stays as it is. before: those of fields that stand before it."""
    key, title = f"live-{kind}-{name}", TITLES.get(name, name.capitalize())
    if get_origin(hint) is Literal:
        title = "Set to" if name == "to" else title
        return st.selectbox(title, get_args(hint), key=key)
    if name == "layers":
        most = recording.n_layers
        start = min(int(usual[name].partition("-")[0]), most) if name in usual else 0
        first, last = st.slider(title, 1, most, (start, start) if start else (1, most), key=key)
        return None if (first, last) == (1, most) and not start else tuple(range(first, last + 1))
    if name == "heads":
        n_heads = next(iter(recording.attention.values())).shape[2]
        return tuple(st.multiselect(title, range(n_heads), placeholder="All", key=key)) or None
    if name == "label":
        return st.selectbox(title, list(recording.labels), key=key)
    if name == "to" and "label" in before:
        values = recording.labels[before["label"]]
        classes = [] if np.issubdtype(values.dtype, np.floating) else sorted({str(value) for value in values})
        return st.selectbox(title, classes, key=key) if classes else None
    if name in ("rows", "to"):
        places = [*ROWS, *places_of(recording)] if name == "rows" else places_of(recording)
        start = places.index(usual[name]) if usual.get(name) in places else 0
        return st.selectbox(title, places, start, format_func=place_words, key=key)
    if name == "shown":
        return st.selectbox(title, task_kinds, key=key)
    return _typed(name, title, hint, usual, key)


def _typed(name: str, title: str, hint: Any, usual: Mapping[str, str], key: str) -> Any:
    """A text or a number."""
    if hint is str:
        return st.text_input(title, usual.get(name, ""), key=key)
    if type(None) in get_args(hint):
        return None
    if hint is float:
        return st.slider(title, -DOSE, DOSE, float(usual.get(name, 0.0)), 0.1, key=key)
    return int(st.number_input(title, 0, 10_000, 2 if name == "k" else 0, key=key))


def places_of(recording: Recording) -> list[str]:
    """The roles and marks that a recording's prompts have, by name."""
    held = {span.role for item in recording.spans for span in item if len(span)} - {"response"}
    marks = {mark.name for item in recording.marks for mark in item}
    named = [name for name in (f"{ANSWER}:", f"{DEMONSTRATION}:") if any(mark.startswith(name) for mark in marks)]
    numbered = sorted(marks, key=lambda name: (name.split(":")[0], int(name.split(":")[1])))
    return [role for role in ROLES if role in held] + [f"{name}*" for name in named] + numbered
