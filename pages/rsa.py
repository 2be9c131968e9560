"""Which items a model represents alike, layer by layer, and how that goes with a hypothesis."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import streamlit as st

from iclviz import analysis
from iclviz.analysis.item_maps import rescaled
from iclviz.analysis.measure import DROPPED, HYPOTHESIS, METRIC, OUTLIERS, POOLING, Measuring
from iclviz.analysis.wording import share
from iclviz.errors import UserError
from iclviz.figures import similarity
from iclviz.figures.item_maps import item_map
from iclviz.figures.similarity import (
    MatrixView,
    similarity_by_layer,
    similarity_difference,
    similarity_matrices,
    similarity_play,
)
from iclviz.primary import primary_measuring
from iclviz.recording import Array, Recording
from iclviz.reporting.recipes import Recipe
from iclviz.reporting.scope import demonstration_scope
from iclviz.tasks import Task, task
from iclviz.ui import cached, jobs, loading, measures, options
from iclviz.ui.answering import answers, slot
from iclviz.ui.clickable import show_item_points
from iclviz.ui.compared import compared, look_further, seeds_button
from iclviz.ui.conditions import recorded
from iclviz.ui.controls import show_layer_control
from iclviz.ui.figure import show, show_recipe
from iclviz.ui.page_state import bound, keep_known, page_state
from iclviz.ui.plain_text import as_text, lines_as_text

PAGE = {
    "title": "RSA",
    "icon": "grid_on",
    "section": "inside",
    "order": 1,
    "question": "Which items does a layer treat alike, and is it as a hypothesis says?",
    "invitation": "What is alike",
    "fields": {
        "hypothesis": "",
        "pooling": "query_mean",
        "metric": "cosine",
        "method": "spearman",
        "dropped": False,
        "shown": "",
        "layer": (15, 0, 1000),
        "sorted": "",
        "colours": "raw",
        "played": False,
        "section": "",
        "against": "",
        "alike": "rsa",
    },
}

# Share of the spread on one axis from which the page warns. (A bare text would show on the page.)
LARGE = 0.5

CLUSTERS = "clusters"
VALUES = {"raw": "Similarities", "rank": "Ranks", "percentile": "Percentiles"}
MATRICES = (HYPOTHESIS, POOLING, METRIC, DROPPED)

# How many layers are shown side by side.
SIDE_BY_SIDE = 8

SIMPLE = {"simple_same": "same name", "simple_other": "another name"}


@dataclass(frozen=True)
class View:
    """What the page shows: the conditions by label, how they are measured, and how matrices are drawn."""

    pairs: dict[str, Recording]
    the_task: Task
    measuring: Measuring
    drop_largest: float
    sorting: str
    values: Any

    @property
    def first(self) -> Recording:
        """The recording that says what the items are."""
        return next(iter(self.pairs.values()))

    @property
    def hypothesis(self) -> str:
        """The hypothesis's name."""
        return self.measuring.of(self.first)[0]

    @property
    def making(self) -> tuple[str, Any, float]:
        """How the RSMs are made."""
        return (self.measuring.pooling, self.measuring.metric, self.drop_largest)

    @property
    def each(self) -> dict[str, tuple[str, ...]]:
        """Each condition by itself, as recipes ask of it."""
        return {label: (label,) for label in self.pairs}

    @property
    def geometry(self) -> dict[str, Any]:
        """What embeddings are pooled over and compared by, as analyses call it."""
        return {"pooling": self.measuring.pooling, "metric": self.measuring.metric}

    def stacks(self) -> dict[str, Array]:
        """(L + 1, n, n) the RSMs of each condition."""
        return answers({name: analysis.recording_rsms.of([one.key], *self.making) for name, one in self.pairs.items()})

    def shown(self, matrix: Array) -> Array:
        """An RSM as its colours show it."""
        return rescaled(matrix, self.values)

    def cache(self, layer: int) -> tuple[str, Any, float, int]:
        """What tells an RSM of a condition from its others."""
        return (*self.making, layer)

    def standing(self, layer: int, stack: Array) -> MatrixView:
        """How items stand on the axes of a matrix, and in which words, for the figures; `stack` is A's."""
        texts = cached.item_texts(self.first.key, self.first)
        words: MatrixView = {
            "item_ids": self.first.item_ids,
            "item_texts": texts,
            "metric": self.measuring.metric,
            "values": self.values,
            "demonstrations": self.scope,
        }
        if self.sorting == CLUSTERS:
            return {**words, "clustered": cached.clusters(self.first.key, self.cache(layer), stack[layer])}
        return {**words, "groups": self.first.labels[self.sorting], "group_title": self.the_task.titles[self.sorting]}

    @property
    def title(self) -> str:
        """The hypothesis's title."""
        return self.the_task.titles[self.hypothesis]

    @property
    def scope(self) -> str:
        """What statements are limited to."""
        return demonstration_scope(self.pairs.values())


@st.fragment
def matrices(view: View) -> None:
    """RSMs of A, B and the hypothesis at one layer; a layer change redraws this alone."""
    place = st.container()
    column, button = st.columns([5, 1], vertical_alignment="bottom")
    shown = "All layers in one figure, to play or to run through without waiting."
    is_played = bound(button.toggle, "Play", "played", help=shown)
    last = cached.largest_common_layer(list(view.pairs.values()))
    layer = min(page_state()["layer"], last)
    if not is_played:
        with column:
            layer = show_layer_control(last)
    with place, slot():
        stacks = view.stacks()
        if is_played:
            played(view, stacks, layer)
            return
        figure = similarity_matrices(
            {name: view.shown(stack[layer]) for name, stack in stacks.items()},
            view.first.hypotheses[view.hypothesis],
            hypothesis_title=view.title,
            layer=layer,
            **view.standing(layer, next(iter(stacks.values()))),
        )
        show(figure)


def few_dimensions(view: View) -> None:
    """A warning where one axis holds most of what tells the items of a layer apart."""
    if view.drop_largest:
        return
    notes = []
    for name, stack in view.stacks().items():
        shares = cached.axis_shares(view.pairs[name].key, view.making, stack)
        if n_large := int((shares >= LARGE).sum()):
            side, largest = name.partition(":")[0], int(np.nanargmax(shares))
            notes.append(
                f"{side}: {n_large} of {len(shares)} layers, most at layer {largest} ({share(shares[largest])})"
            )
    if notes:
        st.warning(
            f"One axis holds over half of the spread of the items ({'; '.join(notes)}). A few dimensions may decide "
            "the similarities of such layers, and their alignment. See by the switch above whether it stays."
        )


def played(view: View, stacks: dict[str, Array], layer: int) -> None:
    """All layers as frames of one figure, where a browser can hold them."""
    size = sum(stack.nbytes for stack in stacks.values())
    if size > similarity.MOST_PLAYED:
        st.info(f"All layers of A and B are {size / 2**20:.0f} MB, too much for one figure. Take fewer items.")
        return
    shown = {name: np.stack([view.shown(matrix) for matrix in stack]) for name, stack in stacks.items()}
    standing = view.standing(layer, next(iter(stacks.values())))
    show(similarity_play(shown, layer=layer, **standing))


@st.fragment
def difference(view: View) -> None:
    """B minus A of every pair of items at one layer."""
    if len(view.pairs) < 2:
        st.info("Run both A and B to see their difference.")
        return
    layer = show_layer_control(cached.largest_common_layer(list(view.pairs.values())), "difference")
    with slot():
        a, b = view.stacks().values()
        change = view.shown(b[layer]) - view.shown(a[layer])
        show(similarity_difference(change, layer=layer, **view.standing(layer, a)))


def layers_at_once(view: View) -> None:
    """The RSMs of layers from the first to the last, small, of one condition at a time."""
    stacks = view.stacks()
    first = next(iter(stacks.values()))
    for tab, (name, stack) in zip(st.tabs(list(map(as_text, stacks))), stacks.items(), strict=True):
        with tab:
            layers = dict.fromkeys(np.linspace(0, len(stack) - 1, SIDE_BY_SIDE).round().astype(int).tolist())
            matrices = {layer: view.shown(stack[layer]) for layer in layers}
            standing = view.standing(len(first) - 1, first)
            show(similarity_by_layer(matrices, condition=name, **standing), name=name)


@st.fragment
def plane(view: View) -> None:
    """The items of one layer in a plane, coloured by a label."""
    layer = show_layer_control(cached.largest_common_layer(list(view.pairs.values())), "plane")
    label = view.the_task.hypothesis_labels[view.hypothesis] if view.sorting == CLUSTERS else view.sorting
    labels, title = view.first.labels[label], view.the_task.titles[label]
    with slot():
        maps = {
            name: cached.plane(view.pairs[name].key, view.cache(layer), stack[layer])
            for name, stack in view.stacks().items()
        }
        ids, limits = view.first.item_ids, view.scope
        show_item_points(item_map(maps, labels, item_ids=ids, label=title, layer=layer, demonstrations=limits), ids)


def surface(view: View) -> None:
    """How much of the alignment the mere text could explain."""
    arguments = {"hypothesis": view.hypothesis, **view.geometry}
    for tab, label in zip(st.tabs(list(map(as_text, view.pairs))), view.pairs, strict=True):
        with tab, slot():
            drawn = {"hypothesis": view.title, "condition": label, "demonstrations": view.scope}
            asked = {label: (label,)}
            recipe = Recipe(analysis.recording_surface_control, asked, "surface_control", arguments, drawn, alone=True)
            show_recipe(recipe, view.pairs, name=label)


def layers(view: View) -> None:
    """Layer by layer similarity within A, within B, and of A with B."""
    by = {"rsa": "Spearman's rho of RSMs", "cka": "Debiased linear CKA"}
    meaning = "Spearman's rho compares two layers' matrices; debiased CKA compares their embeddings."
    keep_known("alike", by, "rsa")
    kind = bound(st.radio, "Measure", "alike", list(by), format_func=by.__getitem__, horizontal=True, help=meaning)
    sides = list(view.pairs)
    across = [(sides[0], sides[0]), (sides[-1], sides[-1]), (sides[0], sides[-1])][: 3 if len(sides) > 1 else 1]
    names = [f"{down} × {right}" for down, right in across]
    for tab, (down, right) in zip(st.tabs(list(map(as_text, names))), across, strict=True):
        with tab, slot():
            titles = {"down": f"Layer, {down}", "across": f"Layer, {right}"}
            recipe = Recipe(
                analysis.recording_layer_similarity,
                {"": (down, right)},
                "second_order",
                {**view.geometry, "by": kind},
                {"measure": by[kind], "demonstrations": view.scope, **titles},
                alone=True,
            )
            show_recipe(recipe, view.pairs, name=f"{down} {right}")


def seeds(view: View) -> None:
    """What the RSMs of several demonstration seeds have in common."""
    both = compared(view.pairs)
    if both is None:
        return
    runs, asked = both.runs, {}
    for label, side in zip(view.pairs, "AB", strict=True):
        names = [name for name in runs if name.startswith(side)]
        if len(names) >= 3:
            asked[label] = tuple(names)
    if asked:
        drawn = {"demonstrations": both.scope}
        show_recipe(Recipe(analysis.recording_noise_ceiling, asked, "noise_ceiling", view.geometry, drawn), runs)
    else:
        st.info("The noise ceiling compares at least three demonstration seeds of a condition.")
    seeds_button(both)


def two_hypotheses(view: View) -> None:
    """How much better each layer agrees with the chosen hypothesis than with another."""
    others = [name for name in view.first.hypotheses if name != view.hypothesis]
    other = options.select("against", "Against", others, view.the_task.titles)
    recipe = Recipe(
        analysis.recording_hypotheses_difference,
        view.each,
        "change_by_layer",
        {"hypotheses": (view.hypothesis, other), **view.geometry},
        {
            "measure": "alignment (rho-a) with one hypothesis over another",
            "versus": f"{view.title} − {view.the_task.titles[other]}",
            "demonstrations": view.scope,
        },
    )
    show_recipe(recipe, view.pairs)


def composite(view: View) -> None:
    """Composite prompts against the simple prompts of the same items."""
    runs, asked, missing = dict(view.pairs), {}, []
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
            runs[f"{label}, {title}"] = simple
            asked[f"{label}, {title}"] = (label, f"{label}, {title}")
    if asked:
        drawn = {"demonstrations": view.scope}
        recipe = Recipe(analysis.recording_composite_to_simple, asked, "composite_to_simple", view.geometry, drawn)
        show_recipe(recipe, runs)
    if missing:
        st.info("The simple prompts of these items have not been run yet.")
        jobs.run_button("Run the simple prompts", missing, primary=False)
        jobs.progress()


def further(view: View, shown: measures.Shown | None) -> None:
    """The further analyses, one at a time."""
    of_measure = {name: partial(section, shown) for name, section in measures.SECTIONS.items() if shown}
    sections: dict[str, Callable[[View], None]] = {
        **{name: lambda view, show=show: show() for name, show in of_measure.items()},  # type: ignore[misc]
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
    look_further(sections, view_of(view.pairs, view.measuring, view.sorting, view.values), note)


def view_of(
    pairs: dict[str, Recording], measuring: Measuring, sorting: str, values: Any, drop_largest: float = 0.0
) -> View:
    """What the page shows of the conditions."""
    return View(pairs, task(next(iter(pairs.values())).spec.task), measuring, drop_largest, sorting, values)


pairs = recorded(over_seeds=True)
first = next(iter(pairs.values()))
if any(list(one.item_ids) != list(first.item_ids) for one in pairs.values()):
    st.warning("A and B have different items, so only A is shown. Choose the same task, items and item seed.")
    pairs = dict(list(pairs.items())[:1])
the_task = task(first.spec.task)
usual = primary_measuring(the_task, first)
controls = options.Controls()
measure = measures.chosen("rsa", first, usual)
own = [option for option in (measure.options if measure else ()) if option not in MATRICES]
measuring = controls.measuring([*MATRICES, *own], first, the_task, usual, [HYPOTHESIS])
sorting = controls.select(
    "sorted",
    "Items sorted by",
    [*first.labels, CLUSTERS],
    {**the_task.titles, CLUSTERS: "Clusters of A"},
    the_task.hypothesis_labels[measuring.of(first)[0]],
)
values = controls.select("colours", "Colours", list(VALUES), VALUES, "raw")
controls.tell()
if measuring.pooling in ("mean", "max"):
    st.info("Over the whole prompt, text that items share makes them alike whatever the model understood.")
view = view_of(pairs, measuring, sorting, values, OUTLIERS if measuring.own.get(DROPPED.name) else 0.0)
matrices(view)
shown = measures.Shown(measure, pairs, measuring, the_task, view.scope) if measure else None
measures.show_picker("rsa", first, usual)
with slot():
    if shown:
        measures.show_by_layer(shown)
    few_dimensions(view)
further(view, shown)
