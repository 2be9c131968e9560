"""The command line: thin over the same functions that notebooks and pages use.

A user's mistake ends with one sentence and a status other than zero; after Ctrl-C each command says what is true of it.
"""

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from iclviz.errors import Cancelled, SpecError, UserError, unknown
from iclviz.jobs.taking_part import take_part
from iclviz.models.presets import DEMO_MODEL
from iclviz.spec import Demonstrations, RunSpec

if TYPE_CHECKING:
    from pandas import DataFrame

    from iclviz.jobs.slurm import Settings
    from iclviz.jobs.table import Report
    from iclviz.recorded import Summary
    from iclviz.store import Store
    from iclviz.studies import StudyState
    from iclviz.study import Study

INTERRUPTED = 130
Command = TypeVar("Command", bound=Callable[..., None])
ProgressAsJson = Annotated[
    bool,
    typer.Option(
        "--json", help="For programs: print progress as JSON, a line a step; end when standard input is closed."
    ),
]

# Options of a run, whoever asks for it.
TaskName = Annotated[str, typer.Option(help="A task's name, or the path of a file with your own.")]
Kind = Annotated[str, typer.Option(help="Demonstration kind.")]
NumberShown = Annotated[int, typer.Option(help="Number of demonstrations.")]
NumberOfItems = Annotated[int, typer.Option(help="Number of items.")]
TaskOptions = Annotated[
    list[str] | None,
    typer.Option("--task-option", "--option", help="A task option as name=value; repeat for more."),
]
Style = Annotated[str | None, typer.Option(help="plain or chat.")]
WeightType = Annotated[str | None, typer.Option(help="float32, bfloat16 or float16.")]
LongestResponse = Annotated[int | None, typer.Option(help="Longest response, in tokens.")]
Poolings = Annotated[list[str] | None, typer.Option(help="A pooled embedding to keep; repeat for more.")]
DemonstrationSeed = Annotated[int, typer.Option(help="Seed of the demonstrations.")]
DemonstrationOrder = Annotated[
    int, typer.Option(help="Order of the demonstrations: 0 as drawn, or another one's number.")
]
ItemSeed = Annotated[int, typer.Option(help="Seed of the items.")]
Interventions = Annotated[
    list[str] | None,
    typer.Option(help='What is done to the model, such as "knock_out to=relevant layers=12-14"; repeat for more.'),
]
Recorders = Annotated[list[str] | None, typer.Option(help="A further recorder, such as trajectory; repeat for more.")]

app = typer.Typer(
    help="See what in-context learning does inside a language model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
STOPPED: dict[str, str] = {}
"""Command -> what is true after Ctrl-C."""
READ_ONLY = "Nothing was changed."
GOES_ON = "What is finished is kept; the same command goes on from there."
out = Console(soft_wrap=True, highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 400)


def command(stopped: str, name: str | None = None) -> Callable[[Command], Command]:
    """Make a function a command, of its own name unless another is given; `stopped` says what is true after Ctrl-C."""

    def registered(function: Command) -> Command:
        STOPPED[name or function.__name__] = stopped
        return app.command(name)(function)

    return registered


@command(GOES_ON)
def run(
    model: Annotated[str, typer.Option(help="A preset, a hub id, a folder or a .gguf file.")] = DEMO_MODEL,
    task: TaskName = "linear_regression",
    kind: Kind = "correct",
    k: NumberShown = 8,
    demo_seed: DemonstrationSeed = 0,
    order: DemonstrationOrder = 0,
    example: Annotated[list[str] | None, typer.Option(help="A demonstration of your own; repeat for more.")] = None,
    n_items: NumberOfItems = 64,
    seed: ItemSeed = 0,
    task_option: TaskOptions = None,
    model_option: Annotated[list[str] | None, typer.Option(help="A model option as name=value.")] = None,
    prompt_style: Style = None,
    dtype: WeightType = None,
    max_new_tokens: LongestResponse = None,
    pooling: Poolings = None,
    attention_item: Annotated[
        list[int] | None,
        typer.Option(help="Place of an item, from 0, whose attention to keep token by token; repeat for more."),
    ] = None,
    first_token: Annotated[
        str | None, typer.Option(help="start keeps the first token, a sink, apart from content; or as is.")
    ] = None,
    template: Annotated[
        list[str] | None, typer.Option(help="What the chat template reads, as name=value; repeat for more.")
    ] = None,
    record: Recorders = None,
    intervention: Interventions = None,
) -> None:
    """Record one condition, or find it in the cache; prints its key and where to look."""
    from iclviz.api import run_spec
    from iclviz.store import Store

    spec = RunSpec(
        model=model,
        task=task,
        demonstrations=Demonstrations(kind, k, demo_seed, tuple(example or ()), order),
        n_items=n_items,
        seed=seed,
        task_options=_options(task_option),
        prompt_style=prompt_style,  # type: ignore[arg-type]
        dtype=dtype,  # type: ignore[arg-type]
        max_new_tokens=max_new_tokens,
        poolings=tuple(pooling) if pooling else None,
        model_options=_options(model_option),
        attention_items=tuple(attention_item or ()),
        first_token=first_token,  # type: ignore[arg-type]
        template=_options(template),
        record=tuple(record or ()),
        interventions=tuple(intervention or ()),  # type: ignore[arg-type]
    )
    recording = run_spec(spec)
    out.print(f"key      {recording.key}")
    out.print(f"folder   {Store().place(recording.key)}")
    for name, values in recording.scores.items():
        out.print(f"{name:<22} mean {_mean(values)}")
    out.print(f'look     iclviz dashboard, or iclviz.load("{recording.key[:8]}") in Python')


@command(GOES_ON)
def sweep(file: Annotated[Path, typer.Argument(help="A YAML file: a spec, a list of specs, or a grid.")]) -> None:
    """Record many conditions, each once; prints their keys."""
    from iclviz.api import sweep as run_all
    from iclviz.store import Store
    from iclviz.sweeping import read_specs

    store = Store()
    recordings = run_all(read_specs(file))
    out.print(_runs_table([store.summary(key) for key in dict.fromkeys(one.key for one in recordings)]))


@command(GOES_ON)
def study(
    file: Annotated[
        Path, typer.Argument(help="A YAML file: models, tasks, conditions, seeds, maps; or the name of a study here.")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what is left to do and what that takes, and run nothing.")
    ] = False,
    register: Annotated[
        bool, typer.Option("--register", help="Write down what it asks for before its first run, and run nothing.")
    ] = False,
    to: Annotated[Path | None, typer.Option(help="A .zip file for the whole study, when it has run.")] = None,
    with_recordings: Annotated[
        bool, typer.Option("--with-recordings", help="Put the recordings and maps into that file, to be imported.")
    ] = False,
    no_run: Annotated[bool, typer.Option("--no-run", help="Run nothing: tell and write what is recorded.")] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="With --dry-run, print every number as JSON; else, for programs, progress as JSON, a line a step, and "
            "end when standard input is closed.",
        ),
    ] = False,
    executor: Annotated[
        str | None,
        typer.Option(help="Who computes: slurm submits job arrays and returns; other names as of $ICLVIZ_EXECUTOR."),
    ] = None,
    partition: Annotated[str | None, typer.Option(help="Of slurm: the partition.")] = None,
    gpus_per_job: Annotated[int, typer.Option(help="Of slurm: GPUs of each job.")] = 1,
    minutes: Annotated[int, typer.Option(help="Of slurm: the longest that a job may run; it then goes on anew.")] = 240,
    parallel: Annotated[int, typer.Option(help="Of slurm: jobs at the same time, at the most.")] = 8,
    slurm_option: Annotated[
        list[str] | None, typer.Option(help="Of slurm: an option of sbatch as name=value; repeat for more.")
    ] = None,
) -> None:
    """Run a study: every combination of models, tasks, conditions and seeds; goes on after any stop."""
    from iclviz.api import run_study
    from iclviz.store import Store
    from iclviz.studies import keep, state_of
    from iclviz.studies import register as write_down

    store = Store()
    asked = _study_of(file, store)
    if register:
        out.print(write_down(asked, store).words)
        return
    slurm = None
    if executor == "slurm":
        from iclviz.jobs.slurm import Settings

        slurm = Settings(partition, gpus_per_job, minutes, parallel, _options(slurm_option))
    if dry_run:
        _print_plan(state_of(keep(asked, store), store), store, as_json, slurm)
        return
    if slurm is not None and not no_run:
        _submit(state_of(keep(asked, store), store), store, slurm)
        return
    if no_run:
        state = state_of(keep(asked, store), store)
    else:
        with _computed_by(executor):
            state = run_study(asked)
    if not as_json:
        out.print(_study_table(state))
        for line in state.left_out:
            out.print(f"left out {line}")
        out.print(state.kept.words)
    if to is not None:
        from iclviz.reporting.study_bundle import write_bundle
        from iclviz.terminal import showing

        with _telling() if as_json else showing("writing") as tell:
            written = write_bundle(state, store, to.expanduser(), tell, with_recordings)
        out.print(f"written  {written}")


@contextmanager
def _computed_by(executor: str | None) -> "Iterator[None]":
    """Runs are computed by the executor of that name; None changes nothing."""
    from iclviz.jobs.executors import SETTING

    before = os.environ.get(SETTING)
    if executor is not None:
        os.environ[SETTING] = executor
    try:
        yield
    finally:
        if executor is not None:
            os.environ.pop(SETTING)
            os.environ.update({} if before is None else {SETTING: before})


def _submit(state: "StudyState", store: "Store", settings: "Settings") -> None:
    """Have Slurm compute what is left of a study; returns at once."""
    from iclviz.jobs.slurm import advice, array_of, folder_of, submit

    elements = array_of(state, store)
    if not elements:
        out.print("Nothing is left to do.")
        return
    out.print(advice(state, settings))
    jobs = submit(elements, state, store, settings)
    out.print(f"submitted  {_array_words(len(elements), settings)}: {', '.join(str(job.job_id) for job in jobs)}")
    out.print(f"logs       {folder_of(state, store)}")
    out.print(f"look       iclviz study {state.study.name} --no-run, or the page Study")


def _array_words(n: int, settings: "Settings") -> str:
    return (
        f"{n} job{'s' if n != 1 else ''}, up to {settings.parallel} at the same time, each with {settings.gpus} GPU"
        f"{'s' if settings.gpus != 1 else ''} for up to {settings.minutes} minutes"
    )


def _study_of(file: Path, store: "Store") -> "Study":
    """The study of a file, or the one of that name that the cache keeps."""
    from iclviz.studies import every_kept, kept
    from iclviz.study import read_study

    named = None if file.exists() or str(file) not in every_kept(store) else kept(str(file), store)
    return read_study(file) if named is None else named.study


def _print_plan(state: "StudyState", store: "Store", as_json: bool, slurm: "Settings | None") -> None:
    """What is left to do of a study, and what it takes here; slurm: what a job array would be submitted with."""
    from iclviz.jobs.slurm import advice, array_of
    from iclviz.planning.of_study import planned
    from iclviz.planning.words import study_lines, study_rows

    plan = planned(state, store)
    n_jobs = None if slurm is None else len(array_of(state, store))
    if as_json:
        print(json.dumps({**state.kept.told, **plan.to_dict(), **({} if n_jobs is None else {"jobs": n_jobs})}))
        return
    table = _table("model", "what", "number", "prompts", "tokens", "read", "memory", "disk", "time")
    for row in study_rows(plan):
        table.add_row(*row)
    out.print(table)
    for line in study_lines(plan):
        out.print(line)
    if slurm is not None and n_jobs is not None:
        out.print(f"array    {_array_words(n_jobs, slurm)}")
        out.print(advice(state, slurm))
    out.print(f"digest   {state.study.digest}")
    out.print(state.kept.words)


def _study_table(state: "StudyState") -> Table:
    """A study's conditions, with the mean main score of each model and task over seeds."""
    grid = state.grid()
    table = _table(*grid)
    for row in zip(*grid.values(), strict=True):
        table.add_row(*row)
    return table


@command(GOES_ON, "map")
def map_(
    key: Annotated[str, typer.Argument(help="A recording of the cache, by its key or how that begins.")],
    grid: Annotated[str, typer.Argument(help='What is done where, such as heads or "attention rows=query".')],
) -> None:
    """Act on the model at each site of a grid, for all items of a run; prints the sites that change most.

    Of a map of orders it first prints what the order of demonstrations does alone.
    """
    from iclviz import analysis
    from iclviz.api import effect_map, load

    recording = load(key)
    made = effect_map(recording, grid)
    _print_place(made.key)
    told = [analysis.order_share] if made.grid.kind == "orders" else []
    for of in (*told, analysis.effect_of_sites):
        for line in of((made, recording)).lines():
            out.print(line)


def _print_place(key: str) -> None:
    """The key of a map or a trace, and where it lies."""
    from iclviz.store import Store

    out.print(f"key      {key}")
    out.print(f"folder   {Store().map_place(key)}")


@command(GOES_ON, "trace")
def trace_(
    key: Annotated[str, typer.Argument(help="A recording of the cache, by its key or how that begins.")],
    tracer: Annotated[str, typer.Argument(help="What is followed, such as information_flow or head_catalogue.")],
) -> None:
    """Follow something through the model beside a run; prints what was found."""
    from iclviz import analysis
    from iclviz.api import load, trace

    recording = load(key)
    made = trace(recording, tracer)
    _print_place(made.key)
    if made.tracer.kind == "head_catalogue":
        lines = analysis.head_scores([made]).lines()
    elif made.tracer.kind == "information_flow":
        lines = analysis.flow_by_block((made, recording)).lines()
    else:
        lines = [f"{name}: {' x '.join(map(str, values.shape))}" for name, values in made.arrays.items()]
    for line in lines:
        out.print(line)


@command(READ_ONLY)
def plan(
    model: Annotated[str, typer.Option(help="A preset, a hub id, a folder or a .gguf file; no weights are read.")],
    task: TaskName = "linear_regression",
    kind: Kind = "correct",
    k: NumberShown = 8,
    n_items: NumberOfItems = 64,
    task_option: TaskOptions = None,
    prompt_style: Style = None,
    dtype: WeightType = None,
    max_new_tokens: LongestResponse = None,
    pooling: Poolings = None,
    record: Recorders = None,
    grid: Annotated[
        str | None,
        typer.Option("--map", help='A map whose cost is wanted too, such as heads or "attention rows=query".'),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help='One device, such as H100 or "this machine"; without it all that are known.')
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every number as JSON.")] = False,
    demo_seed: DemonstrationSeed = 0,
    order: DemonstrationOrder = 0,
    seed: ItemSeed = 0,
    intervention: Interventions = None,
) -> None:
    """Say what a run would take: memory, disk and time, here and on other devices, from a configuration alone."""
    from iclviz.api import plan as planned
    from iclviz.planning.words import lines, row

    spec = RunSpec(
        model=model,
        task=task,
        demonstrations=Demonstrations(kind, k, demo_seed, (), order),
        n_items=n_items,
        seed=seed,
        interventions=tuple(intervention or ()),  # type: ignore[arg-type]
        task_options=_options(task_option),
        prompt_style=prompt_style,  # type: ignore[arg-type]
        dtype=dtype,  # type: ignore[arg-type]
        max_new_tokens=max_new_tokens,
        poolings=tuple(pooling) if pooling else None,
        record=tuple(record or ()),
    )
    made = planned(spec, grid, device)
    if as_json:
        print(json.dumps(made.to_dict()))
        return
    for line in lines(made):
        out.print(line)
    table = _table("device", "time", "how it fits")
    for one in made.devices:
        table.add_row(*row(one))
    out.print()
    out.print(table)


@command(READ_ONLY)
def maps() -> None:
    """List the kinds of maps and traces, and those that the cache holds."""
    from iclviz.mapping import grids, tracers
    from iclviz.store import Store

    table = _table("map", "what it answers", "example")
    for name, kind in {**grids(), **tracers()}.items():
        table.add_row(name, kind.question, kind.example)
    out.print(table)
    store = Store()
    made = _table("key", "map", "task", "demonstrations", "items")
    for key in store.maps():
        spec = store.load_made(key).spec
        shown = spec.run.demonstrations
        made.add_row(key[:12], str(spec.grid), spec.run.task, _in_a_cell(shown), str(spec.n_items))
    out.print(made)


@command(READ_ONLY)
def tasks() -> None:
    """List the tasks: those that come with iclviz, and files of your own that the cache folder keeps."""
    from iclviz.tasks import problems
    from iclviz.tasks import tasks as registered
    from iclviz.tasks.listing import listed
    from iclviz.tasks.task_files import tasks_folder

    found = listed()
    table = _table("name", "task", "where from")
    for name, one in registered().items():
        table.add_row(name, one.title, "iclviz")
    for entry in found:
        if not entry.problem:
            table.add_row(entry.name, entry.title, str(entry.place))
    out.print(table)
    for entry in found:
        if entry.problem:
            out.print(f"not a task: {entry.place}\n{entry.problem}")
    for problem in problems().values():
        out.print(f"not a task: {problem}")
    out.print(f"A path to a .json, .jsonl or .csv file also does, or its name once it lies in {tasks_folder()}.")


@command(READ_ONLY)
def runs(as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one line a run.")] = False) -> None:
    """List what the cache holds, newest first."""
    from iclviz.store import Store

    found, ailing = Store().listing()
    if as_json:
        for entry in found:
            print(json.dumps(entry.to_dict()))
        return
    for one in ailing:
        out.print(one.problem)
    if not found:
        out.print("The cache holds no runs yet. Make one: iclviz run --task linear_regression --k 8")
        return
    out.print(_runs_table(found))


def _runs_table(summaries: "Sequence[Summary]") -> Table:
    table = _table("key", "model", "task", "demonstrations", "items", "main score", "MB")
    note_of_sample = {True: " (told by a sample of its weights)", False: ""}
    for entry in summaries:
        shown, spec = entry.spec.demonstrations, entry.spec
        demonstrations = _in_a_cell(shown)
        score = f"{entry.main_score} {entry.mean_score:.3f}"
        size = f"{entry.size / 1e6:.1f}"
        model = f"{spec.model}{note_of_sample[entry.by_sample]}"
        table.add_row(entry.key[:12], model, spec.task, demonstrations, str(spec.n_items), score, size)
    return table


def _in_a_cell(shown: Demonstrations) -> str:
    """Demonstrations by their fields; an order where it is not as drawn."""
    return f"{shown.kind} k={shown.k} seed={shown.seed}{f' order={shown.order}' if shown.order else ''}"


@command("Recordings that are named above are gone, all others are as they were.")
def delete(
    keys: list[str],
    for_good: Annotated[bool, typer.Option(help="Free their space at once; this cannot be taken back.")] = False,
) -> None:
    """Remove recordings and maps from the cache; the Runs page can take recordings back until they are emptied."""
    from iclviz.curating import discard
    from iclviz.store import Store

    store = Store()
    maps = {key: [one for one in store.maps() if key and one.startswith(key)] for key in keys}
    for key in [one for found in maps.values() if len(found) == 1 for one in found]:
        store.delete_map(key)
        out.print(f"deleted the map {key}; it can be made again")
    for key in [store.full_key(key) for key in keys if len(maps[key]) != 1]:
        if for_good:
            store.delete(key)
            out.print(f"deleted {key}")
        else:
            discard(store, key)
            out.print(f"discarded {key}; the Runs page restores it")


@command("A ZIP file was not written; a folder holds what was written until now. The same command begins again.")
def export(
    keys: list[str],
    to: Annotated[str, typer.Option(help="A folder, or a file that ends in .zip.")],
    formulas: Annotated[
        bool, typer.Option(help="Leave texts in CSV files as they are that a spreadsheet would run as formulas.")
    ] = False,
    as_json: ProgressAsJson = False,
) -> None:
    """Write recordings, figures, tables, the methods paragraph and a script that draws the figures again."""
    from iclviz.reporting.export import export as write
    from iclviz.terminal import showing

    if not to.strip():
        raise SpecError("--to is empty.", "Name a folder, or a file that ends in .zip.")
    with _telling() if as_json else showing("exporting") as report:
        written = write(keys, Path(os.path.expanduser(to)), report, formulas)
    out.print(f"written  {written}")


@command("Nothing was written; answers that were computed are kept, and the same command goes on from there.")
def report(
    keys: list[str],
    to: Annotated[Path, typer.Option(help="A file that ends in .html.")],
    as_json: ProgressAsJson = False,
) -> None:
    """Write a comparison as one HTML page: what was found, figures, items, methods; name A's recordings before B's."""
    from iclviz.reporting.report import write_report
    from iclviz.terminal import showing

    with _telling() if as_json else showing("writing") as tell:
        written = write_report(keys, to.expanduser(), tell)
    out.print(f"written  {written}")


@contextmanager
def _telling() -> "Iterator[Report]":
    """Progress as JSON for the program that started this one, whose end also ends this: it closes standard input."""
    from iclviz.jobs.stopping import stop_on_termination

    def end_with_caller() -> None:
        while os.read(0, 1):  # not through sys.stdin, whose lock an end of this process would wait for
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    stop_on_termination()
    threading.Thread(target=end_with_caller, daemon=True).start()
    yield lambda progress: print(json.dumps(asdict(progress)), flush=True)


@command("What was taken in is kept; the same command takes in the rest.", "import")
def import_(
    places: list[Path],
    only_plan: Annotated[bool, typer.Option("--plan", help="Only say what would be taken in.")] = False,
) -> None:
    """Take in folders or ZIP files that `iclviz export` wrote, after saying what that will do."""
    from iclviz.reporting.bundles import import_bundle, plan_import
    from iclviz.store import Store

    for place in [one.expanduser() for one in places]:
        for sentence in plan_import(Store(), place).sentences():
            out.print(sentence)
        if only_plan:
            continue
        found = import_bundle(Store(), place)
        for key in found.new:
            out.print(f"imported  {key}")
        for key in found.known:
            out.print(f"known     {key}")
        for name, problem in found.refused.items():
            out.print(f"refused   {name}: {problem}")


@command("What was removed stays removed; the same command goes on.")
def gc(
    only_say: Annotated[bool, typer.Option("--plan", help="Only say what would go.")] = False,
    most_gb: Annotated[
        float | None, typer.Option(help="Delete recordings, those untouched for longest first, down to so many GB.")
    ] = None,
) -> None:
    """Make room: remove leftovers, what was set aside as damaged, old logs and jobs, and too many discarded runs."""
    from iclviz.store import Store
    from iclviz.upkeep import Limits, room
    from iclviz.upkeep import gc as remove

    store = Store()
    freed = remove(store, Limits(recordings_bytes=None if most_gb is None else int(most_gb * 1e9)), only_say)
    for one in freed:
        out.print(f"{one.size / 1e6:>9.1f} MB  {one.what}")
    out.print(f"{sum(one.size for one in freed) / 1e6:>9.1f} MB  {'could go' if only_say else 'freed'}")
    for name, size in room(store).items():
        out.print(f"{size / 1e6:>9.1f} MB  kept: {name}")


@command("With --remove, what is named above as removed is gone; nothing else was changed.")
def check(
    remove: Annotated[bool, typer.Option(help="Remove what is damaged; what is only newer stays.")] = False,
) -> None:
    """Read everything that the cache holds, and name what is damaged or of a newer iclviz."""
    from iclviz.store import Store
    from iclviz.upkeep import check as look

    found = look(Store())
    for one in found:
        gone = remove and not one.is_newer
        if gone:
            one.remove()
        out.print(
            f"{'removed' if gone else 'newer' if one.is_newer else 'damaged'}  {one.kind} {one.name}: {one.problem}"
        )
    left = [one for one in found if not (remove or one.is_newer)]
    out.print(f"{len(found)} things cannot be used." if found else "Everything can be read.")
    sys.exit(1 if left else 0)


@command(READ_ONLY)
def measure(
    name: Annotated[str, typer.Argument(help="A measure by layer; without one, those that there are are listed.")] = "",
    keys: Annotated[list[str] | None, typer.Argument(help="A recording, or A and B to compare.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="What the measure leaves open, as name=value; repeat for more.")
    ] = None,
) -> None:
    """Print a measure by layer as CSV: of one recording, or B minus A of two."""
    from iclviz.analysis.measures import all_measures

    if not name:
        table = _table("name", "measure", "leaves open")
        for one in all_measures().values():
            table.add_row(one.name, one.title, ", ".join(each.name for each in one.options))
        out.print(table)
        return
    print(_measured(name, keys or [], _options(option)).to_csv(index=False), end="")


def _measured(name: str, keys: "Sequence[str]", chosen: dict[str, Any]) -> "DataFrame":
    """A measure of a recording, or what changed from A to B, as a table with a row for each layer.

    Raises
    ------
    SpecError: not one recording or two.
    AnalysisError: an unknown measure or option, or the recordings have no value of it.
    """
    import pandas as pd

    from iclviz import analysis
    from iclviz.api import load
    from iclviz.primary import primary_measuring
    from iclviz.tasks import task

    if len(keys) not in (1, 2):
        raise SpecError(f"{len(keys)} recordings were named.", "Name one, or A and B; list them with `iclviz runs`.")
    runs, kind = [load(key) for key in keys], analysis.measure_named(name)
    measuring = primary_measuring(task(runs[0].spec.task), runs[0]).with_(kind.options, chosen, runs[0])
    found = (
        analysis.measured(runs[0], name, measuring)
        if len(runs) == 1
        else analysis.measured_change(analysis.compare(*runs), name, measuring)
    )
    columns = ("estimate", "low", "high", "p", "p_corrected")
    layers = range(kind.first_layer, kind.first_layer + len(found.estimate))
    values = {column: getattr(found, column) for column in columns if hasattr(found, column)}
    return pd.DataFrame({kind.unit: layers, **values})


@command("Nothing was changed but files of the folder behind --to.")
def methods(
    keys: list[str],
    form: Annotated[str, typer.Option("--format", help="What to print: markdown, latex or bibtex.")] = "markdown",
    to: Annotated[Path | None, typer.Option(help="A folder for methods.md, methods.tex and methods.bib.")] = None,
) -> None:
    """Write the methods paragraph of exactly what was run."""
    from iclviz.api import load
    from iclviz.reporting.methods import methods as write
    from iclviz.store import Store
    from iclviz.studies import registered_of

    recordings = [load(key) for key in keys]
    notes = [one.sentence for one in registered_of([one.key for one in recordings], Store())]
    written = write(recordings, notes=notes)
    texts = {"markdown": written.markdown, "latex": written.latex, "bibtex": written.bibtex}
    if form not in texts:
        raise unknown(SpecError, "format", form, list(texts))
    if to is None:
        print(texts[form], end="")
        return
    try:
        to.mkdir(parents=True, exist_ok=True)
        written.write(to)
    except OSError as error:
        raise UserError(f"The folder {to} cannot be written ({error.strerror}).", "Choose another one.") from error
    out.print(f"written  {to}")


@command(READ_ONLY)
def power(
    keys: Annotated[list[str], typer.Argument(help="The pilot: A's runs, then B's, one of each for a seed.")],
    effect: Annotated[float, typer.Option(help="The difference to be found, in the unit of the main score.")],
    share: Annotated[float, typer.Option("--power", help="In which share of studies it is to be found.")] = 0.8,
) -> None:
    """Say how many groups of items and seeds an effect needs, from a pilot's own groups and seeds."""
    from iclviz import analysis
    from iclviz.api import load
    from iclviz.tasks import task

    runs = [load(key) for key in keys]
    if len(runs) < 2 or len(runs) % 2:
        raise SpecError(f"A pilot has as many runs of A as of B, and {len(runs)} were given.", "Name A's, then B's.")
    half = len(runs) // 2
    score = task(runs[0].spec.task).primary.score
    plan = analysis.power_plan(analysis.compare(runs[:half], runs[half:]), score, effect, share)
    for line in plan.lines():
        out.print(line)


@command(READ_ONLY)
def models() -> None:
    """List the models known by a short name, and which are on this disk."""
    from iclviz.models.locating import on_disk
    from iclviz.models.presets import presets, problems

    table = _table("name", "model", "prompt style", "memory", "licence", "here")
    for row in presets().values():
        here = "yes" if on_disk(row) else ("gated" if row.gated else "no")
        table.add_row(row.name, row.title, row.prompt_style, f"{row.memory_gb:g} GB", row.licence, here)
    out.print(table)
    for problem in problems().values():
        out.print(f"not a preset: {problem}")
    out.print("A hub id (org/name), a folder or a .gguf file also does.")


@command("Its job waits in the queue, and what it had read of it is kept; a worker or the dashboard goes on with it.")
def worker(
    idle_exit: Annotated[float | None, typer.Option(help="End after so many seconds without a job.")] = None,
    once: Annotated[bool, typer.Option(help="End as soon as the queue is empty.")] = False,
) -> None:
    """Compute the jobs that pages queue, until stopped."""
    from iclviz.jobs.worker import work
    from iclviz.models.devices import device_kind
    from iclviz.store import Store
    from iclviz.upkeep import gc

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    work(Store(), device_kind({}), idle_exit, once, tidy=gc)


@command("Jobs that wait or were handed out stay in the queue; the next scheduler goes on with them.")
def scheduler(
    idle_exit: Annotated[float | None, typer.Option(help="End after so many seconds without a job.")] = None,
    once: Annotated[bool, typer.Option(help="End as soon as the queue is empty.")] = False,
) -> None:
    """Hand the jobs that wait to workers on a Ray cluster, until stopped."""
    from iclviz.jobs.scheduling import schedule
    from iclviz.store import Store
    from iclviz.upkeep import gc

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    schedule(Store(), idle_exit, once, tidy=gc)


@command("Questions that wait are answered by the next one, which `iclviz dashboard` also starts.")
def analyst(
    idle_exit: Annotated[float | None, typer.Option(help="End after so many seconds without a question.")] = None,
    once: Annotated[bool, typer.Option(help="End as soon as no question waits.")] = False,
) -> None:
    """Answer the questions that pages ask of recordings, until stopped."""
    from iclviz.jobs.analyst import analyse
    from iclviz.store import Store

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    analyse(Store(), idle_exit, once)


@command("Questions that wait are answered by the next one, which `iclviz dashboard` also starts.")
def live(
    idle_exit: Annotated[float | None, typer.Option(help="End after so many seconds without a question.")] = None,
    once: Annotated[bool, typer.Option(help="End as soon as nothing waits.")] = False,
) -> None:
    """Act on single items as the page Live asks, until stopped."""
    from iclviz.jobs.live_acting import act
    from iclviz.store import Store

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    act(Store(), idle_exit, once)


@command("Jobs that wait or were under way go on with the next `iclviz dashboard`.")
def dashboard(
    port: Annotated[int, typer.Option(help="The port to serve on.")] = 8501,
    host: Annotated[str, typer.Option(help="The address to serve on.")] = "localhost",
    base_path: Annotated[
        str, typer.Option(help="What stands before every page's path, behind a proxy such as JupyterHub's.")
    ] = "",
    ray: Annotated[
        str | None, typer.Option(help="A Ray cluster that computes what is asked for, such as head:6379 or auto.")
    ] = None,
    storage: Annotated[
        str | None, typer.Option(help="Where recordings lie: a folder that machines share, or s3://bucket/folder.")
    ] = None,
) -> None:
    """Open the dashboard and its worker; stop both with Ctrl-C."""
    from iclviz.jobs.executors import SETTING as EXECUTOR
    from iclviz.jobs.executors.ray import ADDRESS_SETTING
    from iclviz.serving import serve
    from iclviz.storage.named import SETTING as STORAGE

    chosen = {EXECUTOR: ray and "ray", ADDRESS_SETTING: ray, STORAGE: storage}
    os.environ.update({name: value for name, value in chosen.items() if value})
    status = serve(host, port, base_path.strip("/"))
    if status == 0:
        with suppress(OSError):  # the terminal may be closed
            out.print(_stopped())
    sys.exit(status)


def _table(*columns: str) -> Table:
    """A table that is never cut: its output is also read by other programs."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True, overflow="ignore")
    return table


def _options(pairs: list[str] | None) -> dict[str, Any]:
    """name=value pairs; a value is read as JSON where it is JSON, else as text."""
    options = {}
    for pair in pairs or []:
        name, separator, value = pair.partition("=")
        if not separator:
            raise SpecError(f"The option {pair!r} has no value.", "Write it as name=value.")
        try:
            options[name.strip()] = json.loads(value)
        except ValueError:
            options[name.strip()] = value
    return options


def _mean(values: Any) -> str:
    known = values[values == values]
    return f"{known.mean():.3f} over {len(known)} items" if len(known) else "not known for any item"


def _stopped() -> str:
    """What is true after Ctrl-C of the command that runs."""
    return f"Stopped. {STOPPED.get(sys.argv[1] if len(sys.argv) > 1 else '', READ_ONLY)}"


def main() -> None:
    """Run the command line; a user's mistake is one sentence on standard error."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        take_part()
        app()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except (KeyboardInterrupt, Cancelled):
        print(_stopped(), file=sys.stderr)
        sys.exit(INTERRUPTED)
    except SystemExit as ended:
        # Typer turns Ctrl-C into this status before it reaches us.
        if ended.code == INTERRUPTED:
            print(_stopped(), file=sys.stderr)
        raise
    except BrokenPipeError:
        # The reader of our output has gone; nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
