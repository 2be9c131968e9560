"""Which items a model represents alike, layer by layer, and how that goes with a hypothesis."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from iclviz.analysis.of_recording import demonstration_scope
from iclviz.analysis.rsa import METRICS
from iclviz.errors import UserError
from iclviz.figures.changes import change_by_layer, composite_to_simple
from iclviz.figures.matrices import second_order
from iclviz.figures.rsa import METHODS, alignment_by_layer, similarity_matrices
from iclviz.figures.surface import noise_ceiling, surface_control
from iclviz.recording import Recording
from iclviz.tasks import Task, task
from iclviz.ui import analyses, jobs, loading, options
from iclviz.ui.choice import show_layer_control
from iclviz.ui.comparing import compared, look_further, seeds_button
from iclviz.ui.conditions import recorded
from iclviz.ui.figure import show

# Share of the dimensions, those of largest variance, that the check leaves out. (A bare text would show on the page.)
OUTLIERS = 0.01

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
    last = analyses.largest_common_layer(list(view.pairs.values()))
    layer = show_layer_control(last)
    first = next(iter(view.pairs.values()))
    label = view.of.hypothesis_labels[view.hypothesis]
    stacks = {
        name: analyses.rsm_stack(one.key, view.pooling, view.metric, view.drop_largest, one)
        for name, one in view.pairs.items()
    }
    figure = similarity_matrices(
        {name: stack[layer] for name, stack in stacks.items()},
        first.hypotheses[view.hypothesis],
        item_ids=first.item_ids,
        groups=first.labels[label],
        hypothesis_title=view.title,
        group_title=view.of.titles[label],
        metric=view.metric,
        layer=layer,
        demonstrations=view.scope,
    )
    show(figure)


def change(view: View) -> None:
    """B minus A of the alignment, over all demonstration seeds that both have."""
    chosen = compared(view.pairs)
    if chosen is None:
        return
    test = analyses.alignment_change(
        chosen.key, view.hypothesis, view.pooling, view.metric, view.method, chosen.comparison
    )
    measure = f"alignment with “{view.title}” ({METHODS[view.method]})"
    show(change_by_layer({"B − A": test}, measure=measure, demonstrations=chosen.scope))
    seeds_button(chosen)


def surface(view: View) -> None:
    """How much of the alignment the mere text could explain."""
    for tab, (label, one) in zip(st.tabs(list(view.pairs)), view.pairs.items(), strict=True):
        with tab:
            control = analyses.surface(one.key, view.hypothesis, view.pooling, view.metric, one)
            figure = surface_control(control, hypothesis=view.title, condition=label, demonstrations=view.scope)
            show(figure, name=label)


def layers(view: View) -> None:
    """Layer by layer similarity within A, within B, and of A with B."""
    measures = {"rsa": "Spearman's rho of RSMs", "cka": "Debiased linear CKA"}
    measure = st.radio("Measure", list(measures), format_func=measures.__getitem__, horizontal=True)
    sides = list(view.pairs.items())
    across = [(sides[0], sides[0]), (sides[-1], sides[-1]), (sides[0], sides[-1])][: 3 if len(sides) > 1 else 1]
    for tab, ((down, a), (right, b)) in zip(
        st.tabs([f"{one[0]} × {two[0]}" for one, two in across]), across, strict=True
    ):
        with tab:
            matrix = analyses.layers_alike(a.key, b.key, view.pooling, view.metric, measure, a, b)
            titles = {"down": f"Layer, {down}", "across": f"Layer, {right}"}
            figure = second_order(matrix, measure=measures[measure], demonstrations=view.scope, **titles)
            show(figure, name=f"{down} {right}")


def seeds(view: View) -> None:
    """What the RSMs of several demonstration seeds have in common."""
    chosen = compared(view.pairs)
    if chosen is None:
        return
    ceilings = {}
    for label, side in zip(view.pairs, (0, 1), strict=True):
        runs = {pair[side].key: pair[side] for pair in chosen.comparison.pairs}
        if len(runs) >= 3:
            ceilings[label] = analyses.ceiling(tuple(runs), view.pooling, view.metric, list(runs.values()))
    if ceilings:
        show(noise_ceiling(ceilings, demonstrations=chosen.scope))
    else:
        st.info("The noise ceiling compares at least three demonstration seeds of a condition.")
    seeds_button(chosen)


def two_hypotheses(view: View) -> None:
    """How much better each layer agrees with the chosen hypothesis than with another."""
    first = next(iter(view.pairs.values()))
    others = [name for name in first.hypotheses if name != view.hypothesis]
    other = st.selectbox("Against", others, format_func=view.of.titles.__getitem__)
    tests = {
        label: analyses.hypotheses(one.key, (view.hypothesis, other), view.pooling, view.metric, one)
        for label, one in view.pairs.items()
    }
    measure = "alignment (rho-a) with one hypothesis over another"
    versus = f"{view.title} − {view.of.titles[other]}"
    show(change_by_layer(tests, measure=measure, versus=versus, demonstrations=view.scope))


def composite(view: View) -> None:
    """Composite prompts against the simple prompts of the same items."""
    found, missing = {}, []
    for label, one in view.pairs.items():
        for name, title in SIMPLE.items():
            spec = one.spec.with_(task_options={**one.spec.task_options, "prompts": name})
            try:
                resolved = loading.resolved(spec)
            except UserError as error:
                st.error(str(error))
                continue
            simple = loading.recording(resolved.key)
            if simple is None:
                missing.append(resolved)
                continue
            found[f"{label}, {title}"] = analyses.composite(one.key, simple.key, view.pooling, view.metric, one, simple)
    if found:
        show(composite_to_simple(found, demonstrations=view.scope))
    if missing:
        st.info("The simple prompts of these items have not been run yet.")
        jobs.run_button("Run the simple prompts", missing, primary=False)
        jobs.progress()


def further(view: View) -> None:
    """The further analyses, one at a time."""
    sections: dict[str, Callable[[View], None]] = {
        "B minus A": change,
        "Surface removed": surface,
        "Layers": layers,
        "Demonstration seeds": seeds,
    }
    first = next(iter(view.pairs.values()))
    if len(first.hypotheses) > 1:
        sections["Two hypotheses"] = two_hypotheses
    options_of_task = first.spec.task_options
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
    dropped = st.toggle(
        "Leave out the 1 % of dimensions of largest variance",
        help="A check: a few outlier dimensions often carry a cosine by themselves.",
    )
    if pooling in ("mean", "max"):
        st.info("Over the whole prompt, text that items share makes them alike whatever the model understood.")
    return View(pairs, of, hypothesis, pooling, metric, method, OUTLIERS if dropped else 0.0)


st.title("RSA")
pairs = recorded()
first = next(iter(pairs.values()))
if any(list(one.item_ids) != list(first.item_ids) for one in pairs.values()):
    st.warning("A and B have different items, so only A is shown. Choose the same task, items and item seed.")
    pairs = dict(list(pairs.items())[:1])
view = view_of(pairs)
matrices(view)
tests = {
    name: analyses.alignment(one.key, view.hypothesis, view.pooling, view.metric, view.method, view.drop_largest, one)
    for name, one in pairs.items()
}
show(alignment_by_layer(tests, hypothesis=view.title, demonstrations=view.scope))
further(view)
