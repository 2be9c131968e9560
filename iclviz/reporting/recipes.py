"""Figures as recipes: an analysis, the recordings that it is asked of, its options, and the figure of its answers.

A recipe is data. A page asks its questions and draws its answers, "Copy as" prints it as Python, an export draws it
from the same stored answers and keeps it, and `rebuild.py` runs what was printed; so none of them can say another thing
than the others.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import plotly.graph_objects as go

from iclviz import __version__, analysis, figures
from iclviz.analysis.behaviour_links import FAMILY
from iclviz.analysis.link import Level
from iclviz.analysis.measure import Measure, Measuring
from iclviz.analysis.measures import all_measures, measure_named
from iclviz.analysis.trajectory import TRAJECTORY, usual_quantity
from iclviz.analysis.wording import capital
from iclviz.errors import AnalysisError, unknown
from iclviz.extensions import SETTING
from iclviz.maps import Made
from iclviz.primary import primary_measuring
from iclviz.questions.codec import flattened
from iclviz.questions.question import Analysis, Question
from iclviz.recording import Recording
from iclviz.reporting.scope import demonstration_scope, seeds_scope
from iclviz.spec import RunSpec, draws
from iclviz.tasks import Task, task

Answer = Callable[[Question[Any]], Any]
"""Gives a question's answer, computed now or before."""

Runs = Mapping[str, Recording | Made]
"""What recipes ask, by label: recordings, and maps of them."""


@dataclass(frozen=True)
class Entry:
    """An argument that is a field of a run's recording, or an entry of it, such as one hypothesis."""

    label: str
    field: str
    entry: str | None = None

    def value(self, runs: Runs) -> Any:
        """What the recording holds there."""
        found = getattr(runs[self.label], self.field)
        return found if self.entry is None else found[self.entry]

    def python(self) -> str:
        """The same of `conditions`."""
        entry = "" if self.entry is None else f"[{self.entry!r}]"
        return f"conditions[{self.label!r}].{self.field}{entry}"


@dataclass(frozen=True)
class Recipe:
    """A figure of some runs.

    Attributes
    ----------
    analysis: one of `iclviz.analysis` that can be asked; arguments: its own, after the recordings.
    asked: label of an answer -> labels of the runs that it is asked of, in the analysis's order.
    figure: the name of a function of `iclviz.figures`; drawn: its arguments after the answers.
    part: what is taken of each answer, by attributes, names and places, one after another.
    alone: whether the figure takes the one answer itself, and not a table of answers by label.
    seeded: label -> whether its runs differ in a demonstration seed; the analysis is then asked of each run by itself,
        and what it says of those of one label is joined over seeds. Empty where nothing is joined.
    varied: label of an answer -> further arguments of it alone, such as which measure it is of.
    """

    analysis: Analysis[Any, ..., Any]
    asked: Mapping[str, Sequence[str]]
    figure: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    drawn: Mapping[str, Any] = field(default_factory=dict)
    part: Sequence[str | int] = ()
    alone: bool = False
    seeded: Mapping[str, bool] = field(default_factory=dict)
    varied: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What its figure is called; one that several measures share is called after the measure."""
        usual = next((name for name, draw in figures.FIGURES.items() if draw.__name__ == self.figure), self.figure)
        return str(self.drawn.get("name", usual))

    def questions(self, runs: Runs) -> dict[str, Question[Any]]:
        """Label of an answer, or of a run that is joined with others -> its question of these runs."""
        asked = {name: (name,) for names in self.asked.values() for name in names} if self.seeded else self.asked
        return {
            label: self.analysis.of([runs[name].key for name in names], **self._arguments(label))
            for label, names in asked.items()
        }

    def _arguments(self, label: str) -> dict[str, Any]:
        return {**self.varied.get(label, {}), **self.arguments}

    def results(self, answers: Mapping[str, Any]) -> dict[str, Any]:
        """What the figure takes of the answers to its questions, by label."""
        if self.seeded:
            return {
                label: analysis.joined_over_seeds([self._part(answers[name]) for name in names], self.seeded[label])
                for label, names in self.asked.items()
            }
        return {label: self._part(answer) for label, answer in answers.items()}

    def draw(self, answers: Mapping[str, Any], runs: Runs) -> go.Figure:
        """The figure of the answers to its questions.

        Raises
        ------
        AnalysisError: the answer holds nothing to draw, or there is no such figure.
        """
        if self.figure not in {draw.__name__ for draw in figures.FIGURES.values()}:
            raise unknown(AnalysisError, "figure", self.figure, list(figures.FIGURES))
        results = self.results(answers)
        shown = next(iter(results.values())) if self.alone else results
        if isinstance(shown, Mapping) and not shown:
            raise AnalysisError(f"{NO_MEASURE}.")
        drawn = {name: one.value(runs) if isinstance(one, Entry) else one for name, one in self.drawn.items()}
        return getattr(figures, self.figure)(shown, **drawn)

    def _part(self, answer: Any) -> Any:
        for step in self.part:
            answer = getattr(answer, step) if isinstance(step, str) and hasattr(answer, step) else answer[step]
        return answer

    @property
    def _asks_each_alike(self) -> bool:
        """Whether every answer is the same question of one run, after which it is called."""
        is_own = all(list(names) == [label] for label, names in self.asked.items())
        return is_own and len(self.asked) > 1 and not self.varied and not self.seeded

    def python(self) -> str:
        """Lines that draw it from `conditions`, label -> recording, as `figure`."""
        steps = "".join(_step(step) for step in self.part)

        def asked(label: str, names: Iterable[str]) -> str:
            """names: expressions of the labels of runs."""
            arguments = "".join(f", {name}={spelled(value)}" for name, value in self._arguments(label).items())
            subject = self.analysis.reading.python([f"conditions[{name}]" for name in names])
            return f"analysis.{self.analysis.name}({subject}{arguments}){steps}"

        def answer(label: str) -> str:
            names = [repr(name) for name in self.asked[label]]
            if not self.seeded:
                return asked(label, names)
            each = ", ".join(asked(label, [name]) for name in names)
            return f"analysis.joined_over_seeds([{each}], {self.seeded[label]})"

        drawn = "".join(f"    {name}={spelled(value)},\n" for name, value in self.drawn.items())
        if self.alone:
            results = f"results = {answer(next(iter(self.asked)))}\n"
        elif self._asks_each_alike:
            results = f"results = {{label: {asked('', ['label'])} for label in {list(self.asked)!r}}}\n"
        else:
            entries = "".join(f"    {label!r}: {answer(label)},\n" for label in self.asked)
            results = f"results = {{\n{entries}}}\n"
        return f"{results}figure = figures.{self.figure}(\n    results,\n{drawn})\n"

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain JSON values."""
        return {
            "analysis": self.analysis.name,
            "asked": {label: list(names) for label, names in self.asked.items()},
            "given": {name: flattened(value, {}) for name, value in self.arguments.items()},
            "part": list(self.part),
            "alone": self.alone,
            "seeded": dict(self.seeded),
            "varied": {
                label: {name: flattened(value, {}) for name, value in own.items()} for label, own in self.varied.items()
            },
            "figure": self.figure,
            "drawn": {
                name: {"of": value.label, "field": value.field, "entry": value.entry}
                if isinstance(value, Entry)
                else flattened(value, {})
                for name, value in self.drawn.items()
            },
        }


def _step(step: str | int) -> str:
    return f".{step}" if isinstance(step, str) and step.isidentifier() and step in _ATTRIBUTES else f"[{step!r}]"


_ATTRIBUTES = frozenset({"links"})
"""Steps of recipes that are attributes of results; all others are names and places."""


def spelled(value: Any) -> str:
    """A value as Python that makes it again, with `analysis` at hand."""
    if isinstance(value, Entry):
        return value.python()
    if is_dataclass(value) and not isinstance(value, type):
        arguments = [
            f"{one.name}={spelled(getattr(value, one.name))}"
            for one in fields(value)
            if getattr(value, one.name) != _usual(one)
        ]
        return f"analysis.{type(value).__name__}({', '.join(arguments)})"
    return repr(value)


def _usual(one: Any) -> Any:
    return one.default_factory() if callable(one.default_factory) else one.default


def with_values(figure: go.Figure, answers: Mapping[str, Any]) -> go.Figure:
    """The figure, if it shows any number.

    Raises
    ------
    AnalysisError: it shows none; the reason is the answers' own where they have one.
    """
    if figures.has_values(figure):
        return figure
    reasons = [reason for one in answers.values() for reason in _reasons(one)]
    raise AnalysisError(f"{capital(reasons[0])}." if reasons else "No condition has a value of it.")


def _reasons(answer: Any) -> list[str]:
    found = [*getattr(answer, "missing", {}).values(), getattr(answer, "reason", None)]
    return [reason for reason in found if reason]


# Recipes that several places share


def by_layer(
    measure: Measure,
    runs: Mapping[str, Recording],
    measuring: Measuring,
    the_task: Task,
    demonstrations: str | None = None,
) -> Recipe:
    """A measure of conditions, label -> recording, in each layer."""
    first = next(iter(runs.values()))
    limits = demonstration_scope(runs.values()) if demonstrations is None else demonstrations
    words = measure.words(first, measuring, the_task.titles)
    return Recipe(
        analysis.measured,
        {label: (label,) for label in runs},
        figures.FIGURES[measure.figure].__name__ if measure.figure in figures.FIGURES else measure.figure,
        {"measure": measure.name, "measuring": measuring},
        {**words, "demonstrations": limits},
    )


def by_layer_over_seeds(
    measure: Measure,
    runs: Mapping[str, Sequence[Recording]],
    measuring: Measuring,
    the_task: Task,
    demonstrations: str,
    bands: bool = True,
) -> Recipe:
    """A measure of conditions, label -> runs that differ in their demonstration seeds, in each layer; it is asked of
    `by_name(runs)`.

    bands: whether intervals are drawn.
    """
    first = next(iter(runs.values()))[0]
    return Recipe(
        analysis.measured,
        {label: [numbered(label, place) for place in range(len(several))] for label, several in runs.items()},
        "measure_of_set",
        {"measure": measure.name, "measuring": measuring},
        {
            "measure": capital(measure.subject(first, measuring, the_task.titles)),
            "value": measure.axis,
            "first": measure.first_layer,
            "bands": bands,
            "among": list(runs),
            "demonstrations": demonstrations,
        },
        seeded={label: draws(several[0].spec) for label, several in runs.items()},
    )


def by_name(runs: Mapping[str, Sequence[Recording]]) -> dict[str, Recording]:
    """Every run of some conditions under its condition's label and a number."""
    return {numbered(label, place): one for label, several in runs.items() for place, one in enumerate(several)}


def numbered(label: str, place: int) -> str:
    """What a run of a condition is called."""
    return f"{label} #{place}"


def change_by_layer(
    measure: Measure, labels: Sequence[str], first: Recording, measuring: Measuring, the_task: Task, demonstrations: str
) -> Recipe:
    """B minus A of a measure in each layer; labels: A and B of each demonstration seed in turn."""
    return Recipe(
        analysis.measured_change,
        {"B − A": tuple(labels)},
        "change_by_layer",
        {"measure": measure.name, "measuring": measuring},
        {
            "measure": measure.change_subject(first, measuring, the_task.titles),
            "first": measure.first_layer,
            "place": place_of(measure.name),
            "demonstrations": demonstrations,
        },
    )


def links_by_layer(
    labels: Sequence[str], score: str, measuring: Measuring, the_task: Task, level: Level, demonstrations: str
) -> Recipe:
    """The links behind a headline at one level; labels: A and B of each demonstration seed in turn."""
    family = [measure_named(name) for name in FAMILY]
    return Recipe(
        analysis.headline,
        {"": tuple(labels)},
        "link_by_layer",
        {"score": score, "measuring": measuring, "contrast": the_task.contrast},
        {
            "score": the_task.titles[score],
            "titles": {one.name: capital(one.title) for one in family},
            "first": {one.name: one.first_layer for one in family},
            "places": {name: place_of(name) for name in FAMILY},
            "demonstrations": demonstrations,
        },
        ("links", level),
        alone=True,
    )


def scored(conditions: Mapping[str, Recording], the_task: Task, score: str, figure: str, limits: str) -> Recipe:
    """A figure of a score of single conditions, as people say it."""
    return Recipe(
        analysis.score_summary,
        {label: (label,) for label in conditions},
        figure,
        {"score": score, "unit": the_task.natural_unit(score)},
        in_words(the_task, score, next(iter(conditions.values())).spec.task_options, limits),
    )


def in_words(the_task: Task, score: str, options: Mapping[str, Any], limits: str) -> dict[str, Any]:
    """How figures call a score that is said in its natural unit; options: the task's, which decide what guessing
    reaches.
    """
    unit, chance = the_task.natural_unit(score), the_task.chance(options).get(score)
    return {
        "score": unit.name,
        "unit": unit.sign,
        "better": unit.better(the_task.better(score)),
        "chance": None if chance is None else float(unit.values(chance)),
        "demonstrations": limits,
    }


def scores_at_a_glance(
    labels: Sequence[str], the_task: Task, score: str, options: Mapping[str, Any], limits: str
) -> Recipe:
    """A score in A beside B, as people say it; labels: A and B of each demonstration seed in turn.

    options: the task's, which decide what guessing reaches.
    """
    words = in_words(the_task, score, options, limits)
    drawn = {name: words[name] for name in ("better", "chance", "demonstrations")}
    arguments = {"score": score, "unit": the_task.natural_unit(score)}
    return Recipe(analysis.score_pairs, {"": tuple(labels)}, "score_pairs", arguments, drawn, alone=True)


def outcomes_recipe(conditions: Mapping[str, Recording], the_task: Task, by: str, limits: str) -> Recipe:
    """What became of the items of conditions, by a factor or label; "" = all together."""
    return Recipe(
        analysis.outcome_counts,
        {label: (label,) for label in conditions},
        "outcome_counts",
        {"outcomes": the_task.outcomes, "by": by, "rest": the_task.no_outcome},
        {"by": the_task.titles.get(by, capital(by)) if by else "Items", "demonstrations": limits},
    )


def changes_at_a_glance(
    measures: Mapping[str, Measure], labels: Sequence[str], measuring: Measuring, limits: str
) -> Recipe:
    """B minus A of every measure in every layer; labels: A and B of each demonstration seed in turn."""
    return Recipe(
        analysis.measured_change,
        dict.fromkeys(measures, tuple(labels)),
        "changes_inside",
        {"measuring": measuring},
        {
            "titles": {name: capital(one.short) for name, one in measures.items()},
            "first": {name: one.first_layer for name, one in measures.items()},
            "places": {name: place_of(name) for name in measures},
            "demonstrations": limits,
        },
        varied={name: {"measure": name} for name in measures},
    )


def place_of(measure: str) -> int:
    """A measure's place among all that are found, by which figures colour it."""
    return list(all_measures()).index(measure)


# The figures of a task's primary analysis


NO_MEASURE = "No measure of the primary analysis has a value here"
"""What is said in place of the links."""


def recipes(recordings: Mapping[str, Recording], answer: Answer) -> Iterator[Recipe]:
    """The figures of a task's primary analysis over its recordings, label -> recording, and of every measure.

    Of a condition of several demonstration seeds the first is drawn; two conditions have their headline over all seeds.
    """
    over_seeds = by_condition(recordings)
    yield from _of_conditions({labels[0]: recordings[labels[0]] for labels in over_seeds})
    yield from _headline(recordings, answer)


def by_condition(recordings: Mapping[str, Recording]) -> list[list[str]]:
    """The labels of the runs of each condition, which differ in their demonstration seed alone."""
    seeds: dict[RunSpec, list[str]] = {}
    for label, one in recordings.items():
        shown = one.spec.demonstrations
        seeds.setdefault(one.spec.with_(demonstrations=replace(shown, seed=0)), []).append(label)
    return list(seeds.values())


def pairs_of(recordings: Mapping[str, Recording]) -> list[tuple[str, str]]:
    """The labels of A and B of each demonstration seed, where the runs are two conditions whose layers and items
    correspond; none where they are not.
    """
    conditions = by_condition(recordings)
    if len(conditions) != 2:
        return []
    a, b = conditions
    first, second = recordings[a[0]], recordings[b[0]]
    drawn = [
        [recordings[label].spec.demonstrations.seed for label in labels]
        for labels in conditions
        if recordings[labels[0]].spec.demonstrations.k
    ]
    if (
        len({tuple(seeds) for seeds in drawn}) > 1
        or first.n_layers != second.n_layers
        or first.item_ids != second.item_ids
    ):
        return []
    n_seeds = max(len(a), len(b))
    return list(zip(a * (n_seeds // len(a)), b * (n_seeds // len(b)), strict=True))


def n_recipes(recordings: Mapping[str, Recording]) -> int:
    """How many figures there will be."""
    return sum(1 for _ in _foretold(recordings))


def foretold_questions(recordings: Mapping[str, Recording]) -> list[Question[Any]]:
    """What the figures will ask."""
    asked = (question for recipe in _foretold(recordings) for question in recipe.questions(recordings).values())
    return list({question.digest: question for question in asked}.values())


def _foretold(recordings: Mapping[str, Recording]) -> Iterator[Recipe]:
    """The recipes without an answer, which decides no more than the level that one is of."""
    return recipes(recordings, lambda question: _AnyLevel())


class _AnyLevel:
    strongest_level: Level = "within"


def _of_conditions(conditions: Mapping[str, Recording]) -> Iterator[Recipe]:
    first = next(iter(conditions.values()))
    the_task = task(first.spec.task)
    limits = demonstration_scope(conditions.values())
    scope = {"demonstrations": limits}
    each = {label: (label,) for label in conditions}
    for figure in ("score_by_condition", "score_distribution"):
        yield scored(conditions, the_task, the_task.primary.score, figure, limits)
    yield from _similarity(conditions, the_task)
    for measure in all_measures().values():
        yield from _measure(measure, conditions, the_task)
    rows = {"rows": primary_measuring(the_task, first).rows}
    yield Recipe(analysis.recording_log_ratio_by_head, each, "attention_ratio_by_head", rows, {**rows, **scope})
    yield Recipe(analysis.role_split, each, "attention_split", rows, {**rows, **scope})
    yield from _trajectory(conditions)


def trajectory_by_layer(conditions: Mapping[str, Recording], quantity: str, limits: str) -> Recipe:
    """A quantity of the answer trajectory in each layer; conditions: label -> recording that keeps one."""
    each = {label: (label,) for label in conditions}
    drawn = {"demonstrations": limits}
    return Recipe(analysis.trajectory_by_layer, each, "trajectory_by_layer", {"quantity": quantity}, drawn)


def _trajectory(conditions: Mapping[str, Recording]) -> Iterator[Recipe]:
    """The trajectory of the conditions that keep one."""
    kept = {label: one for label, one in conditions.items() if TRAJECTORY in one.recorded}
    if kept:
        limits = demonstration_scope(kept.values())
        yield trajectory_by_layer(kept, usual_quantity(list(kept.values())), limits)
        for label in kept:
            drawn = {"condition": label, "demonstrations": limits}
            asked = {label: (label,)}
            yield Recipe(
                analysis.trajectory_over_candidates, asked, "trajectory_over_candidates", {}, drawn, alone=True
            )


def _measure(measure: Measure, conditions: Mapping[str, Recording], the_task: Task) -> Iterator[Recipe]:
    """A measure of the conditions that may have a value of it."""
    kept = {}
    for label, one in conditions.items():
        measuring = primary_measuring(the_task, one)
        if measuring.pooling in one.embeddings and not measure.absent(one, measuring):
            kept[label] = one
    if kept:
        measuring = primary_measuring(the_task, next(iter(kept.values())))
        yield by_layer(
            measure, {label: one for label, one in kept.items() if _alike(one, kept, measuring)}, measuring, the_task
        )


def _alike(one: Recording, kept: Mapping[str, Recording], measuring: Measuring) -> bool:
    """Whether a recording has the hypothesis and label that the first one is measured with."""
    hypothesis, label = measuring.of(next(iter(kept.values())))
    return (not hypothesis or hypothesis in one.hypotheses) and (not label or label in one.groups)


def _similarity(conditions: Mapping[str, Recording], the_task: Task) -> Iterator[Recipe]:
    """The RSMs of conditions over the first one's items, at a middle layer."""
    pooling, metric = the_task.primary.pooling, the_task.primary.metric
    kept = {label: one for label, one in conditions.items() if pooling in one.embeddings}
    if not kept:
        return
    name, first = next(iter(kept.items()))
    hypothesis, _ = primary_measuring(the_task, first).of(first)
    if not hypothesis:
        return
    alike = {label: one for label, one in kept.items() if list(one.item_ids) == list(first.item_ids)}
    layer, group = min(one.n_layers for one in alike.values()) // 2, the_task.hypothesis_labels[hypothesis]
    yield Recipe(
        analysis.recording_rsms,
        {label: (label,) for label in alike},
        "similarity_matrices",
        {"pooling": pooling, "metric": metric},
        {
            "hypothesis": Entry(name, "hypotheses", hypothesis),
            "item_ids": Entry(name, "item_ids"),
            "groups": Entry(name, "labels", group),
            "hypothesis_title": the_task.titles[hypothesis],
            "group_title": the_task.titles[group],
            "layer": layer,
            "demonstrations": demonstration_scope(alike.values()),
        },
        (layer,),
    )


def _headline(recordings: Mapping[str, Recording], answer: Answer) -> Iterator[Recipe]:
    pairs = pairs_of(recordings)
    if not pairs:
        return
    first, second = (recordings[label] for label in pairs[0])
    the_task = task(first.spec.task)
    limits = seeds_scope(len(pairs)) if len(pairs) > 1 else demonstration_scope([first, second])
    labels = [label for pair in pairs for label in pair]
    measuring = primary_measuring(the_task, first)
    recipe = links_by_layer(labels, the_task.primary.score, measuring, the_task, "within", limits)
    level = answer(next(iter(recipe.questions(recordings).values()))).strongest_level
    yield replace(recipe, part=("links", level))


_SCRIPT = f'''"""Draws this export's figures again from its recordings: python rebuild.py [FOLDER]

Takes the recordings beside this file into the cache, analyses them as the export did, and writes each figure as HTML
and its numbers as CSV into FOLDER, else into `rebuilt` beside this file. Written by iclviz {__version__}.
"""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

import iclviz
from iclviz import analysis, figures

here = Path(__file__).resolve().parent
if (here / "extensions").is_dir():
    os.environ[{SETTING!r}] = str(here / "extensions")
to = Path(sys.argv[1]) if len(sys.argv) > 1 else here / "rebuilt"


def save(figure, task):
    """Write a figure as HTML, and its numbers as CSV."""
    folder, name = to / task, figure.layout.meta["name"]
    folder.mkdir(parents=True, exist_ok=True)
    figure.write_html(folder / f"{{name}}.html")
    pd.DataFrame(figures.table(figure)).to_csv(folder / f"{{name}}.csv", index=False)


subprocess.run([sys.executable, "-m", "iclviz", "import", str(here)], check=True)
'''


def script(of_tasks: Mapping[str, Mapping[str, str]], drawn: Mapping[str, Sequence[Recipe]]) -> str:
    """The script that draws the figures of an export again; task -> (label -> the expression that gives it), and task
    -> its figures.
    """
    parts = [_SCRIPT]
    for name, conditions in of_tasks.items():
        loads = "".join(f"    {label!r}: {expression},\n" for label, expression in conditions.items())
        parts.append(f"\n# {name}\nconditions = {{\n{loads}}}\n")
        parts += [f"\n{recipe.python()}save(figure, {name!r})\n" for recipe in drawn[name]]
    return "".join(parts)
