"""What can be read from each layer's embeddings by a linear probe, on held-out groups."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import streamlit as st

from iclviz import analysis
from iclviz.analysis.measure import LABEL
from iclviz.analysis.measures.probe import DIMENSIONS, STRENGTH
from iclviz.analysis.probing import Probe
from iclviz.figures.matrices import confusion
from iclviz.figures.probing import SCORE_NAMES, probe_by_parameter, selectivity_by_layer
from iclviz.primary import primary_measuring
from iclviz.recording import Recording
from iclviz.reporting.recipes import Recipe
from iclviz.reporting.scope import demonstration_scope
from iclviz.tasks import task
from iclviz.ui import measures, options
from iclviz.ui.answering import answers, slot
from iclviz.ui.compared import compared, look_further
from iclviz.ui.conditions import recorded
from iclviz.ui.controls import show_layer_control
from iclviz.ui.figure import show, show_recipe
from iclviz.ui.plain_text import as_text

PAGE = {
    "title": "Probing",
    "icon": "network_node",
    "section": "inside",
    "order": 2,
    "question": "What can be read from a layer, of items that the probe has not seen?",
    "invitation": "What can be read",
    "fields": {
        "label": "",
        "pooling": "query_mean",
        "strength": "",
        "dimensions": "",
        "shown": "",
        "layer": (15, 0, 1000),
        "section": "",
    },
}


@dataclass(frozen=True)
class View:
    """What the page shows: a measure of the conditions, and its results by label."""

    shown: measures.Shown
    results: Mapping[str, Any]

    @property
    def probes(self) -> dict[str, Probe]:
        """The results that are probes."""
        return {name: one for name, one in self.results.items() if isinstance(one, Probe)}

    @property
    def pairs(self) -> Mapping[str, Recording]:
        """The conditions by label."""
        return self.shown.conditions

    @property
    def label(self) -> str:
        """The label that is read."""
        return self.shown.measuring.of(self.shown.first)[1]

    @property
    def title(self) -> str:
        """The label's title."""
        return self.shown.the_task.titles[self.label]

    @property
    def scope(self) -> str:
        """What statements are limited to."""
        return self.shown.demonstrations

    @property
    def read(self) -> dict[str, Any]:
        """What is read of what, as analyses call it."""
        return {"label": self.label, "pooling": self.shown.measuring.pooling}


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


def transfer(view: View) -> None:
    """Probes of A tested on B, layer by layer, and probes of one layer tested on all others."""
    both = compared(dict(view.pairs))
    drawn = {"label": view.title, "demonstrations": view.scope}
    if both is not None:
        asked = {"Trained on A, tested on B": tuple(both.labels)}
        show_recipe(Recipe(analysis.recording_transfer, asked, "transfer_by_layer", view.read, drawn), both.runs)
    for tab, name in zip(st.tabs(list(map(as_text, view.pairs))), view.pairs, strict=True):
        with tab, slot():
            result = view.probes[name]
            chance = float(np.nanmean(result.chance)) if np.isfinite(result.chance).any() else 0.0
            recipe = Recipe(
                analysis.recording_layer_transfer,
                {"": (name,)},
                "layer_transfer",
                view.read,
                {**drawn, "measure": SCORE_NAMES[result.measure], "chance": chance},
                alone=True,
            )
            show_recipe(recipe, view.pairs, name=name)


@st.fragment
def parameters(view: View) -> None:
    """How one layer's score depends on the strength, and on the number of dimensions."""
    last = min(one.n_layers for one in view.pairs.values())
    layer = show_layer_control(last)
    plain = replace(view.shown.measuring, own={})
    for column, option in zip(st.columns(2), (STRENGTH, DIMENSIONS), strict=True):
        values = [value for value in option.values(view.shown.first) if value is not None]
        settings = {f"{value:g}": replace(plain, own={option.name: value}) for value in values}
        if option is DIMENSIONS:
            settings["all"] = plain
        with column, slot():
            found = answers(
                {
                    (name, text): analysis.measured.of([one.key], view.shown.measure.name, measuring)
                    for name, one in view.pairs.items()
                    for text, measuring in settings.items()
                }
            )
            probes = {name: {text: found[name, text] for text in settings} for name in view.pairs}
            figure = probe_by_parameter(
                probes, label=view.title, parameter=option.title, layer=layer, demonstrations=view.scope
            )
            show(figure, name=option.title)


def further(view: View) -> None:
    """The further analyses, one at a time."""
    sections: dict[str, Callable[[View], None]] = {
        name: lambda view, show=show: show(view.shown)  # type: ignore[misc]
        for name, show in measures.SECTIONS.items()
    }
    if view.probes:
        sections |= {
            "Selectivity": selectivity,
            "Confusions": confusions,
            "Transfer": transfer,
            "Parameters": parameters,
        }
    is_fixed = any(view.shown.measuring.own.get(option.name) for option in (STRENGTH, DIMENSIONS))
    note = "Differences and transfers keep all dimensions and choose the strength inside folds."
    look_further(sections, view, note if is_fixed and view.probes else "")


pairs = recorded(over_seeds=True)
first = next(iter(pairs.values()))
the_task = task(first.spec.task)
shared = {label: one for label, one in pairs.items() if one.spec.task == first.spec.task}
if len(shared) < len(pairs):
    st.warning("A and B are different tasks, so only A is shown.")
usual = primary_measuring(the_task, first)
measure = measures.chosen("probing", first, usual)
if measure is None:
    st.info("No label of these items has groups that could be held out.")
else:
    controls = options.Controls()
    measures.show_picker("probing", first, usual, controls)
    measuring = controls.measuring(measure.options, first, the_task, usual, [LABEL])
    controls.tell()
    shown = measures.Shown(measure, shared, measuring, the_task, demonstration_scope(shared.values()))
    with slot():
        results = measures.show_by_layer(shown)
        for name, result in results.items():
            if result.reason:
                st.info(f"{as_text(name)}: {result.reason}.")
        further(View(shown, results))
