"""Controls of an analysis that live in the link: the score, what to look at further, and what measures leave open."""

from collections.abc import Mapping, Sequence
from dataclasses import fields as fields_of
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

import streamlit as st

from iclviz.analysis.measure import MeasureOption, Measuring
from iclviz.recording import Recording
from iclviz.tasks import Task
from iclviz.ui.link_fields import fields, text
from iclviz.ui.page_state import bound, claim_field, keep_known
from iclviz.ui.plain_text import as_text

HOW = "How it is computed"
MAIN_WIDTH = 230
"""Of a control that matters most, in pixels."""

HELP = {
    "score": "What counts as doing well; the first is the task's main score, fixed before any result.",
    "against": "The hypothesis that the one chosen above is compared with.",
    "level": "Within groups: items made from one thing (a line, a document) are compared with each other; between "
    "groups: the groups' means are. A link at one level says nothing of the other.",
    "sorted": "How items stand on both axes: by a label, with lines between its values, or by clusters of A's items.",
    "colours": "The similarities, or their order as ranks or percentiles, which outliers do not squeeze.",
    "measure": "What changed in the model.",
    "split": "By which label items are told apart.",
    "map": "The ratio in each block or each head, or how attention is split between all roles.",
    "quantity": "The right answer's log-probability, its margin over the best other candidate, its rank among all "
    "tokens, how undecided the layer is (entropy), or how far it is from the output (divergence).",
    "outcome": "Which items count as right: by the answer that is more probable, or by the response.",
    "shown": "What is measured, layer by layer.",
    "act": "Where the model is acted on, for every item of A and of B.",
    "effect": "What is compared with and without: the right answer's log-probability over the best other candidate's, "
    "or by itself.",
    "row": "Which row of the map.",
    "column": "Which column of the map.",
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
    width: int | Literal["stretch"] = "stretch",
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
        width=width,
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


class Controls:
    """The controls of a page in one row: those that matter most, and the others folded, with what is chosen beside."""

    def __init__(self) -> None:
        self._row = st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="controls")
        self.shown = self._row.container(horizontal=True, vertical_alignment="bottom", gap="small", width="content")
        self._told: list[str] = []

    @cached_property
    def folded(self) -> Any:
        """Where the others are."""
        about = "What else decides these numbers; each choice stands beside."
        return self._row.popover(HOW, icon=":material/tune:", help=about, key="how")

    def select(
        self,
        name: str,
        title: str,
        values: Sequence[str],
        titles: Mapping[str, str] | None = None,
        default: str = "",
        help: str = "",
        *,
        is_main: bool = False,
    ) -> str:
        """As `select`."""
        with self.shown if is_main else self.folded:
            chosen = select(name, title, values, titles, default, help, MAIN_WIDTH if is_main else "stretch")
        if not is_main:
            self._told.append(f"{title}: {(titles or {}).get(chosen, chosen)}")
        return chosen

    def text(self, name: str, title: str, help: str) -> str:
        """A folded text, kept in the link under its name."""
        with self.folded:
            written = str(bound(st.text_input, title, name, help=help))
        if written:
            self._told.append(f"{title}: {written}")
        return written

    def toggle(self, name: str, title: str, help: str) -> bool:
        """A folded switch, kept in the link under its name."""
        with self.folded:
            is_on = bool(bound(st.toggle, title, name, help=help))
        self._told.append(f"{title}: {'yes' if is_on else 'no'}")
        return is_on

    def measuring(
        self,
        options: Sequence[MeasureOption],
        recording: Recording,
        the_task: Task,
        usual: Measuring,
        main: Sequence[MeasureOption] = (),
    ) -> Measuring:
        """What is chosen of some options of measures; what is no option of these is as usual.

        Parameters
        ----------
        recording: says what may be chosen; the_task: names hypotheses and labels.
        usual: what is chosen until somebody chooses.
        main: the options that matter most.
        """
        chosen: dict[str, Any] = {}
        for option in options:
            if _is_switch(option, recording):
                _claim(option.name, False)
                chosen[option.name] = self.toggle(option.name, option.title, option.help)
            else:
                chosen[option.name] = self._chosen(option, recording, the_task, usual, option in main)
        shared = {one.name for one in fields_of(Measuring)} & chosen.keys()
        own = {name: value for name, value in chosen.items() if name not in shared and value is not None}
        return replace(usual, **{name: chosen[name] for name in shared}, own={**usual.own, **own})

    def _chosen(
        self, option: MeasureOption, recording: Recording, the_task: Task, usual: Measuring, is_main: bool
    ) -> Any:
        values = {_text(value): value for value in option.values(recording)}
        if not values:
            return None
        _claim(option.name, "")
        titles = {name: option.title_of(value, the_task.titles) for name, value in values.items()}
        default = _text(usual.value(option, recording))
        return values[
            self.select(option.name, option.title, list(values), titles, default, option.help, is_main=is_main)
        ]

    def tell(self) -> None:
        """Say what is chosen in those that are folded."""
        if self._told:
            self._row.caption(as_text(" · ".join(self._told)))


def _is_switch(option: MeasureOption, recording: Recording) -> bool:
    return list(option.values(recording)) == [False, True]


def _claim(name: str, default: Any) -> None:
    """Make an option's name a field of links, where no page has made it one."""
    if name not in fields():
        claim_field(name, default, text if default == "" else lambda value_text: value_text == "True")


def _text(value: Any) -> str:
    """A value of an option as links have it."""
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)
