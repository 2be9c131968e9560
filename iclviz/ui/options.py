"""Controls of an analysis that live in the link: the score, what to look at further, and what measures leave open."""

from collections.abc import Mapping, Sequence
from dataclasses import fields as fields_of
from dataclasses import replace
from typing import Any

import streamlit as st

from iclviz.analysis.measure import MeasureOption, Measuring
from iclviz.recording import Recording
from iclviz.tasks import Task
from iclviz.ui.link_fields import fields, text
from iclviz.ui.page_state import bound, claim_field, keep_known
from iclviz.ui.plain_text import as_text

HELP = {
    "score": "What counts as doing well; the first is the task's main score, fixed before any result.",
    "against": "The hypothesis that the one chosen above is compared with.",
    "level": "Within groups: items made from one thing (a line, a document) are compared with each other; between "
    "groups: the groups' means are. A link at one level says nothing of the other.",
    "sorted": "How items stand on both axes: by a label, with lines between its values, or by clusters of A's items.",
    "colours": "The similarities, or their order as ranks or percentiles, which outliers do not squeeze.",
    "measure": "What changed in the model.",
    "quantity": "The right answer's log-probability, its margin over the best other candidate, its rank among all "
    "tokens, how undecided the layer is (entropy), or how far it is from the output (divergence).",
    "outcome": "Which items count as right: by the answer that is more probable, or by the response.",
    "shown": "What is measured, layer by layer.",
    "effect_of": "The effect within a condition, on one measure, layer by layer.",
    "equivalent": "The score of which to ask whether A and B are as good as equal.",
    "changed": "B minus A of one measure, layer by layer.",
    "section": "Further analyses, one at a time.",
}


def select(
    name: str,
    title: str,
    values: Sequence[str],
    titles: Mapping[str, str] | None = None,
    default: str = "",
    help: str = "",
) -> str:
    """A choice kept in the link under its name; one that this page does not have falls back to the default."""
    keep_known(name, values, default if default in values else values[0])
    chosen: str = bound(
        st.selectbox,
        title,
        name,
        list(values),
        format_func=lambda value: (titles or {}).get(value, value),
        help=help or HELP.get(name),
    )
    return chosen


def pick(name: str, title: str, titles: Mapping[str, str], default: str = "") -> str | None:
    """One of a few things to look at, value -> its title, or none where there is no default; kept in the link under its
    name.
    """
    keep_known(name, list(titles) if default else ["", *titles], default)
    chosen: str | None = bound(
        st.segmented_control,
        title,
        name,
        list(titles),
        format_func=lambda name: as_text(titles[name]),
        label_visibility="collapsed",
        help=HELP[name],
    )
    return chosen


def measuring(options: Sequence[MeasureOption], recording: Recording, the_task: Task, usual: Measuring) -> Measuring:
    """What is chosen of some options of measures, by a row of controls; what is no option of these is as usual.

    Parameters
    ----------
    recording: says what may be chosen; of: names hypotheses and labels.
    usual: what is chosen until somebody chooses.
    """
    selected = [option for option in options if not _is_switch(option, recording)]
    chosen = {}
    for column, option in zip(st.columns(max(len(selected), 4)), selected, strict=False):
        with column:
            chosen[option.name] = _selected(option, recording, the_task, usual)
    for option in options:
        if option not in selected:
            _claim(option.name, False)
            chosen[option.name] = bound(st.toggle, option.title, option.name, help=option.help)
    shared = {one.name for one in fields_of(Measuring)} & chosen.keys()
    own = {name: value for name, value in chosen.items() if name not in shared and value is not None}
    return replace(usual, **{name: chosen[name] for name in shared}, own={**usual.own, **own})


def _is_switch(option: MeasureOption, recording: Recording) -> bool:
    return list(option.values(recording)) == [False, True]


def _selected(option: MeasureOption, recording: Recording, the_task: Task, usual: Measuring) -> Any:
    values = {_text(value): value for value in option.values(recording)}
    if not values:
        return None
    _claim(option.name, "")
    titles = {name: option.title_of(value, the_task.titles) for name, value in values.items()}
    name = select(option.name, option.title, list(values), titles, _text(usual.value(option, recording)), option.help)
    return values[name]


def _claim(name: str, default: Any) -> None:
    """Make an option's name a field of links, where no page has made it one."""
    if name not in fields():
        claim_field(name, default, text if default == "" else lambda value_text: value_text == "True")


def _text(value: Any) -> str:
    """A value of an option as links have it."""
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)
