"""Recordings with their figures and tables as files: what `iclviz export` writes.

<key>/                 the recording, as the cache keeps it
methods.md, .tex, .bib the methods paragraph of exactly what was run
tables/<key>.csv       one row an item: answers, responses, scores, labels, covariates
tasks/<task>.json      the file of a user's own task
figures/<task>/        the figures over all exported recordings of a task, each as HTML, SVG, PNG and CSV
"""

import csv
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

from iclviz import saving
from iclviz.analysis import of_recording
from iclviz.analysis.attention import role_split
from iclviz.analysis.behaviour import score_summary
from iclviz.errors import StoreError
from iclviz.figures.attention import attention_ratio_by_head, attention_ratio_by_layer, attention_split
from iclviz.figures.behaviour import Better, score_by_condition, score_distribution
from iclviz.figures.probing import probe_by_layer
from iclviz.figures.rsa import alignment_by_layer
from iclviz.figures.similarity import similarity_matrices
from iclviz.jobs.table import Progress, Report
from iclviz.methods import methods
from iclviz.primary import primary_measuring
from iclviz.recording import Recording
from iclviz.store import Store, writing
from iclviz.tasks import OwnTask, Task, task
from iclviz.tasks.task_files import written

FIGURES_A_TASK = 8


def export(keys: Sequence[str], to: Path, report: Report = lambda progress: None) -> Path:
    """Write recordings, tables and figures into a folder, or into one file where `to` ends in `.zip`; what was written.

    Images are made where a Chromium is installed; HTML and CSV always.

    Raises
    ------
    StoreError: no such recording, or the place cannot be written.
    """
    store = Store()
    whole = list(dict.fromkeys(store.full_key(key) for key in keys))
    if to.resolve().is_relative_to(store.folder):
        raise StoreError(f"The place {to} lies in the cache folder itself.", "Choose another one.")
    with writing(to, "The place", "Choose another one."):
        if to.suffix.lower() != ".zip":
            _write(store, whole, to, report)
            return to
        to.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=to.parent, prefix=".exporting-") as scratch:
            _write(store, whole, Path(scratch, "content"), report)
            archive = shutil.make_archive(str(Path(scratch, "archive")), "zip", Path(scratch, "content"))
            Path(archive).replace(to)
    return to


def _write(store: Store, keys: Sequence[str], folder: Path, report: Report) -> None:
    store.export(keys, folder)
    recordings = [store.load(key) for key in keys]
    methods(recordings).write(folder)
    (folder / "tables").mkdir(exist_ok=True)
    for recording in recordings:
        # A bare carriage return in a response ends a row unless every text is quoted.
        place = folder / "tables" / f"{recording.key}.csv"
        items(recording).to_csv(place, index=False, quoting=csv.QUOTE_NONNUMERIC)
    names = list(dict.fromkeys(recording.spec.task for recording in recordings))
    _write_tasks(names, folder / "tasks")
    for number, name in enumerate(names):
        of_task = {named(one): one for one in recordings if one.spec.task == name}
        place = folder / "figures" / name
        place.mkdir(parents=True, exist_ok=True)
        for drawn, figure in enumerate(figures(of_task), start=number * FIGURES_A_TASK):
            report(Progress("drawing figures", drawn, len(names) * FIGURES_A_TASK))
            _write_figure(figure, place)


def _write_tasks(names: Sequence[str], folder: Path) -> None:
    own = [one for one in map(task, names) if isinstance(one, OwnTask)]
    for one in own:
        folder.mkdir(exist_ok=True)
        (folder / f"{one.name}.json").write_bytes(written(one.file))


def _write_figure(figure: go.Figure, folder: Path) -> None:
    name = saving.name(figure)
    (folder / f"{name}.html").write_bytes(saving.html(figure))
    (folder / f"{name}.csv").write_bytes(saving.csv(figure))
    if saving.browser() is not None:
        for kind in ("svg", "png"):
            (folder / f"{name}.{kind}").write_bytes(saving.image(figure, kind))


def named(recording: Recording) -> str:
    """A recording in a few words that tell it from any other."""
    shown = recording.spec.demonstrations
    return f"{shown.kind}, k = {shown.k}, seed {shown.seed} ({recording.key[:6]})"


def items(recording: Recording) -> pd.DataFrame:
    """One row an item."""
    texts = {
        "item": recording.item_ids,
        "prompt": recording.prompts,
        "response": recording.responses,
        "answer": recording.answers,
        "parsed": recording.parsed,
    }
    tables = {"score": recording.scores, "label": recording.labels, "covariate": recording.covariates}
    numbers = {f"{kind}: {name}": values for kind, table in tables.items() for name, values in table.items()}
    return pd.DataFrame({**texts, **numbers})


def figures(recordings: dict[str, Recording]) -> Iterator[go.Figure]:
    """The figures of a task's primary analysis over recordings, label -> recording."""
    of = task(next(iter(recordings.values())).spec.task)
    primary, titles = of.primary, of.titles
    scores = {name: score_summary(one, primary.score) for name, one in recordings.items()}
    better: Better = "lower" if primary.score in of.lower_is_better else "higher"
    scope = of_recording.demonstration_scope(recordings.values())
    yield score_by_condition(scores, score=titles[primary.score], better=better, demonstrations=scope)
    yield score_distribution(scores, score=titles[primary.score], better=better, demonstrations=scope)
    yield from _representation(recordings, of)
    ratios = {name: of_recording.recording_log_ratio(one) for name, one in recordings.items()}
    yield attention_ratio_by_layer(ratios, rows="response", heads="mean", demonstrations=scope)
    by_head = {name: of_recording.recording_log_ratio_by_head(one) for name, one in recordings.items()}
    yield attention_ratio_by_head(by_head, rows="response", demonstrations=scope)
    split = {name: role_split(one) for name, one in recordings.items()}
    yield attention_split(split, rows="response", demonstrations=scope)


def _representation(recordings: dict[str, Recording], of: Task) -> Iterator[go.Figure]:
    primary, titles = of.primary, of.titles
    kept = {name: one for name, one in recordings.items() if primary.pooling in one.embeddings}
    if not kept:
        return
    first = next(iter(kept.values()))
    alike = {name: one for name, one in kept.items() if list(one.item_ids) == list(first.item_ids)}
    layer = min(one.n_layers for one in alike.values()) // 2
    hypothesis, _ = primary_measuring(of, first).of(first)
    label = of.hypothesis_labels[hypothesis]
    yield similarity_matrices(
        {name: of_recording.recording_rsms(one, primary.pooling)[layer] for name, one in alike.items()},
        first.hypotheses[hypothesis],
        item_ids=first.item_ids,
        groups=first.labels[label],
        hypothesis_title=titles[hypothesis],
        group_title=titles[label],
        layer=layer,
        demonstrations=of_recording.demonstration_scope(alike.values()),
    )
    scope = of_recording.demonstration_scope(kept.values())
    alignments = {
        name: of_recording.recording_alignment(one, hypothesis)
        for name, one in kept.items()
        if hypothesis in one.hypotheses
    }
    yield alignment_by_layer(alignments, hypothesis=titles[hypothesis], demonstrations=scope)
    probes = {name: of_recording.recording_probe(one, primary.label) for name, one in kept.items()}
    yield probe_by_layer(probes, label=titles[primary.label], demonstrations=scope)
