"""A whole study as one ZIP file: what it asked for, every run's score, its curves, what the comparison that was meant
says in each model and task, methods, as a page and as a notebook; with the recordings where they are wanted.
"""

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from iclviz.analysis.measure import Resampling
from iclviz.analysis.measures.probe import PERMUTATIONS
from iclviz.analysis.wording import capital
from iclviz.disk import writing
from iclviz.errors import AnalysisError
from iclviz.figures import theme
from iclviz.figures.study import study_curves
from iclviz.jobs.table import Progress, Report
from iclviz.maps import Made
from iclviz.recording import Recording
from iclviz.reporting import figure_files
from iclviz.reporting.export import answering, pack, write_manifest, write_tasks
from iclviz.reporting.methods import methods
from iclviz.reporting.over_seeds import OverSeeds
from iclviz.reporting.recipes import Answer, Recipe
from iclviz.reporting.report import Section, figure_of, methods_section, page, rendered
from iclviz.store import Store
from iclviz.studies import StudyState, as_text

README = """index.html        all of it on one page
study.json        what the study asked for; `iclviz study study.json` runs the same
bundle.json       the study's digest, whether it was registered, every figure with its files
runs.csv          every run: model, task, condition, seed, order, key, mean main score
grid.csv          conditions in rows, models and tasks in columns: the mean main score over seeds
figures/          each figure as a page, its table as CSV, and images where a Chromium is installed; plotly.min.js
                  draws the pages
comparisons/      the comparison that was meant, in each model and task, as a page with all items
methods.*         the methods of all runs and maps
study.ipynb       the same in Python, from the cache
other folders     the recordings and their maps, each named by its key, where they were wanted; to take them into
                  another cache: iclviz import FILE
"""
HIDDEN = "Conditions have their names when every run is recorded; until then the comparison that was meant is left out."
NONE_MEANT = "None was meant."
MISSING = "Some of its runs are not recorded yet."


def write_bundle(
    state: StudyState,
    store: Store,
    to: Path,
    report: Report = lambda progress: None,
    recordings: bool = False,
) -> Path:
    """Write the study as one ZIP file; what was written.

    recordings: whether those of its runs and the maps of these are in it, as `iclviz import` takes them in.

    Raises
    ------
    StoreError: the file cannot be written, or a recording is damaged.
    """
    with writing(to, "The file", "Choose another one."):
        to.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=to.parent, prefix=".exporting-") as scratch:
            folder = Path(scratch, "content")
            folder.mkdir()
            figure_files.start()
            _Bundle(state, store, folder, report).write(recordings)
            archive = Path(scratch, "archive")
            pack(folder, archive)
            archive.replace(to)
    return to


def drawn(state: StudyState) -> go.Figure:
    """The study's curves."""
    return study_curves(
        state.curves(),
        study=state.study.name,
        there=state.n_there,
        asked=len(state.cells),
        registered=state.kept.words,
        digest=state.study.digest,
    )


def recorded_places(state: StudyState) -> list[tuple[str, str]]:
    """Model and task of every place where the runs of the comparison that was meant are recorded."""
    study = state.study
    return [(model, name) for model in study.models for name in study.tasks if state.primary_pairs(model, name)]


def over_seeds(state: StudyState, model: str, name: str, load: Callable[[str], Recording]) -> OverSeeds:
    """The comparison that was meant in such a place; load: gives the recording of a key.

    Raises
    ------
    AnalysisError: its runs have no item in common.
    StoreError: a recording is damaged.
    """
    keys = [(a.resolved.key, b.resolved.key) for a, b in state.primary_pairs(model, name)]
    of = {key: load(key) for key in dict.fromkeys(key for pair in keys for key in pair)}
    return OverSeeds([(of[a], of[b]) for a, b in keys])


@dataclass
class _Bundle:
    """The files of a bundle while they are written."""

    state: StudyState
    store: Store
    folder: Path
    report: Report
    figures: list[dict[str, Any]] = field(default_factory=list)
    """What the bundle holds of each figure: what it is called, its caption, its files."""
    cells: list[tuple[str, str]] = field(default_factory=list)
    """Of the notebook, beside those that every study has."""

    def write(self, recordings: bool) -> None:
        """Every file."""
        state, folder = self.state, self.folder
        (folder / "README.txt").write_text(README, encoding="utf-8")
        (folder / "study.json").write_text(as_text(state.study.without_folders), encoding="utf-8")
        self._table("runs.csv", pd.DataFrame(state.rows()))
        self._table("grid.csv", pd.DataFrame(state.grid()))
        sections = [self._curves(), *self._comparisons(), Section("Grid", table=state.grid()), self._runs()]
        keys = [one.resolved.key for one in state.cells if one.summary is not None]
        maps = list(dict.fromkeys(one.key for one in state.maps if self.store.has_map(one.key)))
        if keys:
            made: list[Made] = [self.store.load_made(key) for key in maps]
            used = Resampling(probe_permutations=PERMUTATIONS)
            written = methods([self.store.load(key) for key in keys], used, made, [state.kept.sentence])
            written.write(folder)
            sections.append(methods_section(written))
        sections.append(Section("Run it again", code=["iclviz study study.json"]))
        (folder / "index.html").write_text(rendered(state.study.name, state.kept.words, sections), encoding="utf-8")
        (folder / "study.ipynb").write_text(json.dumps(_notebook(state, self.cells), indent=1), encoding="utf-8")
        write_manifest(folder, **state.kept.told, figures=self.figures, recordings=keys if recordings else [])
        if recordings:
            self.store.export(keys, folder)
            self.store.export_maps(maps, folder)
            write_tasks(list(dict.fromkeys(one.resolved.spec.task for one in state.cells)), folder / "tasks")

    def _table(self, name: str, rows: pd.DataFrame) -> None:
        """A table as CSV; every row says of which study it is."""
        told = self.state.kept.told
        place = self.folder / name
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(figure_files.as_csv(rows.assign(**told)))

    def _kept(self, figure: go.Figure, name: str) -> list[str]:
        """A figure's files, relative to the page."""
        to = self.folder / "figures"
        self._table(f"figures/{name}.csv", figure_files.frame(figure))
        (to / "plotly.min.js").write_text(get_plotlyjs(), encoding="utf-8")
        (to / f"{name}.html").write_text(
            theme.apply(figure, "light").to_html(include_plotlyjs="directory"), encoding="utf-8"
        )
        if figure_files.browser():
            for kind, content in figure_files.images(figure, "screen"):
                (to / f"{name}.{kind}").write_bytes(content)
        files = sorted(f"figures/{path.name}" for path in to.glob(f"{name}.*"))
        self.figures.append({"name": name, "caption": figure.layout.meta["caption"], "files": files})
        return files

    def _curves(self) -> Section:
        figure = drawn(self.state)
        return Section(figures=[figure], files=[self._kept(figure, "curves")])

    def _comparisons(self) -> Iterator[Section]:
        """What the comparison that was meant found, a section for each model and task."""
        title, study = "The comparison that was meant", self.state.study
        if study.primary is None or self.state.is_hidden:
            yield Section(title, texts=[NONE_MEANT if study.primary is None else HIDDEN])
            return
        found = recorded_places(self.state)
        a, b = study.primary
        yield Section(title, found=f"{a} (A) against {b} (B)", texts=[] if found else [MISSING])
        for number, (model, name) in enumerate(found):
            self.report(Progress("comparing A and B", number, len(found)))
            place = self.state.place(model, name)
            file = re.sub(r"[^\w.-]+", "-", f"{number + 1}-{place}")
            try:
                yield self._comparison(over_seeds(self.state, model, name, self.store.load), place, file)
            except AnalysisError as error:
                yield Section(place, texts=[str(error)])
        self.report(Progress("comparing A and B", len(found), len(found)))

    def _comparison(self, over: OverSeeds, place: str, file: str) -> Section:
        """place: what it is called; file: how its files begin.

        Raises
        ------
        AnalysisError: its behaviour cannot be compared.
        """
        answer = answering(self.store)
        headline = answer(over.headline)
        scores, runs = over.scores(headline.score)
        counts = {label: answer(one) for label, one in scores.questions(runs).items()} if over.outcomes else None
        line, size = over.said(headline, counts)
        drawn = {"scores": figure_of(scores, runs, answer)}
        code = [_drawing(scores, runs)]
        found, absent = over.measures(self.state.study.measures)
        changes = {}
        for name, measure in found.items():
            recipe = over.change(measure)
            try:
                (changes[name],) = (answer(one) for one in recipe.questions(over.runs).values())
                drawn[name] = figure_of(recipe, over.runs, answer)
                code.append(_drawing(recipe, over.runs))
            except AnalysisError as error:
                absent[name] = f"{capital(measure.title)}: {error}"
        said = [*filter(None, [over.changed(changes)]), *absent.values()]
        self.cells.append(("markdown", f"## {place}\n\n{line} {size}\n\n{' '.join(said)}"))
        self.cells += [("code", text) for text in code]
        return Section(
            place,
            found=line,
            texts=[size, *said],
            figures=list(drawn.values()),
            files=[self._kept(figure, f"{file}-{name}") for name, figure in drawn.items()],
            links={self._whole(over, file, answer): "The whole comparison, with all items"},
        )

    def _whole(self, over: OverSeeds, file: str, answer: Answer) -> str:
        """The page of a comparison as `iclviz report` writes it."""
        to = self.folder / "comparisons" / f"{file}.html"
        to.parent.mkdir(exist_ok=True)
        runs = list({one.key: one for side in (0, 1) for one in over.comparison.side(side)}.values())
        to.write_text(page(runs, answer, notes=[self.state.kept.sentence]), encoding="utf-8")
        return f"comparisons/{to.name}"

    def _runs(self) -> Section:
        rows = pd.DataFrame(self.state.rows()).drop(columns=list(self.state.kept.told))
        table = {name: [None if pd.isna(one) else one for one in values] for name, values in rows.items()}
        return Section("Runs", table=table, links={"runs.csv": "The same as CSV"})


def _drawing(recipe: Recipe, runs: Mapping[str, Recording]) -> str:
    """Python that draws a recipe from the cache."""
    loads = "".join(f"    {label!r}: iclviz.load({one.key!r}),\n" for label, one in runs.items())
    return f"conditions = {{\n{loads}}}\n{recipe.python()}figure"


def _notebook(state: StudyState, comparisons: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The study in Python; the figures of the comparison that was meant as they are in the bundle."""
    cells = [
        ("markdown", f"# {state.study.name}\n\n{state.kept.words}"),
        (
            "code",
            "import pandas as pd\n\nimport iclviz\nfrom iclviz import analysis, figures\n\n"
            "state = iclviz.run_study('study.json')  # runs what this cache does not hold\nprint(state.kept.words)",
        ),
        ("code", "pd.DataFrame(state.grid())"),
        ("code", "pd.DataFrame(state.rows())"),
        (
            "code",
            "figures.study_curves(\n    state.curves(), study=state.study.name, there=state.n_there, "
            "asked=len(state.cells), registered=state.kept.words,\n    digest=state.study.digest\n)",
        ),
        *comparisons,
    ]
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "study": state.kept.told,
        },
        "cells": [
            {"cell_type": kind, "id": f"cell-{place}", "metadata": {}, "source": text.splitlines(keepends=True)}
            | ({"execution_count": None, "outputs": []} if kind == "code" else {})
            for place, (kind, text) in enumerate(cells)
        ],
    }
