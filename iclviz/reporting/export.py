"""Recordings with their figures and tables as files: what `iclviz export` writes.

README.txt             what is what
bundle.json            the number of the bundle's format, and of which registered studies the runs are part
rebuild.py             a script that draws the same figures from the recordings again
recipes.json           the same as data: analysis, recordings, options and figure of each
<key>/                 the recording, as the cache keeps it
methods.md, .tex, .bib the methods paragraph of exactly what was run
tables/<key>           one row an item, as CSV and Parquet: answers, responses, scores, labels, covariates
tasks/<task>.json      the file of a user's own task
extensions/            files of measures and tasks of one's own that are code and that the figures need
figures/<task>/        the figures over all exported recordings of a task: each as HTML, SVG, PDF and PNG, for the
                       screen and for columns of a paper, and its numbers as CSV and Parquet
"""

import csv
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from iclviz import __version__
from iclviz.analysis.measure import Resampling
from iclviz.analysis.measures import measure_named
from iclviz.analysis.measures.probe import PERMUTATIONS
from iclviz.answers import Answers
from iclviz.disk import writing
from iclviz.errors import AnalysisError, StoreError
from iclviz.extensions import home
from iclviz.figures.paper import COLUMNS
from iclviz.jobs.table import Progress, Report
from iclviz.maps import Made
from iclviz.questions.question import Question, Refusal
from iclviz.recording import Recording
from iclviz.reporting import figure_files
from iclviz.reporting.bundles import FILE, FORMAT
from iclviz.reporting.map_recipes import acting_maps, map_label, recipes_of_maps
from iclviz.reporting.methods import methods
from iclviz.reporting.recipes import Answer, Recipe, Runs, n_recipes, recipes, script, with_values
from iclviz.reporting.snippets import loading
from iclviz.reporting.trace_recipes import recipes_of_traces
from iclviz.spec import canonical_json
from iclviz.store import Store
from iclviz.studies import registered_of
from iclviz.tasks import OwnTask, task
from iclviz.tasks.task_files import written as task_file

WHOLE = 32
"""Digits of a key."""

README = f"""What iclviz exported.

README.txt    this file
bundle.json   the number of the bundle's format, and of which registered studies the runs are part
rebuild.py    a script that draws the same figures again from the recordings: python rebuild.py [FOLDER]
recipes.json  the same figures as data: analysis, recordings, options and figure of each
methods.md    the methods paragraph of exactly what was run; methods.tex the same for LaTeX, methods.bib what it cites
figures/      a folder for each task; what each file shows is its name
tables/       a table for each recording, one row an item: prompt, response, answer, scores, labels, covariates
tasks/        the files of tasks of one's own, if any was run
extensions/   the files of measures and tasks of one's own that are code, if any is needed; rebuild.py runs them
other folders the recordings and their maps, each named by its key; to take them into another cache:
              iclviz import FOLDER_OR_ZIP

Figures
  .html             with hover and zoom; needs no network
  .svg .pdf .png    as on the screen
  -single-column    {COLUMNS["single column"].width_mm} mm wide, text of {COLUMNS["single column"].text_pt} pt, no title
  -double-column    {COLUMNS["double column"].width_mm} mm wide, text of {COLUMNS["double column"].text_pt} pt, no title
  .csv .parquet     the numbers that the figure shows, in long form
Images are missing where no Chromium was installed. Tables are CSV and Parquet with the same content; Parquet keeps
types and every digit.

The conditions
"""


def export(keys: Sequence[str], to: Path, report: Report = lambda progress: None, formulas: bool = False) -> Path:
    """Write recordings, tables and figures into a folder, or into one file where `to` ends in `.zip`; what was written.

    Images are made where a Chromium is installed; HTML, CSV and Parquet always. `formulas` leaves texts in CSV files as
    they are that a spreadsheet would run.

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
            _write(store, whole, to, report, formulas)
            return to
        to.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=to.parent, prefix=".exporting-") as scratch:
            _write(store, whole, Path(scratch, "content"), report, formulas)
            pack(Path(scratch, "content"), Path(scratch, "archive"))
            Path(scratch, "archive").replace(to)
    return to


PACKED = frozenset({".safetensors", ".parquet", ".png"})
"""Endings of files that packing makes hardly smaller, and takes long."""


def pack(folder: Path, to: Path) -> None:
    """The files of a folder as one ZIP file."""
    with zipfile.ZipFile(to, "w", compresslevel=1) as archive:
        for path in sorted(folder.rglob("*")):
            way = zipfile.ZIP_STORED if path.suffix in PACKED else zipfile.ZIP_DEFLATED
            archive.write(path, path.relative_to(folder), way)


def _write(store: Store, keys: Sequence[str], folder: Path, report: Report, formulas: bool) -> None:
    figure_files.start()
    store.export(keys, folder)
    recordings = [store.load(key) for key in keys]
    _write_tables(recordings, folder / "tables", formulas)
    of_tasks = by_task(recordings)
    write_tasks(list(of_tasks), folder / "tasks")
    conditions = "".join(
        f"  {one.key}  {name}: {label}\n" for name, by_label in of_tasks.items() for label, one in by_label.items()
    )
    maps = {name: _maps_of(store, runs) for name, runs in of_tasks.items()}
    every_map = [one for of_task in maps.values() for one in of_task.values()]
    store.export_maps([one.key for one in every_map], folder)
    studies = registered_of(keys, store)
    told = [one.sentence for one in studies]
    methods(recordings, Resampling(probe_permutations=PERMUTATIONS), every_map, told).write(folder)
    drawn, left_out = _write_figures(of_tasks, maps, folder / "figures", answering(store), report, formulas)
    missing = f"\nFigures that have nothing to show\n{''.join(left_out)}" if left_out else ""
    part = f"\n{' '.join(told)}\n" if told else ""
    (folder / "README.txt").write_text(README + conditions + part + missing, encoding="utf-8")
    write_manifest(folder, studies=[one.told for one in studies])
    loads = {name: loading({**runs, **maps[name]}, WHOLE) for name, runs in of_tasks.items()}
    (folder / "rebuild.py").write_text(script(loads, drawn), encoding="utf-8")
    _write_extensions(list(of_tasks), drawn, folder / "extensions")
    kept = {name: [recipe.to_dict() for recipe in of_task] for name, of_task in drawn.items()}
    (folder / "recipes.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False), encoding="utf-8")


def write_manifest(folder: Path, **told: Any) -> None:
    """Write the number of the bundle's format, with the version that wrote it and what else is told."""
    content = {"iclviz": __version__, **{name: value for name, value in told.items() if value}}
    (folder / FILE).write_bytes(canonical_json(FORMAT.numbered(content)).encode())


def _maps_of(store: Store, runs: Mapping[str, Recording]) -> dict[str, Made]:
    """The maps and traces of recordings, under the labels by which recipes ask them."""
    found = {}
    for label, one in runs.items():
        for made in map(store.load_made, store.maps_of(one)):
            found[map_label(label, made.spec.grid)] = made
    return found


def answering(store: Store) -> Answer:
    """Gives the answers that pages show: those that are kept, and computed ones, which are then kept.

    Raises
    ------
    AnalysisError: recordings cannot answer a question.
    """
    answers, load = Answers(store), lru_cache(maxsize=16)(store.either)

    def answer(question: Question[Any]) -> Any:
        found = answers.get(question)
        if found is None:
            try:
                found = question.answered([load(key) for key in question.keys])
            except AnalysisError as error:
                answers.put(question, Refusal(str(error)))
                raise
            answers.put(question, found)
        return found

    return answer


def _write_tables(recordings: Sequence[Recording], folder: Path, formulas: bool) -> None:
    folder.mkdir(exist_ok=True)
    for recording in recordings:
        rows = items(recording)
        # A bare carriage return in a response ends a row unless every text is quoted.
        written = figure_files.as_csv(rows, formulas, quoting=csv.QUOTE_NONNUMERIC)
        (folder / f"{recording.key}.csv").write_bytes(written)
        (folder / f"{recording.key}.parquet").write_bytes(figure_files.as_parquet(rows))


def write_tasks(names: Sequence[str], folder: Path) -> None:
    """Write the files of those tasks that are a user's own."""
    own = [one for one in map(task, names) if isinstance(one, OwnTask)]
    for one in own:
        folder.mkdir(exist_ok=True)
        (folder / f"{one.name}.json").write_bytes(task_file(one.file))


def _write_extensions(names: Sequence[str], drawn: Mapping[str, Sequence[Recipe]], folder: Path) -> None:
    """The code of one's own that the figures are drawn with."""
    measures = {one.arguments["measure"] for of_task in drawn.values() for one in of_task if "measure" in one.arguments}
    for kind, part in [
        *(("tasks", task(one)) for one in names),
        *(("measures", measure_named(one)) for one in measures),
    ]:
        if (file := home(part)) is not None:
            (folder / kind).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / kind / file.name)


def _write_figures(
    of_tasks: dict[str, dict[str, Recording]],
    maps: Mapping[str, Mapping[str, Made]],
    folder: Path,
    answer: Answer,
    report: Report,
    formulas: bool,
) -> tuple[dict[str, list[Recipe]], list[str]]:
    """The recipes whose figures were written, task -> recipes; and why each other one has nothing to show, in lines."""
    drawn: dict[str, list[Recipe]] = {name: [] for name in of_tasks}
    left_out, files = [], []
    acted = {
        name: [*recipes_of_maps(acting_maps(maps[name]), runs), *recipes_of_traces(maps[name], runs)]
        for name, runs in of_tasks.items()
    }
    total, ended = sum(map(n_recipes, of_tasks.values())) + sum(map(len, acted.values())), count(1)

    def told() -> None:
        report(Progress("drawing figures", next(ended), total))

    def write(figure: go.Figure, place: Path) -> None:
        place.mkdir(parents=True, exist_ok=True)
        _write_figure(figure, place, formulas)
        told()

    report(Progress("drawing figures", 0, total))
    # The browser that makes images of one figure leaves this process the time to compute the next one.
    with ThreadPoolExecutor(1) as writer:
        try:
            for name, recipe in _all_recipes(of_tasks, acted, answer):
                runs: Runs = {**of_tasks[name], **maps[name]}
                try:
                    found = {label: answer(one) for label, one in recipe.questions(runs).items()}
                    figure = with_values(recipe.draw(found, runs), found)
                except AnalysisError as error:
                    left_out.append(f"  {name}, {recipe.name}: {error}\n")
                    told()
                    continue
                files.append(writer.submit(write, figure, folder / name))
                drawn[name].append(recipe)
            for one in files:
                one.result()
        except BaseException:
            writer.shutdown(cancel_futures=True)
            raise
    return drawn, left_out


def _all_recipes(
    of_tasks: Mapping[str, Mapping[str, Recording]], acted: Mapping[str, Sequence[Recipe]], answer: Answer
) -> Iterator[tuple[str, Recipe]]:
    """Task and recipe of every figure: those of its recordings, then those of their maps."""
    for name, runs in of_tasks.items():
        yield from ((name, one) for one in recipes(runs, answer))
        yield from ((name, one) for one in acted[name])


def _write_figure(figure: go.Figure, folder: Path, formulas: bool) -> None:
    name, rows = figure_files.name(figure), figure_files.frame(figure)
    made = {
        "html": figure_files.html(figure),
        "csv": figure_files.as_csv(rows, formulas),
        "parquet": figure_files.as_parquet(rows),
    }
    for kind, content in made.items():
        (folder / figure_files.file_name(name, kind)).write_bytes(content)
    if figure_files.browser() is not None:
        for size in figure_files.SIZES:
            for kind, image in figure_files.images(figure, size):
                (folder / figure_files.file_name(name, kind, size)).write_bytes(image)


def named(recording: Recording) -> str:
    """A recording in a few words that tell it from any other."""
    shown = recording.spec.demonstrations
    done = "".join(f", {one.short}" for one in recording.spec.interventions)
    return f"{shown.kind}, k = {shown.k}, seed {shown.seed}{shown.order_words}{done} ({recording.key[:6]})"


def labelled(recordings: Sequence[Recording]) -> dict[str, Recording]:
    """Recordings by a few words, which hold the beginning of the key only where others do not tell them apart."""
    short = [named(recording).rpartition(" (")[0] for recording in recordings]
    return {
        words if short.count(words) == 1 else named(recording): recording
        for words, recording in zip(short, recordings, strict=True)
    }


def by_task(recordings: Sequence[Recording]) -> dict[str, dict[str, Recording]]:
    """Task -> its recordings by label."""
    return {
        name: labelled([one for one in recordings if one.spec.task == name])
        for name in dict.fromkeys(one.spec.task for one in recordings)
    }


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
