"""The figures of a task's primary analysis as recipes: drawn from recordings, and written as a script that does so.

A recipe names an analysis and a figure of the public API with their arguments, so that what is drawn and what the
script says cannot differ.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import plotly.graph_objects as go

from iclviz import __version__, analysis, figures
from iclviz.analysis.of_recording import demonstration_scope
from iclviz.primary import primary_measuring
from iclviz.recording import Recording
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
        """The figure."""
        of = getattr(analysis, self.analysis)
        results = {label: of(conditions[label], *self.given) for label in self.labels}
        if self.layer is not None:
            results = {label: one[self.layer] for label, one in results.items()}
        said = {name: one.value(conditions) if isinstance(one, Of) else one for name, one in self.drawn.items()}
        return getattr(figures, self.figure)(results, **said)

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


def recipes(conditions: Mapping[str, Recording]) -> Iterator[Recipe]:
    """The figures of a task's primary analysis over its recordings, label -> recording."""
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
    name, first = next(iter(kept.items()))
    hypothesis, _ = primary_measuring(of, first).of(first)
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
    said = {"label": titles[primary.label], **scope}
    yield Recipe(list(kept), "probes", "recording_probe", "probe_by_layer", [primary.label, primary.pooling], said)


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


def script(of_tasks: Mapping[str, Mapping[str, Recording]]) -> str:
    """The script that draws the figures of an export again; task -> (label -> recording)."""
    parts = [_SCRIPT]
    for name, conditions in of_tasks.items():
        loads = "".join(f"    {label!r}: iclviz.load({one.key!r}),\n" for label, one in conditions.items())
        parts.append(f"\n# {name}\nconditions = {{\n{loads}}}\n")
        parts += [recipe.lines(name) for recipe in recipes(conditions)]
    return "".join(parts)
