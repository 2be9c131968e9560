"""What can be read from each layer's embeddings by a linear probe, on held-out groups."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import streamlit as st

from iclviz.analysis.of_recording import PAGE_PERMUTATIONS, demonstration_scope, probed_labels
from iclviz.analysis.probing import STRENGTHS, Probe
from iclviz.figures.changes import change_by_layer
from iclviz.figures.matrices import confusion, layer_transfer
from iclviz.figures.probing import MEASURES, probe_by_layer, probe_by_parameter, selectivity_by_layer, transfer_by_layer
from iclviz.questions import analyses as questions
from iclviz.recording import Recording
from iclviz.reporting.snippets import of_conditions
from iclviz.reporting.statements import probe_change_title
from iclviz.tasks import Task, task
from iclviz.ui import options
from iclviz.ui.asking import answer, answers, slot
from iclviz.ui.comparing import compared, look_further, seeds_button
from iclviz.ui.conditions import recorded
from iclviz.ui.controls import show_layer_control
from iclviz.ui.copying import copy_as
from iclviz.ui.figure import show
from iclviz.ui.plain import as_text

DIMENSIONS = (2, 4, 8, 16, 32)


@dataclass(frozen=True)
class View:
    """What the page shows: the conditions by label, their probes, what was probed, and whether strength or dimensions
    were fixed by hand.
    """

    pairs: dict[str, Recording]
    probes: dict[str, Probe]
    of: Task
    label: str
    pooling: str
    is_fixed: bool

    @property
    def title(self) -> str:
        """The label's title."""
        return self.of.titles[self.label]

    @property
    def scope(self) -> str:
        """What statements are limited to."""
        return demonstration_scope(self.pairs.values())


def selectivity(view: View) -> None:
    """The score beyond what memorising types of items gives."""
    shown = {name: result for name, result in view.probes.items() if not result.selectivity_reason}
    for name, result in view.probes.items():
        if result.selectivity_reason:
            st.info(f"{as_text(name)}: {result.selectivity_reason}.")
    if shown:
        show(selectivity_by_layer(shown, label=view.title, demonstrations=view.scope))


@st.fragment
def confusions(view: View) -> None:
    """Which class each layer's probe names; a layer change redraws this alone."""
    shown = {name: result for name, result in view.probes.items() if result.confusion is not None}
    if not shown:
        st.info("Confusions are of classes; this label is a number, or nothing was probed.")
        return
    last = len(next(iter(shown.values())).score) - 1
    layer = show_layer_control(last)
    for column, (name, result) in zip(st.columns(len(shown)), shown.items(), strict=True):
        counts = np.asarray(result.confusion)[layer]
        with column:
            if np.isnan(result.score[layer]):
                st.info(f"{as_text(name)}: {result.missing.get(layer, 'no value')}.")
                continue
            figure = confusion(
                counts, result.classes, label=view.title, layer=layer, condition=name, demonstrations=view.scope
            )
            show(figure, name=name)


def change(view: View) -> None:
    """B minus A of the held-out score, over all demonstration seeds that both have."""
    chosen = compared(view.pairs)
    if chosen is None:
        return
    test = answer(questions.probe_change.of(chosen.key, view.label, view.pooling))
    measure = probe_change_title(chosen.comparison.first, view.label, view.title)
    show(change_by_layer({"B − A": test}, measure=measure, demonstrations=chosen.scope))
    seeds_button(chosen)


def transfer(view: View) -> None:
    """Probes of A tested on B, layer by layer, and probes of one layer tested on all others."""
    chosen = compared(view.pairs)
    if chosen is not None:
        found = answer(questions.transfer.of(chosen.key, view.label, view.pooling))
        show(transfer_by_layer({"Trained on A, tested on B": found}, label=view.title, demonstrations=view.scope))
    how = (view.label, view.pooling)
    matrices = answers(
        {name: questions.transfer_between_layers.of([one.key], *how) for name, one in view.pairs.items()}
    )
    for tab, (name, matrix) in zip(st.tabs(list(map(as_text, matrices))), matrices.items(), strict=True):
        with tab:
            result = view.probes[name]
            chance = float(np.nanmean(result.chance)) if np.isfinite(result.chance).any() else 0.0
            figure = layer_transfer(
                matrix, label=view.title, measure=MEASURES[result.measure], chance=chance, demonstrations=view.scope
            )
            show(figure, name=name)


@st.fragment
def parameters(view: View) -> None:
    """How one layer's score depends on the strength, and on the number of dimensions."""
    last = min(one.n_layers for one in view.pairs.values())
    layer = show_layer_control(last)
    settings: dict[str, dict[str, tuple[float | None, int | None]]] = {
        "Strength": {f"{value:g}": (value, None) for value in STRENGTHS.tolist()},
        "Dimensions": {**{str(value): (None, value) for value in DIMENSIONS}, "all": (None, None)},
    }
    for column, (parameter, values) in zip(st.columns(2), settings.items(), strict=True):
        with column, slot():
            found = answers(
                {
                    (name, text): questions.probe.of([one.key], view.label, view.pooling, *fixed)
                    for name, one in view.pairs.items()
                    for text, fixed in values.items()
                }
            )
            probes = {name: {text: found[name, text] for text in values} for name in view.pairs}
            figure = probe_by_parameter(
                probes, label=view.title, parameter=parameter, layer=layer, demonstrations=view.scope
            )
            show(figure, name=parameter)


def further(view: View) -> None:
    """The further analyses, one at a time."""
    sections: dict[str, Callable[[View], None]] = {
        "B minus A": change,
        "Selectivity": selectivity,
        "Confusions": confusions,
        "Transfer": transfer,
        "Parameters": parameters,
    }
    note = "Differences and transfers keep all dimensions and choose the strength inside folds."
    look_further(sections, view, note if view.is_fixed else "")


def page(view: View) -> None:
    """The probes and all that follows from them."""
    show(probe_by_layer(view.probes, label=view.title, demonstrations=view.scope))
    for name, result in view.probes.items():
        if result.reason:
            st.info(f"{as_text(name)}: {result.reason}.")
    given = {name: value for name, value in (("strength", strength), ("dimensions", dimensions)) if value}
    how, said = (label, pooling, PAGE_PERMUTATIONS), {"label": view.title}
    copy_as(shared, of_conditions("probes", "recording_probe", how, given, "probe_by_layer", said))
    further(view)


pairs = recorded()
first = next(iter(pairs.values()))
of = task(first.spec.task)
shared = {label: one for label, one in pairs.items() if one.spec.task == first.spec.task}
if len(shared) < len(pairs):
    st.warning("A and B are different tasks, so only A is shown.")
labels = [name for name in probed_labels(first) if all(name in probed_labels(one) for one in shared.values())]
columns = st.columns(4)
with columns[0]:
    label = options.select("label", "Label", labels, of.titles, of.primary.label)
with columns[1]:
    pooling = options.select("pooling", "Embedding", list(first.embeddings), None, of.primary.pooling)
with columns[2]:
    strengths = {"": "Chosen inside folds", **{f"{value:g}": f"{value:g}" for value in STRENGTHS.tolist()}}
    fixed = options.select("strength", "Strength", list(strengths), strengths)
    strength = float(fixed) if fixed else None
with columns[3]:
    sizes = {"": "All", **{str(value): f"{value} principal components" for value in DIMENSIONS}}
    kept = options.select("dimensions", "Dimensions", list(sizes), sizes)
    dimensions = int(kept) if kept else None
with slot():
    how = (label, pooling, strength, dimensions)
    probes = answers({name: questions.probe.of([one.key], *how) for name, one in shared.items()})
    page(View(shared, probes, of, label, pooling, is_fixed=bool(strength or dimensions)))
