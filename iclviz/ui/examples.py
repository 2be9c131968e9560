"""Comparisons that run at a click, and the guide that leads through the first one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from iclviz.errors import UserError
from iclviz.ui import jobs, loading
from iclviz.ui.conditions import Condition, conditions
from iclviz.ui.link_fields import DEMO
from iclviz.ui.page_files import open_page
from iclviz.ui.page_state import condition_specs, set_state
from iclviz.ui.plain_text import as_text


@dataclass(frozen=True)
class Example:
    """A comparison worth a look.

    Attributes
    ----------
    title: its name; what: what A and B are; look: what to look for.
    asks: what it is about, in words that the first sentence of its Summary holds as well.
    choices: what is chosen for it.
    page: the name of the page that shows it.
    """

    title: str
    what: str
    look: str
    asks: tuple[str, ...]
    choices: Mapping[str, Any]
    page: str = "summary"


def _of(task: str, **changed: Any) -> Mapping[str, Any]:
    return {**DEMO, "a_task": task, "b_task": task, **changed}


EXAMPLES = (
    Example(
        "No examples against two",
        "Reading comprehension: who does what, from two statements. A: no examples. B: 2 solved ones.",
        "Are there more right answers, and does attention move to the statement that answers?",
        ("right answers",),
        DEMO,
    ),
    Example(
        "Right against shuffled",
        "Reading comprehension. A: 2 examples with shuffled answers. B: 2 with the right ones.",
        "Are there more right answers? Prompts are about as long, and differ in their examples' answers alone.",
        ("right answers",),
        {**DEMO, "a_kind": "shuffled", "a_k": 2},
    ),
    Example(
        "Few against many",
        "Linear regression: points of a line among points of another. A: 2 of each. B: 16 of each.",
        "Does the typical error fall, and do layers tell the lines apart?",
        ("typical error",),
        _of("linear_regression", a_kind="correct", a_k=2, b_k=16, items=32),
    ),
    Example(
        "Do examples help to resist an injection?",
        "Questions about documents: clean, with a hidden instruction, with a harmless text. A: no examples. B: 2 that "
        "resist.",
        "Of the injected items, are fewer obeyed, and more answered right?",
        ("injected", "obeyed", "right"),
        _of("prompt_injection", items=48),
    ),
    Example(
        "Clean against injected",
        "The same documents and the same runs, clean beside injected and harmless ones, in A and in B.",
        "What does a hidden instruction change: how many items are right, obeyed or neither?",
        (),
        {**_of("prompt_injection", items=48), "split": "version"},
        page="behaviour",
    ),
)


A_ROW = 2


def start(example: Mapping[str, Any]) -> None:
    """Choose an example's A and B, and ask for both."""
    set_state(example)
    specs = condition_specs()
    try:
        jobs.ask_for([loading.resolved(specs.a), loading.resolved(specs.b)])
    except UserError as error:
        st.session_state["job_problem"] = str(error)


def show_examples(is_first: bool = False) -> None:
    """A card for each example with its button; `is_first` marks the first one's as the thing to do."""
    columns = [column for _ in EXAMPLES[::A_ROW] for column in st.columns(A_ROW)]
    for place, (column, example) in enumerate(zip(columns, EXAMPLES, strict=False)):
        with column, st.container(border=True, height="stretch"):
            done = is_recorded(example)
            tick = ":material/check_circle: " if done else ""
            st.markdown(f"{tick}**{example.title}**  \n{as_text(example.what)}")
            st.caption(example.look)
            name, key = f"{example.title[0].lower()}{example.title[1:]}", f"example-{place}"
            if done:
                opens = f"Opens the page {example.page.capitalize()} of “{example.title}”, which is recorded."
                if st.button(f"Open {name}", key=key, icon=":material/summarize:", help=opens):
                    set_state(example.choices)
                    open_page(example.page)
                continue
            st.button(
                f"Run {name}",
                key=key,
                on_click=start,
                args=(example.choices,),
                type="primary" if is_first and not place else "secondary",
                icon=":material/play_arrow:",
                help=f"Runs A and B of “{example.title}” with the small model that came with iclviz.",
            )


def is_recorded(example: Example) -> bool:
    """Whether A and B of an example lie in the cache."""
    specs = condition_specs(example.choices)
    try:
        return all(loading.resolved(spec).key in loading.store() for spec in (specs.a, specs.b))
    except UserError:
        return False


CLOSED = "guide_closed"


def is_guided() -> bool:
    """Whether the steps are on the page: nothing was recorded when this session came, and they were not closed."""
    closed = bool(loading.store().summaries()) and "guided" not in st.session_state
    return not st.session_state.get(CLOSED, closed)


def summary_button() -> None:
    """The way from a run to its result."""
    if st.button("Read the Summary", type="primary", icon=":material/summarize:", help="Opens the Summary."):
        st.switch_page("pages/summary.py")


def guide() -> bool:
    """Three steps to the first figure, on the page until they are closed or were gone, where `is_guided` says so;
    whether the examples stand in them.
    """
    st.session_state["guided"] = True
    found = conditions()
    recorded = all(one.recording is not None for one in found)
    asked = recorded or any(_is_asked(one) for one in found)
    with st.container(border=True):
        title, close = st.columns([6, 1], vertical_alignment="center")
        title.markdown("##### See in-context learning in a small model, in three steps")
        close.button("Close", on_click=_close, type="tertiary", icon=":material/close:", help="Hide these steps.")
        _step(1, "Choose a comparison: A and B differ in what the model is shown.", asked)
        if not asked:
            show_examples(is_first=True)
        _step(2, "Let it run: about a minute on two cores. Its progress is below.", recorded)
        _step(3, "Read the result: behaviour first, then what changed inside.", False)
        if recorded:
            summary_button()
    return not asked


def _is_asked(condition: Condition) -> bool:
    if condition.resolved is None:
        return False
    job = loading.queue().get(condition.resolved.key)
    return condition.recording is not None or (job is not None and job.is_open)


def _step(number: int, words: str, is_done: bool) -> None:
    icon = ":material/check_circle:" if is_done else f":material/counter_{number}:"
    st.markdown(f"{icon} {words}")


def _close() -> None:
    st.session_state[CLOSED] = True


def reopen() -> None:
    """Show the steps again."""
    st.session_state[CLOSED] = False
