"""Which items a model represents alike, layer by layer, and how that goes with a hypothesis."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import streamlit as st

from iclviz.analysis.item_maps import rescaled
from iclviz.analysis.of_recording import demonstration_scope
from iclviz.analysis.rsa import METRICS
from iclviz.errors import UserError
from iclviz.figures import similarity
from iclviz.figures.changes import change_by_layer, composite_to_simple
from iclviz.figures.item_maps import item_map
from iclviz.figures.matrices import second_order
from iclviz.figures.rsa import METHODS, alignment_by_layer
from iclviz.figures.similarity import (
    similarity_by_layer,
    similarity_difference,
    similarity_matrices,
    similarity_play,
)
from iclviz.figures.surface import noise_ceiling, surface_control
from iclviz.questions import analyses as questions
from iclviz.recording import Array, Recording
from iclviz.reporting.snippets import of_conditions
from iclviz.reporting.statements import no_room
from iclviz.tasks import Task, task
from iclviz.ui import analyses, jobs, loading, options
from iclviz.ui.asking import answer, answers, slot
from iclviz.ui.choice import bound, choices, keep_known
from iclviz.ui.comparing import compared, look_further, seeds_button
from iclviz.ui.conditions import recorded
from iclviz.ui.controls import show_layer_control
from iclviz.ui.copying import copy_as
from iclviz.ui.figure import show
from iclviz.ui.plain import as_text, lines_as_text

# Share of the dimensions, those of largest variance, that the check leaves out. (A bare text would show on the page.)
OUTLIERS = 0.01

# Share of the spread on one axis from which the page warns.
LARGE = 0.5

CLUSTERS = "clusters"
VALUES = {"raw": "Similarities", "rank": "Ranks", "percentile": "Percentiles"}

# How many layers are shown side by side.
SIDE_BY_SIDE = 8

SIMPLE = {"simple_same": "same name", "simple_other": "another name"}


@dataclass(frozen=True)
class View:
    """What the page shows: the conditions by label, and how they are compared."""

    pairs: dict[str, Recording]
    of: Task
    hypothesis: str
    pooling: str
    metric: Any
    method: Any
    drop_largest: float
    sorting: str
    values: Any

    @property
    def first(self) -> Recording:
        """The recording that says what the items are."""
        return next(iter(self.pairs.values()))

    @property
    def making(self) -> tuple[str, Any, float]:
        """How the RSMs are made."""
        return (self.pooling, self.metric, self.drop_largest)

    def stacks(self) -> dict[str, Array]:
        """(L + 1, n, n) the RSMs of each condition."""
        return answers({name: questions.rsm_stack.of([one.key], *self.making) for name, one in self.pairs.items()})

    def shown(self, matrix: Array) -> Array:
        """An RSM as its colours show it."""
        return rescaled(matrix, self.values)

    def how(self, layer: int) -> tuple[str, Any, float, int]:
        """What tells an RSM of a condition from its others."""
        return (*self.making, layer)

    def standing(self, layer: int, stack: Array) -> dict[str, Any]:
        """How items stand on the axes of a matrix, and in which words, for the figures; `stack` is A's."""
        texts = analyses.item_texts(self.first.key, self.first)
        said = {"item_ids": self.first.item_ids, "item_texts": texts, "metric": self.metric, "values": self.values}
        if self.sorting == CLUSTERS:
            return {**said, "clustered": analyses.clusters(self.first.key, self.how(layer), stack[layer])}
        return {**said, "groups": self.first.labels[self.sorting], "group_title": self.of.titles[self.sorting]}

    @property
    def title(self) -> str:
        """The hypothesis's title."""
        return self.of.titles[self.hypothesis]

    @property
    def scope(self) -> str:
        """What statements are limited to."""
        return demonstration_scope(self.pairs.values())


@st.fragment
def matrices(view: View) -> None:
    """RSMs of A, B and the hypothesis at one layer; a layer change redraws this alone."""
    column, button = st.columns([5, 1], vertical_alignment="bottom")
    shown = "All layers in one figure, to play or to run through without waiting."
    is_played = bound(button.toggle, "Play", "played", help=shown)
    last = analyses.largest_common_layer(list(view.pairs.values()))
    layer = min(choices()["layer"], last)
    if not is_played:
        with column:
            layer = show_layer_control(last)
    with slot():
        stacks = view.stacks()
        if is_played:
            played(view, stacks, layer)
            return
        figure = similarity_matrices(
            {name: view.shown(stack[layer]) for name, stack in stacks.items()},
            view.first.hypotheses[view.hypothesis],
            hypothesis_title=view.title,
            layer=layer,
            demonstrations=view.scope,
            **view.standing(layer, next(iter(stacks.values()))),
        )
        show(figure)


def few_dimensions(view: View) -> None:
    """A warning where one axis holds most of what tells the items of a layer apart."""
    if view.drop_largest:
        return
    said = []
    for name, stack in view.stacks().items():
        shares = analyses.axis_shares(view.pairs[name].key, view.making, stack)
        if n_large := int((shares >= LARGE).sum()):
            side, largest = name.partition(":")[0], int(np.nanargmax(shares))
            said.append(f"{side}: {n_large} of {len(shares)} layers, most at layer {largest} ({shares[largest]:.0%})")
    if said:
        st.warning(
            f"One axis holds over half of the spread of the items ({'; '.join(said)}). A few dimensions may make the "
            "similarities of such layers, and their alignment: see whether it stays without them, by the switch above."
        )


def played(view: View, stacks: dict[str, Array], layer: int) -> None:
    """All layers as frames of one figure, where a browser can hold them."""
    size = sum(stack.nbytes for stack in stacks.values())
    if size > similarity.MOST_PLAYED:
        st.info(f"All layers of A and B are {size / 2**20:.0f} MB, too much for one figure. Take fewer items.")
        return
    shown = {name: np.stack([view.shown(matrix) for matrix in stack]) for name, stack in stacks.items()}
    standing = view.standing(layer, next(iter(stacks.values())))
    show(similarity_play(shown, layer=layer, demonstrations=view.scope, **standing))


@st.fragment
def difference(view: View) -> None:
    """B minus A of every pair of items at one layer."""
    if len(view.pairs) < 2:
        st.info("Run both A and B to see their difference.")
        return
    layer = show_layer_control(analyses.largest_common_layer(list(view.pairs.values())), "difference")
    with slot():
        a, b = view.stacks().values()
        change = view.shown(b[layer]) - view.shown(a[layer])
        show(similarity_difference(change, layer=layer, demonstrations=view.scope, **view.standing(layer, a)))


def layers_at_once(view: View) -> None:
    """The RSMs of layers from the first to the last, small, of one condition at a time."""
    stacks = view.stacks()
    first = next(iter(stacks.values()))
    for tab, (name, stack) in zip(st.tabs(list(map(as_text, stacks))), stacks.items(), strict=True):
        with tab:
            chosen = dict.fromkeys(np.linspace(0, len(stack) - 1, SIDE_BY_SIDE).round().astype(int).tolist())
            matrices = {layer: view.shown(stack[layer]) for layer in chosen}
            standing = view.standing(len(first) - 1, first)
            show(similarity_by_layer(matrices, condition=name, demonstrations=view.scope, **standing), name=name)


@st.fragment
def plane(view: View) -> None:
    """The items of one layer in a plane, coloured by a label."""
    layer = show_layer_control(analyses.largest_common_layer(list(view.pairs.values())), "plane")
    label = view.of.hypothesis_labels[view.hypothesis] if view.sorting == CLUSTERS else view.sorting
    labels, title = view.first.labels[label], view.of.titles[label]
    with slot():
        maps = {
            name: analyses.plane(view.pairs[name].key, view.how(layer), stack[layer])
            for name, stack in view.stacks().items()
        }
        ids, limits = view.first.item_ids, view.scope
        show(item_map(maps, labels, item_ids=ids, label=title, layer=layer, demonstrations=limits))


def change(view: View) -> None:
    """B minus A of the alignment, over all demonstration seeds that both have."""
    chosen = compared(view.pairs)
    if chosen is None:
        return
    how = (view.hypothesis, view.pooling, view.metric, view.method)
    test = answer(questions.alignment_change.of(chosen.key, *how))
    measure = f"alignment with “{view.title}” ({METHODS[view.method]})"
    show(change_by_layer({"B − A": test}, measure=measure, demonstrations=chosen.scope))
    seeds_button(chosen)


def surface(view: View) -> None:
    """How much of the alignment the mere text could explain."""
    how = (view.hypothesis, view.pooling, view.metric)
    controls = answers({label: questions.surface.of([one.key], *how) for label, one in view.pairs.items()})
    for tab, (label, control) in zip(st.tabs(list(map(as_text, controls))), controls.items(), strict=True):
        with tab:
            figure = surface_control(control, hypothesis=view.title, condition=label, demonstrations=view.scope)
            show(figure, name=label)


def layers(view: View) -> None:
    """Layer by layer similarity within A, within B, and of A with B."""
    measures = {"rsa": "Spearman's rho of RSMs", "cka": "Debiased linear CKA"}
    said = "Spearman's rho compares two layers' matrices; debiased CKA compares their embeddings."
    keep_known("alike", measures, "rsa")
    measure = bound(
        st.radio, "Measure", "alike", list(measures), format_func=measures.__getitem__, horizontal=True, help=said
    )
    sides = list(view.pairs.items())
    across = [(sides[0], sides[0]), (sides[-1], sides[-1]), (sides[0], sides[-1])][: 3 if len(sides) > 1 else 1]
    how = (view.pooling, view.metric, measure)
    matrices = answers(
        {f"{down} × {right}": questions.layers_alike.of([a.key, b.key], *how) for (down, a), (right, b) in across}
    )
    for tab, ((down, _), (right, _)), matrix in zip(
        st.tabs(list(map(as_text, matrices))), across, matrices.values(), strict=True
    ):
        with tab:
            titles = {"down": f"Layer, {down}", "across": f"Layer, {right}"}
            figure = second_order(matrix, measure=measures[measure], demonstrations=view.scope, **titles)
            show(figure, name=f"{down} {right}")


def seeds(view: View) -> None:
    """What the RSMs of several demonstration seeds have in common."""
    chosen = compared(view.pairs)
    if chosen is None:
        return
    asked = {}
    for label, side in zip(view.pairs, (0, 1), strict=True):
        runs = {pair[side].key: pair[side] for pair in chosen.comparison.pairs}
        if len(runs) >= 3:
            asked[label] = questions.ceiling.of(list(runs), view.pooling, view.metric)
    if asked:
        show(noise_ceiling(answers(asked), demonstrations=chosen.scope))
    else:
        st.info("The noise ceiling compares at least three demonstration seeds of a condition.")
    seeds_button(chosen)


def two_hypotheses(view: View) -> None:
    """How much better each layer agrees with the chosen hypothesis than with another."""
    others = [name for name in view.first.hypotheses if name != view.hypothesis]
    other = options.select("against", "Against", others, view.of.titles)
    how = ((view.hypothesis, other), view.pooling, view.metric)
    tests = answers({label: questions.hypotheses.of([one.key], *how) for label, one in view.pairs.items()})
    measure = "alignment (rho-a) with one hypothesis over another"
    versus = f"{view.title} − {view.of.titles[other]}"
    show(change_by_layer(tests, measure=measure, versus=versus, demonstrations=view.scope))


def composite(view: View) -> None:
    """Composite prompts against the simple prompts of the same items."""
    asked, missing = {}, []
    for label, one in view.pairs.items():
        for name, title in SIMPLE.items():
            spec = one.spec.with_(task_options={**one.spec.task_options, "prompts": name})
            try:
                resolved = loading.resolved(spec)
            except UserError as error:
                st.error(lines_as_text(str(error)))
                continue
            simple = loading.recording(resolved.key)
            if simple is None:
                missing.append(resolved)
                continue
            keys = [one.key, simple.key]
            asked[f"{label}, {title}"] = questions.composite.of(keys, view.pooling, view.metric)
    if asked:
        show(composite_to_simple(answers(asked), demonstrations=view.scope))
    if missing:
        st.info("The simple prompts of these items have not been run yet.")
        jobs.run_button("Run the simple prompts", missing, primary=False)
        jobs.progress()


def further(view: View) -> None:
    """The further analyses, one at a time."""
    sections: dict[str, Callable[[View], None]] = {
        "B minus A": change,
        "Difference map": difference,
        "Layers side by side": layers_at_once,
        "Items in a plane": plane,
        "Surface removed": surface,
        "Layer by layer": layers,
        "Demonstration seeds": seeds,
    }
    if len(view.first.hypotheses) > 1:
        sections["Two hypotheses"] = two_hypotheses
    options_of_task = view.first.spec.task_options
    if options_of_task.get("prompts") == "composite":
        sections["Composite to simple"] = composite
    note = "All dimensions are kept here." if view.drop_largest else ""
    look_further(sections, replace(view, drop_largest=0.0), note)


def view_of(pairs: dict[str, Recording]) -> View:
    """The page's controls."""
    first = next(iter(pairs.values()))
    of = task(first.spec.task)
    columns = st.columns(4)
    with columns[0]:
        hypotheses = list(first.hypotheses)
        hypothesis = options.select("hypothesis", "Hypothesis", hypotheses, of.titles, of.primary.hypothesis)
    with columns[1]:
        pooling = options.select("pooling", "Embedding", list(first.embeddings), None, of.primary.pooling)
    with columns[2]:
        metric = options.select("metric", "Similarity", list(METRICS), None, of.primary.metric)
    with columns[3]:
        methods = [method for method in METHODS if method != "tau-a"]
        method = options.select("method", "Correlation", methods, METHODS, "spearman")
    left, middle, right = st.columns([1, 1, 2], vertical_alignment="bottom")
    with left:
        titles = {**of.titles, CLUSTERS: "Clusters of A"}
        labels = [*first.labels, CLUSTERS]
        sorting = options.select("sorted", "Items sorted by", labels, titles, of.hypothesis_labels[hypothesis])
    with middle:
        values = options.select("colours", "Colours", list(VALUES), VALUES, "raw")
    dropped = bound(
        right.toggle,
        "Leave out the 1 % of dimensions of largest variance",
        "dropped",
        help="A check: a few outlier dimensions often carry a cosine by themselves.",
    )
    if pooling in ("mean", "max"):
        st.info("Over the whole prompt, text that items share makes them alike whatever the model understood.")
    return View(pairs, of, hypothesis, pooling, metric, method, OUTLIERS if dropped else 0.0, sorting, values)


pairs = recorded()
first = next(iter(pairs.values()))
if any(list(one.item_ids) != list(first.item_ids) for one in pairs.values()):
    st.warning("A and B have different items, so only A is shown. Choose the same task, items and item seed.")
    pairs = dict(list(pairs.items())[:1])
view = view_of(pairs)
matrices(view)
with slot():
    tested = (view.hypothesis, view.pooling, view.metric, view.method, view.drop_largest)
    tests = answers({name: questions.alignment.of([one.key], *tested) for name, one in pairs.items()})
    show(alignment_by_layer(tests, hypothesis=view.title, demonstrations=view.scope))
    shares = [test.text_share for test in tests.values() if np.isfinite(test.text_share)]
    if said := no_room(max(shares, default=np.nan), view.title):
        st.info(as_text(said))
    few_dimensions(view)
given = {"method": view.method} | ({"drop_largest": view.drop_largest} if view.drop_largest else {})
how = (view.hypothesis, view.pooling, view.metric)
copy_as(
    pairs, of_conditions("tests", "recording_alignment", how, given, "alignment_by_layer", {"hypothesis": view.title})
)
further(view)
