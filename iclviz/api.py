"""The Python library's verbs: run, sweep, run_study, effect_map, trace, plan, runs, load."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from iclviz.errors import UserError
from iclviz.intervening import Intervention
from iclviz.jobs.executors import Executor, executor, returns_at_once
from iclviz.jobs.queue import Order, Queue, Wanted
from iclviz.jobs.table import Progress, Report
from iclviz.jobs.taking_part import take_part
from iclviz.mapping import Grid, MapSpec, Tracer, as_mapped
from iclviz.mapping import grid as as_grid
from iclviz.mapping import tracer as as_tracer
from iclviz.maps import EffectMap, Trace
from iclviz.recorded import Summary
from iclviz.recording import Recording
from iclviz.resolve import Resolved, build, check_before, resolve_all, resolve_map, run_together
from iclviz.spec import Demonstrations, Dtype, FirstToken, PromptStyle, RunSpec
from iclviz.store import Store
from iclviz.studies import StudyState, keep, state_of
from iclviz.study import Study, read_study
from iclviz.study import study as as_study
from iclviz.terminal import showing

if TYPE_CHECKING:
    from iclviz.planning.planned import Plan

WAIT_SECONDS = 0.5
T = TypeVar("T")


def run(
    model: str,
    task: str,
    demonstrations: Demonstrations | None = None,
    n_items: int = 64,
    seed: int = 0,
    task_options: Mapping[str, Any] | None = None,
    prompt_style: PromptStyle | None = None,
    dtype: Dtype | None = None,
    max_new_tokens: int | None = None,
    poolings: tuple[str, ...] | None = None,
    model_options: Mapping[str, Any] | None = None,
    attention_items: tuple[int, ...] = (),
    first_token: FirstToken | None = None,
    template: Mapping[str, Any] | None = None,
    record: tuple[str, ...] = (),
    interventions: Sequence[Intervention | Mapping[str, Any] | str] = (),
    *,
    progress: bool | None = None,
) -> Recording:
    """Record one condition; from the cache if this exact spec has run before.

    The arguments are those of `RunSpec`; an intervention is also taken as a table or a text. `progress` shows a bar on
    standard error; None is where that is a terminal. The model is kept for the next call. If another process computes
    the same run, this one waits for it.

    Raises
    ------
    UserError: the spec cannot be run; the message says why and what to do.
    """
    spec = RunSpec(
        model, task, demonstrations or Demonstrations(), n_items, seed, task_options or {}, prompt_style, dtype,
        max_new_tokens, poolings, model_options or {}, attention_items, first_token, template or {}, record,
        interventions,  # type: ignore[arg-type]
    )  # fmt: skip
    return run_spec(spec, progress=progress)


def run_spec(spec: RunSpec, *, progress: bool | None = None) -> Recording:
    """`run` for a spec that is already made."""
    return sweep([spec], progress=progress)[0]


def sweep(specs: Iterable[RunSpec], *, progress: bool | None = None) -> list[Recording]:
    """`run_spec` for many specs, in the given order. What the prompts of one model's specs share, such as nested
    demonstrations, is read once.

    Every spec is checked before the first one runs.

    Raises
    ------
    UserError: one of the specs cannot be run; where that shows while it runs, the others are recorded all the same.
    """
    take_part()
    store = Store()
    return [store.load(resolved.key) for resolved in _recorded(specs, store, progress)]


def _recorded(specs: Iterable[RunSpec], store: Store, progress: bool | None) -> list[Resolved]:
    """The runs of specs, in their order, after each is recorded; raises as `sweep`."""
    asked = _resolved(specs, store, progress)
    missing = [resolved for resolved in asked if resolved.key not in store]
    check_before(missing, store.memo)
    if len(asked) > 1:
        for resolved in missing:
            build(resolved)
    failed, groups, queue = [], run_together(missing), Queue(store)
    computing = executor(queue, default="in_process")
    if returns_at_once(computing):  # groups may be computed side by side
        computing.submit({one.key: one.spec for group in groups for one in group})
    for group in groups:
        try:
            with showing(_title(group), progress) as report:
                wanted = {one.key: one.spec for one in group}
                _compute_or_wait(wanted, computing, queue, report, is_asked=returns_at_once(computing))
        except UserError as error:
            failed.append(error)
    if failed:
        raise failed[0]
    return asked


def run_study(of: Study | Mapping[str, Any] | str | Path, *, progress: bool | None = None) -> StudyState:
    """Run what is missing of a study: its runs, by model and by what their prompts share, and then its maps. It goes on
    after any stop. A map that cannot be made of some run, such as of demonstrations where there are none, is left out
    there, and the result says why.

    of: a study, the path of its file, or the same as a table.

    Raises
    ------
    UserError: the study or one of its runs cannot be; the message says why and what to do.
    """
    take_part()
    store = Store()
    asked = read_study(Path(of)) if isinstance(of, str | Path) else of if isinstance(of, Study) else as_study(of)
    found = keep(asked, store)
    _recorded([cell.spec for cell in asked.cells], store, progress)
    _ask_for_maps(state_of(found, store), store)
    left_out: dict[str, None] = {}
    for cell, spec in asked.map_specs:
        try:
            _made(cell.spec, spec.grid, Store.load_made, progress)
        except UserError as error:
            left_out.setdefault(f"{spec.grid} of {cell.task}, {cell.condition}: {error}")
    return replace(state_of(found, store), left_out=tuple(left_out))


def _ask_for_maps(state: StudyState, store: Store) -> None:
    """Where maps can be made side by side, ask for all that a study lacks before the first is waited for."""
    queue = Queue(store)
    computing = executor(queue, default="in_process")
    if returns_at_once(computing):
        specs = {one.key: MapSpec(as_mapped(one.run.resolved.spec), one.of) for one in state.maps}
        computing.submit({key: spec for key, spec in specs.items() if not store.has_map(key)})


def effect_map(
    run: RunSpec | Recording | str, grid: Grid | Mapping[str, Any] | str = "heads", *, progress: bool | None = None
) -> EffectMap:
    """What acting at each site of a grid does to the answers of a run's items; from the cache if it was made before.

    run: a spec, a recording, or the key of one; the run is recorded first where it was not, since what a map shows is
    read beside it. grid: a map's name with its options, such as "attention rows=query", a table, or made in Python.

    Raises
    ------
    UserError: the map cannot be made; the message says why and what to do.
    """
    return _made(run, as_grid(grid), Store.load_map, progress)


def trace(
    run: RunSpec | Recording | str, tracer: Tracer | Mapping[str, Any] | str, *, progress: bool | None = None
) -> Trace:
    """What is followed through the model beside a run, such as "information_flow" or "head_catalogue"; from the cache
    if it was made before.

    run: as of `effect_map`. tracer: its name with its options, a table, or made in Python.

    Raises
    ------
    UserError: the trace cannot be made; the message says why and what to do.
    """
    return _made(run, as_tracer(tracer), Store.load_trace, progress)


def plan(run: RunSpec, grid: Grid | Mapping[str, Any] | str | None = None, device: str | None = None) -> "Plan":
    """What a run takes before it is made, in memory, disk and time, from its model's configuration alone.

    grid: a map whose cost is wanted too, as `effect_map` takes it. device: such as "H100" or "this machine", None for
    all that are known: what fits whole, what has to be split or packed, and about how long it takes.

    Raises
    ------
    UserError: the run cannot be, its model's configuration cannot be found, or no device has that name.
    """
    from iclviz.planning.planned import planned  # loads torch, which a stored recording does without

    return planned(run, None if grid is None else as_grid(grid), device)


def _made(
    run: RunSpec | Recording | str, wanted: Grid | Tracer, load_made: Callable[[Store, str], T], progress: bool | None
) -> T:
    """A map or a trace of a run, which is recorded first where it was not."""
    take_part()
    recording = load(run) if isinstance(run, str) else run if isinstance(run, Recording) else run_spec(run)
    store = Store()
    if (key := store.map_of(recording, wanted)) is not None:
        return load_made(store, key)
    resolved = resolve_map(MapSpec(recording.spec, wanted), store.memo)
    if not store.has_map(resolved.key):
        with showing(f"{wanted.title}: {_title([resolved.run])}", progress) as report:
            queue = Queue(store)
            computing = executor(queue, default="in_process")
            _compute_or_wait({resolved.key: resolved.spec}, computing, queue, report)
    return load_made(store, resolved.key)


def _resolved(specs: Iterable[RunSpec], store: Store, progress: bool | None) -> list[Resolved]:
    """Every spec resolved; where that reads large files of a model, a bar shows how far it is."""
    with ExitStack() as shown:
        bars: list[Report] = []

        def tell(done: int, total: int) -> None:
            if not bars:
                bars.append(shown.enter_context(showing("checking", progress)))
            bars[0](Progress.of_files(done, total))

        return resolve_all(specs, store.memo, tell)


def _title(group: Sequence[Resolved]) -> str:
    spec = group[0].spec
    shown = f"{spec.demonstrations.kind} k={spec.demonstrations.k}" if len(group) == 1 else f"{len(group)} conditions"
    return f"{spec.model}, {spec.task}, {shown}"


def runs() -> list[Summary]:
    """What the cache holds, newest first."""
    return Store().summaries()


def load(key: str) -> Recording:
    """A recording of the cache, by its key or the key's unambiguous beginning.

    Raises
    ------
    StoreError: there is no such recording, or it is damaged.
    """
    store = Store()
    return store.load(store.full_key(key))


def _compute_or_wait(
    asked: Mapping[str, Wanted], computing: Executor, queue: Queue, report: Report, is_asked: bool = False
) -> None:
    """Have an executor compute runs or maps, key -> spec, and wait for those that somebody else computes.

    is_asked: whether the executor was asked for them before; what failed since is not asked for again.
    """
    latest = {key: Progress(items_total=spec.n_items) for key, spec in asked.items()}

    def tell(key: str, progress: Progress) -> None:
        latest[key] = progress
        report(_together(progress, list(latest.values())))

    if not is_asked:
        computing.submit(asked, tell=tell)
    while missing := {key: spec for key, spec in asked.items() if not queue.store.holds(key)}:
        for job in [job for job in map(queue.get, missing) if job is not None and not queue.store.holds(job.key)]:
            _raise_if_ended(job)
            tell(job.key, job.progress)
        computing.submit(missing, tell=tell)  # again: whoever computed them may be gone
        if any(not queue.store.holds(key) for key in missing):
            time.sleep(WAIT_SECONDS)


def _together(now: Progress, each: Sequence[Progress]) -> Progress:
    """The progress of several runs as one."""
    done, total = sum(one.items_done for one in each), sum(one.items_total for one in each)
    return replace(now, items_done=done, items_total=total)


def _raise_if_ended(job: Order) -> None:
    if job.state == "failed":
        raise UserError(job.error or "The run failed.")
    if job.state == "cancelled":
        raise UserError("The run was cancelled.", "Ask for it again to go on.")
