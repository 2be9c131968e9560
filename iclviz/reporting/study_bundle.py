"""A whole study as one ZIP file: what it asked for, every run's score, its curves, what the comparison that was meant
says in each model and task, methods, as a page and as a notebook.
"""

import json
import tempfile
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from iclviz.analysis.measure import Resampling
from iclviz.disk import writing
from iclviz.errors import AnalysisError
from iclviz.figures.study import study_curves
from iclviz.reporting import figure_files
from iclviz.reporting.export import answering, pack
from iclviz.reporting.methods import methods
from iclviz.reporting.report import page
from iclviz.store import Store
from iclviz.studies import StudyState, as_text

README = """study.json        what the study asked for; `iclviz study study.json` runs the same
runs.csv          every run: model, task, condition, seed, order, key, mean main score
curves.*          the main score over k, as a page, a table, and images where a Chromium is installed
comparisons/      the comparison that was meant, in each model and task, with its figures
methods.*         the methods of all runs
index.html        all of it on one page
study.ipynb       the same in Python, from the cache
"""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{name}</title>
<style>body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse }} td, th {{ border: 1px solid #d0d7de; padding: .2rem .6rem }}
iframe {{ width: 100%; height: 640px; border: 0 }}</style></head><body>
<h1>{name}</h1><p>{registered}</p><iframe src="curves.html" title="Curves"></iframe>
<h2>The comparison that was meant</h2>{comparisons}<h2>Runs</h2>{runs}<h2>Methods</h2>{methods}</body></html>
"""


def write_bundle(state: StudyState, store: Store, to: Path) -> Path:
    """Write the study as one ZIP file; what was written.

    Raises
    ------
    StoreError: the file cannot be written, or a recording is damaged.
    """
    with writing(to, "The file", "Choose another one."):
        to.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=to.parent, prefix=".exporting-") as scratch:
            folder = Path(scratch, "content")
            folder.mkdir()
            _write(state, store, folder)
            archive = Path(scratch, "archive")
            pack(folder, archive)
            archive.replace(to)
    return to


def drawn(state: StudyState) -> go.Figure:
    """The study's curves."""
    asked = len(state.cells)
    return study_curves(
        state.curves(), study=state.study.name, there=state.n_there, asked=asked, registered=state.kept.words
    )


def _write(state: StudyState, store: Store, folder: Path) -> None:
    (folder / "README.txt").write_text(README, encoding="utf-8")
    (folder / "study.json").write_text(as_text(state.study), encoding="utf-8")
    runs = pd.DataFrame(state.rows())
    (folder / "runs.csv").write_bytes(figure_files.as_csv(runs))
    figure = drawn(state)
    (folder / "curves.html").write_bytes(figure_files.html(figure))
    (folder / "curves.csv").write_bytes(figure_files.csv(figure))
    if figure_files.browser():
        for kind, content in figure_files.images(figure, "screen"):
            (folder / f"curves.{kind}").write_bytes(content)
    recordings = [store.load(one.resolved.key) for one in state.cells if one.summary is not None]
    told = dict(_comparisons(state, store, folder / "comparisons"))
    paragraphs = ""
    if recordings:
        written = methods(recordings, Resampling())
        written.write(folder)
        paragraphs = "".join(f"<p>{escape(text)}</p>" for text in written.markdown.split("\n\n") if text.strip())
    links = "".join(f'<li><a href="comparisons/{escape(file)}">{escape(text)}</a></li>' for file, text in told.items())
    (folder / "index.html").write_text(
        _PAGE.format(
            name=escape(state.study.name),
            registered=escape(state.kept.words),
            comparisons=f"<ul>{links}</ul>" if links else "<p>None was meant.</p>",
            runs=runs.to_html(index=False, na_rep="–", float_format="{:.3f}".format),
            methods=paragraphs,
        ),
        encoding="utf-8",
    )
    (folder / "study.ipynb").write_text(json.dumps(_notebook(state), indent=1), encoding="utf-8")


def _comparisons(state: StudyState, store: Store, folder: Path) -> Iterator[tuple[str, str]]:
    """File -> what it compares, of the comparison that was meant, where all of its runs are there."""
    if state.study.primary is None:
        return
    for number, (model, name) in enumerate((model, name) for model in state.study.models for name in state.study.tasks):
        sides = [state.by_place[model, name, condition] for condition in state.study.primary]
        if any(one.summary is None for side in sides for one in side):
            continue
        keys = dict.fromkeys(one.resolved.key for side in sides for one in side)
        folder.mkdir(exist_ok=True)
        file = f"{number + 1}-{name}.html"
        try:
            text = page([store.load(key) for key in keys], answering(store))
        except AnalysisError as error:
            text = f"<p>{escape(str(error))}</p>"
        (folder / file).write_text(text, encoding="utf-8")
        a, b = map(state.name, state.study.primary)
        yield file, f"{name}, {model}: {a} (A) against {b} (B)"


def _notebook(state: StudyState) -> dict[str, Any]:
    """The study in Python."""
    cells = [
        ("markdown", f"# {state.study.name}\n\n{state.kept.words}"),
        ("code", "import pandas as pd\n\nimport iclviz\n\nstate = iclviz.run_study('study.json')"),
        ("code", "pd.DataFrame(state.rows())"),
        (
            "code",
            "iclviz.figures.study_curves(\n    state.curves(), study=state.study.name, there=state.n_there, "
            "asked=len(state.cells), registered=state.kept.words\n)",
        ),
    ]
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {},
        "cells": [
            {"cell_type": kind, "id": f"cell-{place}", "metadata": {}, "source": text.splitlines(keepends=True)}
            | ({"execution_count": None, "outputs": []} if kind == "code" else {})
            for place, (kind, text) in enumerate(cells)
        ],
    }
