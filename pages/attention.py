"""Whether response tokens attend to what answers: one role over another, by layer and head, and the whole split."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import streamlit as st

from iclviz.analysis.attention import Heads, Per, Rows
from iclviz.analysis.measures import Measuring
from iclviz.analysis.of_recording import demonstration_scope
from iclviz.errors import AnalysisError
from iclviz.figures.attention import (
    attention_ratio_by_head,
    attention_ratio_by_layer,
    attention_ratio_over_items,
    attention_split,
)
from iclviz.figures.changes import change_by_head, change_by_layer
from iclviz.questions import analyses as questions
from iclviz.recording import Recording
from iclviz.snippets import of_conditions
from iclviz.spans import ROLES
from iclviz.ui import options
from iclviz.ui.asking import answers, slot
from iclviz.ui.choice import show_layer_control
from iclviz.ui.comparing import compared, look_further, seeds_button
from iclviz.ui.conditions import recorded
from iclviz.ui.copying import copy_as
from iclviz.ui.figure import show


@dataclass(frozen=True)
class View:
    """What the page shows: the conditions by label that have a ratio, and how it is made."""

    pairs: dict[str, Recording]
    how: Measuring

    @property
    def scope(self) -> str:
        """What statements are limited to."""
        return demonstration_scope(self.pairs.values())

    @property
    def measure(self) -> str:
        """The measure's name in captions."""
        return f"log attention ratio of {self.how.over} over {self.how.under} text"


def view_of(pairs: dict[str, Recording]) -> View:
    """The page's controls."""
    columns = st.columns(5)
    with columns[0]:
        over = options.select("over", "Attention to", ROLES, None, "relevant")
    with columns[1]:
        under = options.select("under", "over that to", ROLES, None, "irrelevant")
    with columns[2]:
        names = {"mean": "mean of masses", "max": "strongest head"}
        heads = cast(Heads, options.select("heads", "Heads joined by", ["mean", "max"], names))
    with columns[3]:
        names = {"response": "response tokens", "last": "the last prompt token"}
        rows = cast(Rows, options.select("rows", "Attention of", ["response", "last"], names))
    with columns[4]:
        names = {"token": "per token", "mass": "as total mass"}
        per = cast(Per, options.select("per", "Counted", ["token", "mass"], names))
    return View(pairs, Measuring(over=over, under=under, heads=heads, rows=rows, per=per))


def missing(view: View) -> None:
    """Why ratios are missing, with how many."""
    reasons = answers({label: questions.missing.of([one.key], view.how) for label, one in view.pairs.items()})
    for label, one in view.pairs.items():
        for reason, count in reasons[label].items():
            total = one.n_items * one.n_layers
            st.info(f"{label}: {count:,} of {total:,} ratios ({count / total:.0%}) are missing: {reason}.")


def over_items(view: View) -> None:
    """How the items' ratios are spread in one block."""
    last = min(one.n_layers for one in view.pairs.values())
    block = show_layer_control(last, first=1)
    found = answers({label: questions.log_ratio_of_items.of([one.key], view.how) for label, one in view.pairs.items()})
    ratios = {label: by_block[:, block - 1] for label, by_block in found.items()}
    ids = {label: one.item_ids for label, one in view.pairs.items()}
    how: dict[str, Any] = {"over": view.how.over, "under": view.how.under, "rows": view.how.rows}
    show(attention_ratio_over_items(ratios, block=block, item_ids=ids, demonstrations=view.scope, **how))


def change(view: View) -> None:
    """B minus A, by block and by head, over all demonstration seeds that both have."""
    chosen = compared(view.pairs)
    if chosen is None:
        return
    found = answers(
        {by_head: questions.log_ratio_change.of(chosen.key, view.how, by_head) for by_head in (False, True)}
    )
    show(change_by_layer({"B − A": found[False]}, measure=view.measure, first=1, demonstrations=chosen.scope))
    show(change_by_head(found[True], measure=view.measure, demonstrations=chosen.scope))
    seeds_button(chosen)


def relevance(view: View) -> None:
    """The same text when it is relevant against when it is not, in each condition."""
    for tab, (label, one) in zip(st.tabs(list(view.pairs)), view.pairs.items(), strict=True):
        with tab:
            try:
                with slot():
                    found = answers({deep: questions.relevance.of([one.key], view.how, deep) for deep in (False, True)})
                    measure, versus = "share of attention to the same text", "relevant − chance"
                    show(change_by_layer({label: found[False]}, measure=measure, first=1, versus=versus), name=label)
                    show(change_by_head(found[True], measure=measure, versus=versus), name=label)
            except AnalysisError as error:
                st.info(str(error))


def further(view: View) -> None:
    """The further analyses, one at a time."""
    sections: dict[str, Callable[[View], None]] = {
        "B minus A": change,
        "Over items": over_items,
        "Relevant against not": relevance,
    }
    look_further(sections, view)


def ratios(view: View) -> None:
    """The ratio by block and by head."""
    how, scope = view.how, view.scope
    roles: dict[str, Any] = {"over": how.over, "under": how.under, "rows": how.rows}
    chosen = {**roles, "heads": how.heads, "per": how.per}
    by_layer = answers({label: questions.log_ratio.of([one.key], how) for label, one in view.pairs.items()})
    show(attention_ratio_by_layer(by_layer, demonstrations=scope, **chosen))
    copy_as(view.pairs, of_conditions("ratios", "recording_log_ratio", (), chosen, "attention_ratio_by_layer", chosen))
    by_head = answers({label: questions.log_ratio_by_head.of([one.key], how) for label, one in view.pairs.items()})
    show(attention_ratio_by_head(by_head, per=how.per, demonstrations=scope, **roles))


st.title("Attention")
pairs = recorded()
view = view_of(pairs)
with slot():
    missing(view)
    found = answers({label: questions.log_ratio.of([one.key], view.how) for label, one in pairs.items()})
    drawn = {label: one for label, one in pairs.items() if np.isfinite(found[label].mean).any()}
    if drawn:
        ratios(View(drawn, view.how))
    else:
        st.info(
            f"No condition has both {view.how.over} and {view.how.under} text, so there is no ratio; the split is "
            "below."
        )
    split = answers({label: questions.split.of([one.key], view.how.rows) for label, one in pairs.items()})
    show(attention_split(split, rows=view.how.rows, demonstrations=view.scope))
    if drawn:
        further(View(drawn, view.how))
