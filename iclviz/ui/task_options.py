"""Forms of a task's options, their controls built from what the task declares, and of what a chat template reads."""

import json
from collections.abc import Callable
from typing import Any

import streamlit as st

from iclviz.errors import SpecError, UserError
from iclviz.spec import canonical_json, template_options
from iclviz.tasks import Option, task
from iclviz.ui.page_state import page_state, set_state
from iclviz.ui.plain_text import lines_as_text

COLUMNS = 4

Control = Callable[[Option, Any, str], Any]


def _integer(option: Option, value: Any, key: str) -> Any:
    low, high = int(option.low or 0), int(option.high or 10**6)
    return st.number_input(option.title, low, high, int(value), key=key, help=option.help)


def _number(option: Option, value: Any, key: str) -> Any:
    low, high = float(option.low or 0), float(option.high or 1e6)
    typed = st.number_input(option.title, low, high, float(value), key=key, help=option.help)
    return int(typed) if typed.is_integer() else typed


def _switch(option: Option, value: Any, key: str) -> Any:
    return st.toggle(option.title, value, key=key, help=option.help)


def _choice(option: Option, value: Any, key: str) -> Any:
    return st.selectbox(option.title, option.choices, option.choices.index(value), key=key, help=option.help)


def _numbers(option: Option, value: Any, key: str) -> Any:
    typed = st.text_input(option.title, ", ".join(f"{number:g}" for number in value), key=key, help=option.help)
    try:
        return [float(part) for part in typed.replace(";", ",").split(",") if part.strip()]
    except ValueError:
        return typed


def _text(option: Option, value: Any, key: str) -> Any:
    return st.text_input(option.title, value, key=key, help=option.help)


CONTROLS: dict[str, Control] = {
    "integer": _integer,
    "number": _number,
    "switch": _switch,
    "choice": _choice,
    "numbers": _numbers,
    "text": _text,
}


def form(name: str) -> None:
    """The form; what is applied goes into the link, as far as it differs from the task's defaults."""
    the_task = task(name)
    kept = page_state()["options"].get(name, {})
    with st.form(f"options-{name}", border=False):
        columns = st.columns(COLUMNS)
        typed = {}
        for position, option in enumerate(the_task.options):
            with columns[position % COLUMNS]:
                value = kept.get(option.name, option.default)
                typed[option.name] = CONTROLS[option.kind](option, value, f"option-{name}-{option.name}")
        if not st.form_submit_button("Apply"):
            return
    try:
        values = {option.name: option.check(typed[option.name]) for option in the_task.options}
    except UserError as error:
        st.error(lines_as_text(str(error)))
        return
    changed = {option.name: values[option.name] for option in the_task.options if values[option.name] != option.default}
    set_state({"options": {**page_state()["options"], name: changed}})
    st.rerun()


def template_form() -> None:
    """What chat templates read besides the message, typed as JSON; what can be used goes into the link."""
    kept = page_state()["template"]
    typed = st.text_input(
        "What the chat template reads besides the message",
        canonical_json(kept) if kept else "",
        placeholder='{"enable_thinking": true}',
        help='Names and values in JSON, for prompt style chat alone. "date" is the day that it takes for today.',
    )
    try:
        options = dict(template_options(_read_json(typed)))
    except SpecError as error:
        st.error(lines_as_text(str(error)))
        return
    if options != kept:
        set_state({"template": options})
        st.rerun()


def _read_json(typed: str) -> Any:
    try:
        return json.loads(typed or "{}")
    except ValueError as error:
        raise SpecError(f"{typed} is no JSON ({error}).", 'Write it like {"enable_thinking": true}.') from error
