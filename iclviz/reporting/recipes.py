"""The figures of a task's primary analysis as recipes: drawn from recordings, and written as a script that does so.

A recipe names an analysis and a figure of the public API with their arguments, so that what is drawn and what the
script says cannot differ.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import plotly.graph_objects as go

from iclviz import __version__, analysis, figures
from iclviz.analysis.measures import Measuring, first_layer
from iclviz.analysis.of_recording import demonstration_scope
from iclviz.contrasts import Contrast
from iclviz.errors import AnalysisError
from iclviz.figures.wording import capital
from iclviz.primary import primary_measuring
from iclviz.recording import Recording
from iclviz.reporting.statements import MEASURE_TITLES, seeds_scope
from iclviz.spec import RunSpec
from iclviz.tasks import Task, task


@dataclass(frozen=True)
class Of:
    """An argument that is a field of a condition's recording, or an entry of it."""

    label: str
    field: str
    entry: str | None = None

    def value(self, conditions: Mapping[str, Recording]) -> Any:
        """What the recording holds there."""
        found = getattr(conditions[self.label], self.field)
        return found if self.entry is None else found[self.entry]

    def __repr__(self) -> str:
        entry = "" if self.entry is None else f"[{self.entry!r}]"
        return f"conditions[{self.label!r}].{self.field}{entry}"


@dataclass(frozen=True)
class Recipe:
    """A figure of some conditions.

    Attributes
    ----------
    labels: the conditions; result: what their results are called.
    analysis: a function of `iclviz.analysis`; given: its arguments after the recording; layer: which of its layers.
    figure: a function of `iclviz.figures`; drawn: its arguments after the results.
    """

    labels: Sequence[str]
    result: str
    analysis: str
    figure: str
    given: Sequence[Any] = ()
    drawn: Mapping[str, Any] = field(default_factory=dict)
    layer: int | None = None

    def draw(self, conditions: Mapping[str, Recording]) -> go.Figure:
        """The figure.

        Raises
        ------
        AnalysisError: the conditions cannot answer the analysis, or no answer has a value.
        """
        of = getattr(analysis, self.analysis)
        results = {label: of(conditions[label], *self.given) for label in self.labels}
        if self.layer is not None:
            results = {label: one[self.layer] for label, one in results.items()}
        said = {name: one.value(conditions) if isinstance(one, Of) else one for name, one in self.drawn.items()}
        return _with_values(getattr(figures, self.figure)(results, **said), results)

    def lines(self, of_task: str) -> str:
        """Python that draws it from `conditions` and saves it."""
        given = "".join(f", {value!r}" for value in self.given)
        result = f"analysis.{self.analysis}(conditions[label]{given}){'' if self.layer is None else f'[{self.layer}]'}"
        labels = "".join(f"    {label!r},\n" for label in self.labels)
        said = "".join(f"    {name}={value!r},\n" for name, value in self.drawn.items())
        return (
            f"\nlabels = [\n{labels}]\n"
            f"{self.result} = {{label: {result} for label in labels}}\n"
            f"figure = figures.{self.figure}(\n    {self.result},\n{said})\n"
            f"save(figure, {of_task!r})\n"
        )


@dataclass(frozen=True)
class Headline:
    """The links behind the headline of two conditions, at the level of the strongest.

    Attributes
    ----------
    a, b: labels of their recordings, one for each demonstration seed.
    score: the main score; measuring, contrast: the primary analysis; title: the score's; limits: what it is limited to.
    figure: a function of `iclviz.figures`.
    """

    a: Sequence[str]
    b: Sequence[str]
    score: str
    measuring: Measuring
    contrast: Contrast | None
    title: str
    limits: str
    figure: str = "link_by_layer"

    def draw(self, conditions: Mapping[str, Recording]) -> go.Figure:
        """The figure.

        Raises
        ------
        AnalysisError: none of the three measures has a value.
        """
        comparison = analysis.compare(*([conditions[label] for label in labels] for labels in (self.a, self.b)))
        found = analysis.headline(comparison, self.score, self.measuring, self.contrast)
        links = {TITLES[name]: link for name, link in found.links[found.strongest_level].items()}
        if not links:
            raise AnalysisError(f"{NO_MEASURE}.")
        drawn = getattr(figures, self.figure)(links, score=self.title, first=FIRSTS, demonstrations=self.limits)
        return _with_values(drawn, links)

    def lines(self, of_task: str) -> str:
        """Python that draws it from `conditions` and saves it."""
        how = as_arguments(self.measuring, self.contrast)
        return (
            f"\na, b = ([conditions[label] for label in labels] for labels in ({self.a!r}, {self.b!r}))\n"
            f"found = analysis.headline(analysis.compare(a, b), {self.score!r}, {how})\n"
            f"titles = {TITLES!r}\n"
            "links = {titles[name]: link for name, link in found.links[found.strongest_level].items()}\n"
            f"figure = figures.{self.figure}(\n    links,\n    score={self.title!r},\n    first={FIRSTS!r},\n"
            f"    demonstrations={self.limits!r},\n)\n"
            f"save(figure, {of_task!r})\n"
        )


def as_arguments(measuring: Measuring, contrast: Contrast | None) -> str:
    """How a headline measures, as Python."""
    return ", ".join(f"analysis.{part!r}" for part in (measuring, contrast) if part is not None)


def _with_values(figure: go.Figure, results: Mapping[str, Any]) -> go.Figure:
    """The figure, if it shows any number; else the reason, in the results' own words where they have some."""
    if figures.has_values(figure):
        return figure
    reasons = [why for one in results.values() for why in _reasons(one)]
    raise AnalysisError(f"{capital(reasons[0])}." if reasons else "No condition has a value of it.")


def _reasons(result: Any) -> list[str]:
    said = [*getattr(result, "missing", {}).values(), getattr(result, "reason", None)]
    return [why for why in said if why]


NO_MEASURE = "None of the three measures has a value here"
"""What is said in place of the links."""

TITLES = {name: capital(title) for name, title in MEASURE_TITLES.items()}
FIRSTS = {TITLES[name]: first_layer(name) for name in TITLES}


def recipes(recordings: Mapping[str, Recording]) -> Iterator[Recipe | Headline]:
    """The figures of a task's primary analysis over its recordings, label -> recording.

    Of a condition of several demonstration seeds the first is drawn; two conditions have their headline over all seeds.
    """
    seeds: dict[RunSpec, list[str]] = {}
    for label, one in recordings.items():
        shown = one.spec.demonstrations
        seeds.setdefault(one.spec.with_(demonstrations=replace(shown, seed=0)), []).append(label)
    yield from _of_conditions({labels[0]: recordings[labels[0]] for labels in seeds.values()})
    yield from _headline(list(seeds.values()), recordings)


def _headline(conditions: list[list[str]], recordings: Mapping[str, Recording]) -> Iterator[Headline]:
    if len(conditions) != 2:
        return
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
        return
    of, n_seeds = task(first.spec.task), max(len(a), len(b))
    measuring = primary_measuring(of, first)
    limits = seeds_scope(n_seeds) if n_seeds > 1 else demonstration_scope([first, second])
    score = of.primary.score
    yield Headline(a, b, score, measuring, of.contrast, of.titles[score], limits)


def _of_conditions(conditions: Mapping[str, Recording]) -> Iterator[Recipe]:
    of = task(next(iter(conditions.values())).spec.task)
    score, labels = of.primary.score, list(conditions)
    scope = {"demonstrations": demonstration_scope(conditions.values())}
    scored = {"score": of.titles[score], "better": of.better(score), **scope}
    yield Recipe(labels, "scores", "score_summary", "score_by_condition", [score], scored)
    yield Recipe(labels, "scores", "score_summary", "score_distribution", [score], scored)
    yield from _of_representation(conditions, of)
    yield Recipe(labels, "ratios", "recording_log_ratio", "attention_ratio_by_layer", (), scope)
    yield Recipe(labels, "ratios", "recording_log_ratio_by_head", "attention_ratio_by_head", (), scope)
    yield Recipe(labels, "shares", "role_split", "attention_split", (), scope)


def _of_representation(conditions: Mapping[str, Recording], of: Task) -> Iterator[Recipe]:
    primary, titles = of.primary, of.titles
    kept = {label: one for label, one in conditions.items() if primary.pooling in one.embeddings}
    if not kept:
        return
    first = next(iter(kept.values()))
    hypothesis, label = primary_measuring(of, first).of(first)
    if hypothesis:
        yield from _of_hypothesis(kept, of, hypothesis)
    if label:
        said = {"label": titles[label], "demonstrations": demonstration_scope(kept.values())}
        yield Recipe(list(kept), "probes", "recording_probe", "probe_by_layer", [label, primary.pooling], said)


def _of_hypothesis(kept: Mapping[str, Recording], of: Task, hypothesis: str) -> Iterator[Recipe]:
    primary, titles = of.primary, of.titles
    name, first = next(iter(kept.items()))
    group = of.hypothesis_labels[hypothesis]
    alike = {label: one for label, one in kept.items() if list(one.item_ids) == list(first.item_ids)}
    layer = min(one.n_layers for one in alike.values()) // 2
    matrices = {
        "hypothesis": Of(name, "hypotheses", hypothesis),
        "item_ids": Of(name, "item_ids"),
        "groups": Of(name, "labels", group),
        "hypothesis_title": titles[hypothesis],
        "group_title": titles[group],
        "layer": layer,
        "demonstrations": demonstration_scope(alike.values()),
    }
    yield Recipe(
        list(alike), "rsms", "recording_rsms", "similarity_matrices", [primary.pooling, primary.metric], matrices, layer
    )
    scope = {"demonstrations": demonstration_scope(kept.values())}
    with_it = [label for label, one in kept.items() if hypothesis in one.hypotheses]
    how, said = [hypothesis, primary.pooling, primary.metric], {"hypothesis": titles[hypothesis], **scope}
    yield Recipe(with_it, "tests", "recording_alignment", "alignment_by_layer", how, said)


_SCRIPT = f'''"""Draws this export's figures again from its recordings: python rebuild.py [FOLDER]

Takes the recordings beside this file into the cache, analyses them as the export did, and writes each figure as HTML
and its numbers as CSV into FOLDER, else into `rebuilt` beside this file. Written by iclviz {__version__}.
"""

import subprocess
import sys
from pathlib import Path

import pandas as pd

import iclviz
from iclviz import analysis, figures

here = Path(__file__).resolve().parent
to = Path(sys.argv[1]) if len(sys.argv) > 1 else here / "rebuilt"


def save(figure, task):
    """Write a figure as HTML, and its numbers as CSV."""
    folder, name = to / task, figure.layout.meta["name"]
    folder.mkdir(parents=True, exist_ok=True)
    figure.write_html(folder / f"{{name}}.html")
    pd.DataFrame(figures.table(figure)).to_csv(folder / f"{{name}}.csv", index=False)


subprocess.run([sys.executable, "-m", "iclviz", "import", str(here)], check=True)
'''


def script(of_tasks: Mapping[str, Mapping[str, Recording]], drawn: Mapping[str, Sequence[Recipe | Headline]]) -> str:
    """The script that draws the figures of an export again; task -> (label -> recording), and task -> its figures."""
    parts = [_SCRIPT]
    for name, conditions in of_tasks.items():
        loads = "".join(f"    {label!r}: iclviz.load({one.key!r}),\n" for label, one in conditions.items())
        parts.append(f"\n# {name}\nconditions = {{\n{loads}}}\n")
        parts += [recipe.lines(name) for recipe in drawn[name]]
    return "".join(parts)
