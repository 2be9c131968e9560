"""Up to eight conditions at once: a k curve, seeds, kinds of demonstrations, models, or chosen runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import streamlit as st

from iclviz.analysis.attention import LogRatioSummary
from iclviz.analysis.behaviour import ScoreSummary, n_independent
from iclviz.analysis.measures import Measuring
from iclviz.analysis.of_recording import demonstration_scope, is_number, probed_labels
from iclviz.analysis.probing import Probe
from iclviz.analysis.rsa import METRICS, AlignmentTest, Metric
from iclviz.analysis.seeds import OverSeeds, over_seeds
from iclviz.analysis.statistics import MIN_UNITS
from iclviz.figures import wording
from iclviz.figures.probing import MEASURES
from iclviz.figures.sets import measure_of_set, score_of_set
from iclviz.figures.similarity import similarity_by_condition
from iclviz.primary import primary_measuring
from iclviz.questions import analyses as questions
from iclviz.questions.question import Question
from iclviz.recording import Array, Recording
from iclviz.reporting.statements import seeds_scope
from iclviz.spec import RunSpec
from iclviz.tasks import Task, task
from iclviz.ui import analyses, jobs, options, sets
from iclviz.ui.asking import answers, slot
from iclviz.ui.choice import bound, choices
from iclviz.ui.comparing import draws, of_seeds
from iclviz.ui.controls import show_layer_control
from iclviz.ui.copying import show_copies
from iclviz.ui.figure import show
from iclviz.ui.paper import paper_section
from iclviz.ui.plain import as_text, lines_as_text

ALIGNMENT = "Alignment (Spearman's rho)"


@dataclass(frozen=True)
class View:
    """What the page shows: the conditions by label, each with its runs over demonstration seeds, and how."""

    runs: Mapping[str, list[Recording]]
    of: Task
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
    score = view.of.primary.score
    found = {
        label: joined([analyses.score(one.key, score, one) for one in runs], draws(runs[0].spec))
        for label, runs in view.runs.items()
    }
    show(score_of_set(found, score=view.of.titles[score], better=view.of.better(score), demonstrations=view.scope))


Result = AlignmentTest | Probe | LogRatioSummary | ScoreSummary


def over_layers(view: View, asked: Callable[[str], Question[Any]]) -> dict[str, OverSeeds]:
    """A measure by layer of every condition over its runs; `asked` is the question about a run of that key."""
    runs = [(label, one.key) for label, several in view.runs.items() for one in several]
    found = answers({(label, key): asked(key) for label, key in runs})
    return {
        label: joined([found[label, one.key] for one in several], draws(several[0].spec))
        for label, several in view.runs.items()
    }


def joined(results: list[Result], has_seeds: bool) -> OverSeeds:
    """The results of a condition's runs as one."""
    sides = ([middle(one) for one in results], [one.low for one in results], [one.high for one in results])
    estimates, lows, highs = ([np.atleast_1d(values) for values in side] for side in sides)
    return over_seeds(estimates, lows, highs, has_seeds)


def middle(result: Result) -> Array | float:
    """What a result's interval lies around."""
    if isinstance(result, LogRatioSummary | ScoreSummary):
        return result.mean
    return result.score if isinstance(result, Probe) else result.estimate


def draw(view: View, found: dict[str, OverSeeds], name: str, measure: str, value: str, first: int = 0) -> None:
    """The figure of a measure over the conditions that have a value of it."""
    there = {label: one for label, one in found.items() if np.isfinite(one.estimate).any()}
    if len(there) < len(found):
        missing = ", ".join(f"“{label}”" for label in found if label not in there)
        st.info(f"{as_text(measure)}: no layer has a value in every run of {as_text(missing)}.")
    if there:
        said = {"measure": measure, "value": value, "demonstrations": view.scope}
        show(measure_of_set(there, **said, first=first, bands=view.bands, among=list(view.runs)), name=name)


def alignment(view: View) -> None:
    """The alignment with the chosen hypothesis."""
    how, hypothesis = view.measuring, view.measuring.of(view.first)[0]
    if not hypothesis:
        return
    given = (hypothesis, how.pooling, how.metric)
    found = over_layers(view, lambda key: questions.alignment.of([key], *given, "spearman", 0.0))
    title = f"Alignment with “{view.of.titles[hypothesis]}”"
    draw(view, found, "alignment", title, ALIGNMENT)


def probe(view: View) -> None:
    """What a held-out probe reads of the chosen label."""
    how, label = view.measuring, view.measuring.of(view.first)[1]
    if not label:
        return
    found = over_layers(view, lambda key: questions.probe.of([key], label, how.pooling, None, None))
    value = MEASURES["R2" if is_number(view.first, label) else "balanced accuracy"]
    draw(view, found, "probe", f"Probe of “{view.of.titles[label]}”", value)


def attention(view: View) -> None:
    """The log attention ratio of the last prompt token."""
    how = view.measuring
    found = over_layers(view, lambda key: questions.log_ratio.of([key], how))
    title = f"The last prompt token's attention, {how.over} over {how.under}"
    draw(view, found, "attention", title, "Log attention ratio (natural log)", first=1)


@st.fragment
def similarity(view: View) -> None:
    """The RSMs of every condition at one layer, small; a layer change redraws this alone."""
    hypothesis = view.measuring.of(view.first)[0]
    if not hypothesis:
        return
    layer = show_layer_control(analyses.largest_common_layer(list(view.firsts.values())))
    with slot():
        how = (view.measuring.pooling, view.measuring.metric, 0.0)
        stacks = answers({label: questions.rsm_stack.of([one.key], *how) for label, one in view.firsts.items()})
        label = view.of.hypothesis_labels[hypothesis]
        figure = similarity_by_condition(
            {name: stack[layer] for name, stack in stacks.items()},
            layer=layer,
            item_ids=view.first.item_ids,
            groups=view.first.labels[label],
            group_title=view.of.titles[label],
            metric=view.measuring.metric,
            demonstrations=demonstration_scope(view.firsts.values()),
        )
        show(figure)


def copied(view: View) -> tuple[dict[str, RunSpec], str]:
    """The specs of every run that is shown, by label, and the lines that draw their alignment."""
    how, hypothesis = view.measuring, view.measuring.of(view.first)[0]
    given = f"{hypothesis!r}, {how.pooling!r}, {how.metric!r}"
    drawn = f"measure={f'Alignment with “{view.of.titles[hypothesis]}”'!r}, value={ALIGNMENT!r}"
    runs = {f"{label} #{place}": one for label, several in view.runs.items() for place, one in enumerate(several)}
    return {label: one.spec for label, one in runs.items()}, (
        "seeds = {}\n"
        "for name, run in conditions.items():\n"
        f"    test = analysis.recording_alignment(run, {given})\n"
        "    seeds.setdefault(name.rpartition(' #')[0], []).append((test.estimate, test.low, test.high))\n"
        "found = {label: analysis.over_seeds(*zip(*tests)) for label, tests in seeds.items()}\n"
        f"figures.measure_of_set(found, {drawn}, bands={view.bands}).show()"
    )


def measuring_of(of: Task, first: Recording) -> Measuring:
    """The page's controls."""
    usual = primary_measuring(of, first)
    columns = st.columns(4)
    with columns[0]:
        hypotheses = list(first.hypotheses) or [""]
        hypothesis = options.select("hypothesis", "Hypothesis", hypotheses, of.titles, usual.of(first)[0])
    with columns[1]:
        labels = probed_labels(first) or [""]
        label = options.select("label", "Label", labels, of.titles, usual.of(first)[1])
    with columns[2]:
        pooling = options.select("pooling", "Embedding", list(first.embeddings), None, usual.pooling)
    with columns[3]:
        metric = cast(Metric, options.select("metric", "Similarity", list(METRICS), None, usual.metric))
    return replace(usual, hypothesis=hypothesis, label=label, pooling=pooling, metric=metric)


def runnable(found: list[sets.Member]) -> None:
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
    """The conditions that share the first one's items; says which do not."""
    first = next(iter(ready.values()))
    alike = {label: one for label, one in ready.items() if list(one.item_ids) == list(first.item_ids)}
    if others := [label for label in ready if label not in alike]:
        st.warning(f"Other items than the first condition's, so not shown: {as_text(', '.join(others))}.")
    return alike


def page(ready: dict[str, Recording]) -> None:
    """The figures of a set of conditions over the same items."""
    of = task(next(iter(ready.values())).spec.task)
    measuring = measuring_of(of, next(iter(ready.values())))
    with st.container(horizontal=True):
        bound(
            st.toggle,
            "Average over demonstration seeds",
            "averaged",
            help="Every run in the cache that differs from a condition in its demonstration seed alone.",
        )
        bound(st.toggle, "Bands", "bands", help="95 % intervals: over items, and over seeds where averaged.")
    is_averaged = choices()["averaged"] and choices()["vary"] not in ("seed", sets.CHOSEN)
    runs = {label: list(of_seeds(one).values()) if is_averaged else [one] for label, one in ready.items()}
    view = View(
        {label: several or [ready[label]] for label, several in runs.items()}, of, measuring, choices()["bands"]
    )
    behaviour(view)
    if measuring.of(view.first)[0]:
        show_copies(*copied(view))
    for section in (alignment, probe, attention):
        with slot():
            section(view)
    similarity(view)
    paper_section([one for several in view.runs.values() for one in several])


sets.show_set_controls()
found = sets.members()
runnable(found)
ready = {one.label: one.recording for one in found if one.recording is not None}
if len(ready) > 1:
    page(of_one_task(ready))
elif not choices()["runs"] and choices()["vary"] == sets.CHOSEN:
    st.info("Choose the runs to compare, here or on the Runs page.")
else:
    st.info("A set needs at least two recorded conditions.")
