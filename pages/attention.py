"""Whether response tokens attend to what answers: one role over another, by block and head, and the whole split; then
one block or head by itself, over items and on the text of one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from iclviz import analysis
from iclviz.analysis.attention import By, first_token_roles, largest_mass
from iclviz.analysis.measure import ROWS, Measuring
from iclviz.analysis.wording import share as percent
from iclviz.errors import UserError
from iclviz.figures.attention import attention_ratio_over_items
from iclviz.figures.changes import change_by_head
from iclviz.figures.heads import attention_of_head, attention_on_text, reading
from iclviz.natural_units import plain
from iclviz.primary import primary_measuring
from iclviz.recording import Recording
from iclviz.reporting.missing import merged, ratio_causes
from iclviz.reporting.recipes import Recipe
from iclviz.reporting.scope import demonstration_scope
from iclviz.spec import RunSpec
from iclviz.tasks import task
from iclviz.ui import jobs, loading, measures, options
from iclviz.ui.answering import answer, answers, slot
from iclviz.ui.clickable import show_blocks, show_cells, show_item_points
from iclviz.ui.compared import compared, look_further
from iclviz.ui.conditions import recorded
from iclviz.ui.controls import show_item_control, show_layer_control
from iclviz.ui.copying import Copied
from iclviz.ui.figure import show, show_recipe
from iclviz.ui.missing import show_missing
from iclviz.ui.page_state import bound, keep_known
from iclviz.ui.plain_text import as_text, lines_as_text
from iclviz.ui.prompt_text import show_attention

PAGE = {
    "title": "Attention",
    "icon": "visibility",
    "section": "inside",
    "order": 3,
    "question": "Does attention go to the text that matters?",
    "invitation": "Where attention goes",
    "fields": {
        "over": "relevant",
        "under": "irrelevant",
        "heads": "mean",
        "rows": "last",
        "per": "token",
        "shown": "",
        "map": "block",
        "layer": (15, 0, 1000),
        "head": "",
        "item": (0, 0, 4096),
        "shaded": "role",
        "sinks": False,
        "section": "",
    },
}


# One is drawn at a time: a large model's map of heads takes a browser a second.
MAPS = {"block": "Ratio by block", "head": "Ratio by head", "split": "Where all attention goes"}


@dataclass(frozen=True)
class Place:
    """A block, from 1, and one of its heads, from 0; None is the mean over heads."""

    block: int
    head: int | None


@dataclass(frozen=True)
class View:
    """What the page shows: a measure of conditions, label -> recording."""

    shown: measures.Shown

    @property
    def pairs(self) -> Mapping[str, Recording]:
        """The conditions by label."""
        return self.shown.conditions

    @property
    def measuring(self) -> Measuring:
        """How their ratio is made."""
        return self.shown.measuring

    @property
    def scope(self) -> str:
        """What statements are limited to."""
        return self.shown.demonstrations

    @property
    def roles(self) -> dict[str, Any]:
        """Roles and rows, as analyses and figures of heads call them."""
        return {
            "over": self.measuring.over,
            "under": self.measuring.under,
            "rows": self.measuring.rows,
            "per": self.measuring.per,
        }

    @property
    def each(self) -> dict[str, tuple[str, ...]]:
        """Each condition by itself, as recipes ask of it."""
        return {label: (label,) for label in self.pairs}

    def drawn(self, recipe: Recipe) -> go.Figure:
        """The figure of a recipe of the conditions."""
        return recipe.draw(answers(recipe.questions(self.pairs)), self.pairs)


def missing(view: View) -> None:
    """Why ratios are missing, and how many are bounds: one box, a line for each cause."""
    ratio = (view.measuring.over, view.measuring.under, view.measuring.heads, view.measuring.rows)
    reasons = answers({label: analysis.missing_reasons.of([one.key], *ratio) for label, one in view.pairs.items()})
    bounds = answers({label: analysis.n_bounded_ratios.of([one.key], *ratio) for label, one in view.pairs.items()})
    causes = {
        label: ratio_causes(one, view.shown.the_task, ratio[:2], reasons[label], bounds[label])
        for label, one in view.pairs.items()
    }
    show_missing(merged(causes))


def sinks(view: View) -> None:
    """How much attention the first token's role takes, and which of the ratio's roles hold that token."""
    asked = {label: analysis.role_split.of([one.key], view.measuring.rows) for label, one in view.pairs.items()}
    masses = {label: float(split["special"].mean()) for label, split in answers(asked).items()}
    taken = ", ".join(f"{percent(mass)} in {as_text(label.partition(':')[0])}" for label, mass in masses.items())
    st.caption(
        f"Sink mass: special tokens, the start token among them, take {taken} of this attention (mean over blocks and "
        "heads). It belongs to no text, and no ratio counts it."
    )
    of_ratio = (view.measuring.over, view.measuring.under)
    notes = [
        f"{percent(share)} of {label.partition(':')[0]}’s items in {role} text"
        for label, one in view.pairs.items()
        for role, share in first_token_roles(one).items()
        if role in of_ratio
    ]
    if notes:
        st.warning(
            "A prompt’s first token takes much attention whatever it says (an attention sink). Here it stands in "
            f"{', '.join(notes)}, so that their ratio holds a sink and tells mostly which text comes first. Run these "
            "conditions again: prompts then begin with a token that belongs to no text."
        )


def over_items(view: View) -> None:
    """How the items' ratios are spread in one block."""
    last = min(one.n_layers for one in view.pairs.values())
    block = show_layer_control(last, first=1)
    joined = {**view.roles, "heads": view.measuring.heads}
    found = answers({label: analysis.log_attention_ratio.of([one.key], **joined) for label, one in view.pairs.items()})
    ratios = {label: by_block[:, block - 1] for label, by_block in found.items()}
    ids = {label: one.item_ids for label, one in view.pairs.items()}
    figure = attention_ratio_over_items(ratios, block=block, item_ids=ids, demonstrations=view.scope, **joined)
    show_item_points(figure, view.shown.first.item_ids)


def change(view: View) -> None:
    """B minus A, by block and by head, over all demonstration seeds that both have."""
    measures.show_change(view.shown)
    both = compared(dict(view.pairs))
    if both is not None:
        subject = view.shown.measure.change_subject(view.shown.first, view.measuring, view.shown.the_task.titles)
        found = answer(analysis.log_ratio_change.of(both.key, view.measuring, by_head=True))
        show(change_by_head(found, measure=subject, demonstrations=both.scope))


def relevance(view: View) -> None:
    """The same text when it is relevant against when it is not, in each condition."""
    for tab, (label, one) in zip(st.tabs(list(map(as_text, view.pairs))), view.pairs.items(), strict=True):
        with tab, slot():
            words = {
                "measure": "share of attention to the same text",
                "versus": "relevant − chance",
                "demonstrations": demonstration_scope([one]),
            }
            for by_head, figure, further in ((False, "change_by_layer", {"first": 1}), (True, "change_by_head", {})):
                arguments = {"measuring": view.measuring, "by_head": by_head}
                recipe = Recipe(
                    analysis.relevance_test, {label: (label,)}, figure, arguments, {**words, **further}, alone=by_head
                )
                show_recipe(recipe, view.pairs, name=label)


def further(view: View) -> None:
    """The further analyses, one at a time."""
    sections: dict[str, Callable[[View], None]] = {
        name: lambda view, show=show: show(view.shown)  # type: ignore[misc]
        for name, show in measures.SECTIONS.items()
    }
    if view.shown.measure.first_layer:
        sections |= {"B minus A": change, "Over items": over_items}
    if any("position" in one.groups for one in view.pairs.values()):
        sections["Relevant against not"] = relevance
    look_further(sections, view)


def by_block(view: View, at: Place) -> None:
    """The measure by block."""
    recipe, runs = view.shown.asked
    show_blocks(recipe.draw(answers(recipe.questions(runs)), runs), at.block, Copied(recipe, runs))


def by_head(view: View, at: Place) -> None:
    """The ratio by block and head."""
    drawn = {**view.roles, "demonstrations": view.scope}
    recipe = Recipe(analysis.recording_log_ratio_by_head, view.each, "attention_ratio_by_head", view.roles, drawn)
    show_cells(view.drawn(recipe), at.block, at.head, Copied(recipe, view.pairs))


def split(view: View, at: Place) -> None:
    """Where all attention goes, by block."""
    rows = {"rows": view.measuring.rows}
    recipe = Recipe(analysis.role_split, view.each, "attention_split", rows, {**rows, "demonstrations": view.scope})
    show_blocks(view.drawn(recipe), at.block, Copied(recipe, view.pairs))


def place_of(view: View) -> Place:
    """The controls of block and head."""
    masses = [next(iter(one.attention.values())) for one in view.pairs.values()]
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    with left:
        block = show_layer_control(min(one.shape[1] for one in masses), "place", first=1)
    with right:
        numbers = map(str, range(min(one.shape[2] for one in masses)))
        head = options.select("head", "Head", ["", *numbers], {"": "Mean over heads"})
    return Place(block, int(head) if head else None)


def one_place(view: View, ratio: View, at: Place) -> None:
    """What one block or head attends to, role by role, and the numbers of its ratio."""
    looked: dict[str, Any] = {"block": at.block, "head": at.head, "rows": view.measuring.rows}
    found = answers(
        {label: analysis.recording_role_shares.of([one.key], **looked) for label, one in view.pairs.items()}
    )
    show(attention_of_head(found, demonstrations=view.scope, **looked))
    if ratio.pairs:
        ratio_table(ratio, at)


def ratio_table(ratio: View, at: Place) -> None:
    """The numbers of the ratio in one block or head."""
    index = (at.block - 1,) if at.head is None else (at.block - 1, at.head)
    rows = []
    joined: dict[str, Any] = {} if at.head is not None else {"heads": ratio.measuring.heads}
    summary = analysis.recording_log_ratio if at.head is None else analysis.recording_log_ratio_by_head
    found = answers({name: summary.of([one.key], **joined, **ratio.roles) for name, one in ratio.pairs.items()})
    for label, the_task in found.items():
        mean, low, high = (
            "–" if np.isnan(values[index]) else plain(values[index])
            for values in (the_task.estimate, the_task.low, the_task.high)
        )
        title = "Log ratio in the strongest head" if at.head is None and ratio.measuring.heads == "max" else "Log ratio"
        numbers = {title: mean, "95 % interval": f"{low} to {high}", "Items": str(the_task.n[index])}
        rows.append({"Condition": as_text(label), **numbers})
    st.table(rows, border="horizontal", hide_index=True)


def by_token(recording: Recording, place: int) -> RunSpec:
    """The spec of a recording's run that keeps an item's attention by token, and nothing else that is not usual."""
    return recording.spec.with_(attention_items=(place,), poolings=None, record=())


def shaded_by(by_token: bool) -> By:
    """The control that says what is shaded."""
    names = ["role", "token"] if by_token else ["role"]
    keep_known("shaded", names, "role")
    meaning = "role: each token has the mean over its role's tokens; token: its own, where a run has kept it."
    return cast(By, bound(st.segmented_control, "Shaded by", "shaded", names, required=True, help=meaning))


def scaled_with_sinks(has_sinks: bool) -> bool:
    """The control that says whether scales are set with what attention sinks take; none where there are no sinks."""
    meaning = "Special tokens and the first token often take most of the attention, whatever the text says."
    return not has_sinks or bool(bound(st.toggle, "Scale with attention sinks", "sinks", help=meaning))


def on_text(view: View, at: Place) -> None:
    """One item's prompt and response, shaded by what they get."""
    st.subheader("Attention on text")
    first = next(iter(view.pairs.values()))
    left, middle, right = st.columns([1, 1, 2], vertical_alignment="bottom")
    with left:
        item = first.item_ids[show_item_control(first.n_items)]
    places = {label: list(one.item_ids).index(item) for label, one in view.pairs.items() if item in one.item_ids}
    kept = {
        label: loading.keeping(view.pairs[label], by_token(view.pairs[label], place)) for label, place in places.items()
    }
    with middle:
        by = shaded_by(any(kept.values()))
    shown = kept if by == "token" else {label: view.pairs[label] for label in places}
    looked: dict[str, Any] = {"block": at.block, "head": at.head, "rows": view.measuring.rows, "by": by}
    found = answers(
        {
            label: analysis.attention_on_text.of([one.key], places[label], **looked)
            for label, one in shown.items()
            if one
        }
    )
    with right:
        with_sinks = scaled_with_sinks(any(one.sinks.any() for one in found.values()))
    most = {label: largest_mass(one, with_sinks) for label, one in found.items()}
    for column, (label, attention) in zip(st.columns(len(found)), found.items(), strict=True):
        with column:
            st.markdown(f"**{as_text(label)}**, item {as_text(item)}")
            show_attention(attention, most[label], with_sinks)
    looked["with_sinks"] = with_sinks
    st.caption(reading(**looked))
    offer_tokens(view, {label: place for label, place in places.items() if kept[label] is None})
    with st.expander("As bars, and as files"):
        show(attention_on_text(found, item=item, most=most, demonstrations=view.scope, **looked))


def offer_tokens(view: View, places: Mapping[str, int]) -> None:
    """How to record attention token by token of an item, by its place in the conditions that lack it."""
    if not places:
        return
    runs = []
    for label, place in places.items():
        try:
            needed = view.pairs[label].spec.with_(attention_items=(place,))
            runs.append(loading.resolved(loading.keeping_too(view.pairs[label], needed)))
        except UserError as error:
            st.error(lines_as_text(str(error)))
    names = " and ".join(label.partition(":")[0] for label in places)
    st.info(
        f"{names} did not keep this item's attention token by token. Run {names} again to add it to what is recorded, "
        "or choose items under “Task options and prompt style” of the Run page."
    )
    jobs.run_button(f"Keep it token by token in {names}", runs, primary=False)
    jobs.progress(where="tokens")


@st.fragment
def closely(view: View, ratio: View, map_name: str) -> None:
    """The figures in which a click chooses a block and a head, and below them what these attend to."""
    overview = st.container()
    at = place_of(view)
    with overview, slot():
        draw: Mapping[str, Callable[[View, Place], None]] = {"block": by_block, "head": by_head}
        if map_name in draw and ratio.pairs:
            draw[map_name](ratio, at)
        else:
            split(view, at)
    with slot():
        one_place(view, ratio, at)
    with slot():
        on_text(view, at)


pairs = recorded(over_seeds=True)
first = next(iter(pairs.values()))
the_task = task(first.spec.task)
usual = primary_measuring(the_task, first)
measure = measures.chosen("attention", first, usual)
assert measure is not None  # every recording has attention
controls = options.Controls()
map_name = controls.select("map", "Shown", list(MAPS), MAPS, "block", is_main=True)
measures.show_picker("attention", first, usual, controls)
measuring = controls.measuring(list(dict.fromkeys([*measure.options, ROWS])), first, the_task, usual)
controls.tell()
view = View(measures.Shown(measure, pairs, measuring, the_task, demonstration_scope(pairs.values())))
with slot():
    found = answers({label: analysis.measured.of([one.key], measure.name, measuring) for label, one in pairs.items()})
    there = {label: one for label, one in pairs.items() if np.isfinite(found[label].estimate).any()}
    ratio = View(replace(view.shown, conditions=there))
    if not there:
        st.info(
            f"No condition has both {measuring.over} and {measuring.under} text, so there is no ratio; the split "
            f"is below."
        )
    closely(view, ratio, map_name)
    missing(view)
    sinks(view)
    if there:
        further(ratio)
