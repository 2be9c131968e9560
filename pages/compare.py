"""Up to eight conditions at once: a k curve, seeds, kinds of demonstrations, models, or chosen runs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import streamlit as st

from iclviz import analysis
from iclviz.analysis.behaviour import n_independent
from iclviz.analysis.measure import HYPOTHESIS, LABEL, METRIC, POOLING, Measure, Measuring
from iclviz.analysis.measures import all_measures
from iclviz.analysis.seeds import joined_over_seeds
from iclviz.analysis.statistics import MIN_UNITS
from iclviz.figures import wording
from iclviz.figures.sets import score_of_set
from iclviz.figures.similarity import similarity_by_condition
from iclviz.primary import primary_measuring
from iclviz.recording import Recording
from iclviz.reporting.data_line import other_items
from iclviz.reporting.recipes import Recipe, by_layer_over_seeds, by_name, in_words
from iclviz.reporting.scope import demonstration_scope, seeds_scope
from iclviz.spec import draws
from iclviz.tasks import Task, task
from iclviz.ui import cached, condition_sets, jobs, options
from iclviz.ui.answering import answers, slot
from iclviz.ui.compared import of_seeds
from iclviz.ui.controls import show_layer_control
from iclviz.ui.copying import Copied
from iclviz.ui.figure import show
from iclviz.ui.missing import show_missing
from iclviz.ui.page_state import page_state
from iclviz.ui.paper import paper_section
from iclviz.ui.plain_text import as_text, lines_as_text

PAGE = {
    "title": "Compare",
    "icon": "stacked_line_chart",
    "section": "compare",
    "order": 4,
    "question": "How do up to eight conditions differ?",
    "invitation": "More conditions",
    "fields": {
        "vary": "k",
        "values": [],
        "runs": [],
        "averaged": False,
        "bands": True,
        "hypothesis": "",
        "label": "",
        "pooling": "query_mean",
        "metric": "cosine",
        "layer": (15, 0, 1000),
    },
}


@dataclass(frozen=True)
class View:
    """What the page shows: the conditions by label, each with its runs over demonstration seeds, and how."""

    runs: Mapping[str, list[Recording]]
    the_task: Task
    measuring: Measuring
    bands: bool

    @property
    def firsts(self) -> dict[str, Recording]:
        """The run of each condition that was asked for."""
        return {label: runs[0] for label, runs in self.runs.items()}

    @property
    def first(self) -> Recording:
        """The recording that says what the items are."""
        return next(iter(self.runs.values()))[0]

    @property
    def runs_by_name(self) -> dict[str, Recording]:
        """Every run that is shown, under its condition's label and a number."""
        return by_name(self.runs)

    def recipe(self, measure: Measure) -> Recipe:
        """A measure of every condition over its runs, by layer."""
        return by_layer_over_seeds(measure, self.runs, self.measuring, self.the_task, self.scope, self.bands)

    @property
    def scope(self) -> str:
        """What statements are limited to, and whether their intervals rest on too few groups."""
        n_units = n_independent(self.first)
        few = f". Intervals rest on {wording.groups(n_units)}" if n_units < MIN_UNITS else ""
        return f"{self._of_sets}{few}"

    @property
    def _of_sets(self) -> str:
        counts = sorted(len(runs) for runs in self.runs.values() if draws(runs[0].spec))
        if not counts or counts[-1] == 1:
            return demonstration_scope(self.firsts.values())
        if counts[0] < counts[-1]:
            return f"for {counts[0]} to {counts[-1]} demonstration sets, as conditions have them"
        return seeds_scope(counts[0])


def behaviour(view: View) -> None:
    """The main score of every condition."""
    score = view.the_task.primary.score
    unit = view.the_task.natural_unit(score)
    found = {
        label: joined_over_seeds([cached.score(one.key, score, one) for one in runs], draws(runs[0].spec), unit)
        for label, runs in view.runs.items()
    }
    show(score_of_set(found, **in_words(view.the_task, score, view.first.spec.task_options, view.scope)))


def by_layer(view: View, measure: Measure, lacking: list[str]) -> None:
    """A measure of every condition over its runs, by layer, where it has a value; what lacks any is added to a list."""
    if measure.absent(view.first, view.measuring):
        return
    recipe = view.recipe(measure)
    found = answers(recipe.questions(view.runs_by_name))
    there = [label for label, one in recipe.results(found).items() if np.isfinite(one.estimate).any()]
    if len(there) < len(view.runs):
        missing = ", ".join(f"“{label}”" for label in view.runs if label not in there)
        lacking.append(f"{recipe.drawn['measure']}: no layer has a value in every run of {missing}.")
    if there:
        kept = replace(recipe, asked={label: recipe.asked[label] for label in there})
        runs = view.runs_by_name
        show(kept.draw(found, runs), name=measure.name, copied=Copied(kept, runs))


@st.fragment
def similarity(view: View) -> None:
    """The RSMs of every condition at one layer, small; a layer change redraws this alone."""
    hypothesis = view.measuring.of(view.first)[0]
    if not hypothesis:
        return
    layer = show_layer_control(cached.largest_common_layer(list(view.firsts.values())))
    with slot():
        making = (view.measuring.pooling, view.measuring.metric, 0.0)
        stacks = answers({label: analysis.recording_rsms.of([one.key], *making) for label, one in view.firsts.items()})
        label = view.the_task.hypothesis_labels[hypothesis]
        figure = similarity_by_condition(
            {name: stack[layer] for name, stack in stacks.items()},
            layer=layer,
            item_ids=view.first.item_ids,
            groups=view.first.labels[label],
            group_title=view.the_task.titles[label],
            metric=view.measuring.metric,
            demonstrations=demonstration_scope(view.firsts.values()),
        )
        show(figure)


def runnable(found: list[condition_sets.Member]) -> None:
    """What of the set has not run, with the button that runs it, and what cannot be."""
    for one in found:
        if one.problem:
            st.error(f"{as_text(one.label)}: {lines_as_text(one.problem)}")
    missing = {one.label: one.resolved for one in found if one.resolved and one.recording is None and not one.problem}
    if missing:
        st.info(f"Not run yet: {as_text(', '.join(missing))}.")
        many = f"the {len(missing)} missing conditions" if len(missing) > 1 else "the missing condition"
        jobs.run_button(f"Run {many}", list(missing.values()))
        jobs.progress()


def of_one_task(ready: dict[str, Recording]) -> dict[str, Recording]:
    """The conditions that share the first one's items; says of the others why they cannot be compared with it."""
    first, *_ = ready
    reasons = {label: other_items(ready[first], one) for label, one in ready.items()}
    if apart := [f"“{label}” ({reason})" for label, reason in reasons.items() if reason]:
        st.warning(
            f"Only conditions over the same items are a set, so beside “{as_text(first)}” this is not shown: "
            f"{as_text(', '.join(apart))}."
        )
    return {label: one for label, one in ready.items() if not reasons[label]}


def page(ready: dict[str, Recording], controls: options.Controls) -> None:
    """The figures of a set of conditions over the same items."""
    the_task = task(next(iter(ready.values())).spec.task)
    first = next(iter(ready.values()))
    measuring = controls.measuring(
        (HYPOTHESIS, LABEL, POOLING, METRIC), first, the_task, primary_measuring(the_task, first)
    )
    about = "Every run in the cache that differs from a condition in its demonstration seed alone."
    averaged = controls.toggle("averaged", "Average over demonstration seeds", about)
    has_bands = controls.toggle("bands", "Bands", "95 % intervals: over items, and over seeds where averaged.")
    controls.tell()
    is_averaged = averaged and page_state()["vary"] not in ("seed", condition_sets.CHOSEN)
    runs = {label: list(of_seeds(one).values()) if is_averaged else [one] for label, one in ready.items()}
    view = View(
        {label: several or [ready[label]] for label, several in runs.items()},
        the_task,
        measuring,
        has_bands,
    )
    behaviour(view)
    not_shown()
    lacking: list[str] = []
    for measure in all_measures().values():
        with slot():
            by_layer(view, measure, lacking)
    show_missing(lacking)
    similarity(view)
    paper_section([one for several in view.runs.values() for one in several])


def not_shown() -> None:
    """Which recorded conditions the set leaves out, and where they can be chosen."""
    missing, n_others = condition_sets.left_out()
    parts = [f"Recorded as well and not shown: {', '.join(missing)}; choose them above."] if missing else []
    if n_others:
        runs = "runs of these items differ" if n_others > 1 else "run of these items differs"
        parts.append(f"{n_others} more {runs} in something else too: take them by “Chosen runs”.")
    if parts:
        st.caption(as_text(" ".join(parts)))


controls = options.Controls()
condition_sets.show_set_controls(controls)
found = condition_sets.members()
runnable(found)
ready = {one.label: one.recording for one in found if one.recording is not None}
ready = of_one_task(ready) if len(ready) > 1 else ready
if len(ready) > 1:
    page(ready, controls)
elif not page_state()["runs"] and page_state()["vary"] == condition_sets.CHOSEN:
    st.info("Choose the runs to compare, here or on the Runs page.")
else:
    st.info("A set needs at least two recorded conditions over the same items.")
    not_shown()
