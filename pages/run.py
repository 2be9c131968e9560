"""Choose what to run, see the exact prompt before it runs, run A, B or both, and watch the queue."""

from typing import get_args

import streamlit as st

from iclviz.errors import UserError
from iclviz.recorders import optional
from iclviz.resolve import Resolved, build, rendered, run_facts
from iclviz.spec import DEFAULT_POOLINGS, POOLINGS, FirstToken
from iclviz.tasks import task
from iclviz.ui import controls, examples, foretold, jobs, loading, own_tasks, page_state, task_options
from iclviz.ui.conditions import Condition, badge, conditions
from iclviz.ui.plain_text import as_text, lines_as_text
from iclviz.ui.prompt_text import show_segments

PAGE = {
    "title": "Run",
    "icon": "play_circle",
    "section": "run",
    "order": 1,
    "question": "What does the model read, and what is to be run?",
}


PURPOSE = (
    "iclviz shows what examples in a prompt do inside a language model, and whether that goes with better answers: "
    "choose two conditions A and B, run them, and read the Summary."
)


def called(condition: Condition) -> str:
    """A condition's letter in its colour, and its title."""
    return f"{badge(condition.side)} {as_text(condition.title)}"


def state_line(condition: Condition) -> None:
    """Where a condition stands that is not in the queue."""
    if condition.problem:
        st.error(f"{condition.side.upper()}: {lines_as_text(condition.problem)}")
    elif condition.recording is not None:
        st.markdown(f"{called(condition)} — :material/check_circle: recorded, key `{condition.recording.key[:12]}`")
    else:
        st.markdown(f"{called(condition)} — not run yet")


def preview(resolved: Resolved) -> None:
    """The exact prompt of one item, with its size."""
    loading.check(resolved)
    built = build(resolved)
    number = min(page_state.page_state()["item"], len(built.data.items) - 1)
    item = built.data.items[number]
    needs_template = resolved.spec.prompt_style == "chat"
    try:
        facts = run_facts(resolved)
        tokenizer = loading.tokenizer(resolved)
        lengths = loading.prompt_lengths(resolved)
    except UserError as error:
        st.warning(lines_as_text(str(error)))
        if needs_template:
            return
        tokenizer, lengths = None, []
    show_segments(rendered(resolved, [built.prompts[number]], tokenizer)[0].segments)
    parts = [f"expected answer **{as_text(item.answer)}**"]
    if lengths:
        limit = facts.context_length
        parts.append(f"{lengths[number]:,} tokens of {limit:,} that the model reads" if limit else "no token limit")
        parts.append(f"{sum(lengths):,} tokens in all {len(lengths)} prompts")
    st.caption(" · ".join(parts))


st.markdown(PURPOSE)
found = conditions()
guided = examples.is_guided()
shows_examples = guided and examples.guide()
at_work = {one.resolved.key: called(one) for one in found if one.resolved and jobs.is_open(one.resolved)}
at_rest = [one for one in found if one.resolved is None or one.resolved.key not in at_work]
for condition in at_rest:
    state_line(condition)
own_tasks.offer_fit()
jobs.progress(named=at_work)
waiting = [one for one in at_rest if one.resolved is not None and one.recording is None and not one.problem]
with st.container(horizontal=True):
    for condition in waiting:
        jobs.run_button(f"Run {condition.side.upper()}", [condition.resolved] if condition.resolved else [], False)
    if len(waiting) > 1:
        jobs.run_button("Run both", [one.resolved for one in waiting if one.resolved], primary=not guided)
    if not guided and all(condition.recording is not None for condition in found):
        examples.summary_button()
foretold.foretell(waiting)
jobs.tell_when_done(bool(at_work), all(condition.recording is not None for condition in found))
jobs.ended()
recordings = {condition.label: condition.recording for condition in found if condition.recording is not None}
if len(recordings) == 2:
    from iclviz.ui.compared import prepare_summary  # not above: analyses would hold up the very first page

    prepare_summary(recordings)

if not shows_examples:
    st.subheader("Examples")
    examples.show_examples()
st.subheader("The exact prompt")
controls.show_item_control(page_state.page_state()["items"])
for tab, condition in zip(st.tabs([as_text(one.label) for one in found]), found, strict=True):
    with tab:
        if condition.resolved is None:
            st.error(lines_as_text(condition.problem))
            continue
        try:
            preview(condition.resolved)
        except UserError as error:
            st.error(lines_as_text(str(error)))

with st.expander("Your own task"):
    own_tasks.section()
with st.expander("Task options and prompt style"):
    page_state.bound(
        st.segmented_control,
        "Prompt style",
        "style",
        ["preset", "plain", "chat"],
        required=True,
        help="plain: the bare text; chat: one user message in the model's chat template; preset: the model's default.",
    )
    page_state.bound(
        st.segmented_control,
        "First token",
        "first_token",
        get_args(FirstToken),
        required=True,
        help="The first token collects attention, whatever it is. start: it is a start token, or a line break, apart "
        "from all content; as is: nothing is put before a plain prompt.",
    )
    task_options.template_form()
    page_state.bound(
        st.multiselect,
        "Further embeddings",
        "poolings",
        [name for name in POOLINGS if name not in DEFAULT_POOLINGS],
        help="Means over one role's tokens, to compare and probe by themselves. The usual five are always kept.",
    )
    controls.show_attention_items_control()
    further = optional()
    page_state.bound(
        st.multiselect,
        "Record as well",
        "record",
        list(further),
        format_func=lambda name: further[name].title,
        placeholder="Nothing",
        help="  \n".join(f"**{one.title}**: {one.sentence}" for one in further.values()),
    )
    for name in dict.fromkeys(condition.resolved.spec.task for condition in found if condition.resolved):
        st.markdown(f"**{as_text(task(name).title)}**")
        task_options.form(name)
if not guided:
    st.button("Show the first steps again", on_click=examples.reopen, type="tertiary")
