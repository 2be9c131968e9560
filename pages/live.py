"""Acting on one item: what is done to the model shows at once."""

from dataclasses import dataclass

import streamlit as st

from iclviz.analysis.acting_on_item import changed_item
from iclviz.errors import UserError
from iclviz.figures.live import live_attention, live_candidates
from iclviz.intervening import Intervention, shortly
from iclviz.live import LiveAnswer
from iclviz.natural_units import plain
from iclviz.recording import Recording
from iclviz.reporting.scope import demonstration_scope
from iclviz.tasks import task
from iclviz.ui import acts, jobs, loading, options
from iclviz.ui.conditions import recorded
from iclviz.ui.controls import show_item_control
from iclviz.ui.figure import show
from iclviz.ui.link_fields import ACT_BORDER, interventions_of
from iclviz.ui.live import LoadingError, live_answer, live_spec, wait, warm
from iclviz.ui.page_files import open_page
from iclviz.ui.page_state import page_state, set_condition, set_state, write_url
from iclviz.ui.plain_text import as_text, lines_as_text
from iclviz.ui.prompt_text import show_tokens

PAGE = {
    "title": "Live",
    "icon": "touch_app",
    "section": "why",
    "order": 2,
    "question": "What happens to this item if the model cannot do that?",
    "invitation": "Act on one item",
    "fields": {"live_of": "", "live_acts": "", "item": (0, 0, 4096)},
}

HISTORY, MOST_HISTORY = "live-history", 50


@dataclass(frozen=True)
class Tried:
    """Something that was done to an item, and what came of it."""

    item: str
    done: str
    margin: float
    right: float


def kept() -> tuple[Intervention, ...]:
    """What is done besides what the controls say."""
    try:
        return interventions_of(page_state()["live_acts"])
    except UserError as error:
        st.error(lines_as_text(str(error)))
        return ()


def keep(done: tuple[Intervention, ...]) -> None:
    """Do these from now on; what was done before can be taken back."""
    st.session_state.setdefault("live-before", []).append(page_state()["live_acts"])
    set_state({"live_acts": ACT_BORDER.join(map(str, done))})
    write_url()


def undo() -> None:
    """Take back the last change of what is done."""
    set_state({"live_acts": st.session_state["live-before"].pop()})
    write_url()


def what_is_done(one: Recording) -> tuple[Intervention, ...]:
    """What is kept, each with a way to leave it out, and what the controls say."""
    before = kept()
    kinds = tuple(task(one.spec.task).demonstration_kinds)
    is_on = st.toggle("Do it", value=True, key="live-on", help="Off shows the item with what is kept alone.")
    now = acts.edited(one, kinds)
    with st.container(horizontal=True, gap="small"):
        both = (*before, now) if now else before
        st.button("Keep, and add another", on_click=keep, args=(both,), disabled=now is None, icon=":material/add:")
        st.button("Undo", on_click=undo, disabled=not st.session_state.get("live-before"), icon=":material/undo:")
    for place, act in enumerate(before):
        rest = (*before[:place], *before[place + 1 :])
        st.button(
            as_text(act.short), key=f"live-drop-{place}", on_click=keep, args=(rest,), icon=":material/close:",
            help="Leave this out.", type="tertiary",
        )  # fmt: skip
    return (*before, now) if now and is_on else before


def answered(one: Recording, item: int, done: tuple[Intervention, ...]) -> tuple[LiveAnswer, LiveAnswer] | None:
    """The item with nothing done and with something done; None, with a sentence, where they are not there yet."""
    warm(live_spec(one, item, ()))
    for acts_now in ((), done):
        spec = live_spec(one, item, acts_now)
        try:
            live_answer(spec)
        except LoadingError:
            wait(spec)
            return None
        except UserError as error:
            st.info(lines_as_text(str(error)))
            return None
    before, after = (live_answer(live_spec(one, item, acts_now)) for acts_now in ((), done))
    return before, after


def outcome(one: Recording, item: int, before: LiveAnswer, after: LiveAnswer, done: tuple[Intervention, ...]) -> None:
    """The item's answer with and without."""
    found, words = changed_item(before, after), shortly(done) or "nothing"
    left, right = st.columns(2)
    change = found.margin_after - found.margin_before
    # Streamlit tells rises from falls by a plain minus.
    left.metric("Margin of the right answer (nats)", plain(found.margin_after), f"{change:+.3g}" if done else None)
    chance = f"{100 * found.after[0]:.0f} %"
    moved = f"{100 * (found.after[0] - found.before[0]):+.2g} points" if done else None
    right.metric("Right answer, among the candidates", chance, moved)
    if done and after.changed == 0:
        st.warning("Nothing changed by this: what is acted on was as it is set already, or out of a window's reach.")
    show(live_candidates(found, done=words, demonstrations=demonstration_scope([one])))
    remember(Tried(one.item_ids[item], words, found.margin_after, found.after[0]))


def written(one: Recording, item: int, done: tuple[Intervention, ...]) -> None:
    """What the model writes with it done, and without."""
    texts = []
    for acts_now in dict.fromkeys((done, ())):
        spec = live_spec(one, item, acts_now, writes=True)
        try:
            texts.append(live_answer(spec).response.strip())
        except LoadingError:
            wait(spec)
            return
        except UserError as error:
            st.info(lines_as_text(str(error)))
            return
    said = f"Writes “{as_text(texts[0])}”" + (f", undisturbed “{as_text(texts[1])}”" if len(texts) > 1 else "")
    st.markdown(f"{said}. Expected: **{as_text(one.answers[item])}**.")


def remember(tried: Tried) -> None:
    """Add to what was tried, unless it is what was tried last."""
    history = st.session_state.setdefault(HISTORY, [])
    if not history or history[0] != tried:
        history.insert(0, tried)
        del history[MOST_HISTORY:]


def on_all_items(one: Recording, done: tuple[Intervention, ...]) -> None:
    """Record the condition with this done, beside the condition as it is."""
    try:
        spec = one.spec.with_(interventions=(*one.spec.interventions, *done))
        set_condition("a", one.spec)
        set_condition("b", spec)
        jobs.ask_for([loading.resolved(spec)])
    except UserError as error:
        st.session_state["job_problem"] = str(error)


@st.fragment
def body() -> None:
    """The page below what it is about: redrawn by itself, so that an answer shows at once."""
    left, right = st.columns([2, 3], gap="large")
    with left:
        sides, items = st.columns(2)
        with sides:
            side = options.select("live_of", "Condition", list(pairs), None, list(pairs)[-1])
        one = pairs[side]
        with items:
            item = show_item_control(one.n_items)
        done = what_is_done(one)
    with right:
        try:
            both = answered(one, item, done)
        except UserError as error:
            st.error(lines_as_text(str(error)))
            return
        if both is None:
            return
        outcome(one, item, *both, done)
        written(one, item, done)
        if done and st.button("Run it on all items", icon=":material/play_arrow:", type="primary"):
            on_all_items(one, done)
            open_page("run")
    if done:
        limits = demonstration_scope([one])
        show(live_attention(changed_item(*both), done=shortly(done), demonstrations=limits))
    n_prompt = len(one.prompt_ids[item])
    spans = [span for span in one.spans[item] if span.role != "response"]
    show_tokens(one.tokens[item][:n_prompt], one.prompt_ids[item], spans)
    history()


def history() -> None:
    """What was tried, the newest first."""
    tried = st.session_state.get(HISTORY, [])
    with st.expander(f"Tried so far ({len(tried)})"):
        st.dataframe(
            [
                {
                    "Item": each.item,
                    "Done": each.done,
                    "Margin (nats)": each.margin,
                    "Right answer": each.right,
                }
                for each in tried
            ],
            hide_index=True,
        )


pairs = recorded()
body()
