"""Runs of one model: build the prompts, capture them along one trie, keep each piece, seal each recording.

What the batch plan is made with is kept with a run's pieces when it first starts, so that whoever goes on after a crash
computes the rest in the same shapes.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

from iclviz import recorders
from iclviz.capture.backend import BackendModel, Reads, ReadyModel, backend_of
from iclviz.capture.decoding import Captured, Decoding, plan_prompts
from iclviz.capture.numbers import NoNumberError, no_numbers
from iclviz.capture.plan import USUAL_STEPS, PlanSettings, tokens_read
from iclviz.capture.sites import Donors, check_sites, reading_as
from iclviz.curating import inherit
from iclviz.errors import Cancelled, ModelError, UserError
from iclviz.jobs.donors import donors_for, together
from iclviz.jobs.progressing import Pace
from iclviz.jobs.sealing import RunningRun
from iclviz.jobs.table import Progress, Report
from iclviz.limits import check_possible
from iclviz.mapping import MapSpec
from iclviz.models.configuration import ModelFacts, model_facts
from iclviz.models.identity import identity
from iclviz.models.locating import download
from iclviz.prompts import ResponseReader, TokenizedPrompt
from iclviz.recording import Recording
from iclviz.resolve import Built, Resolved, build, resolved_before, tokenized
from iclviz.spec import RunSpec
from iclviz.store import Store
from iclviz.unfinished import Unfinished


class ModelKeeper:
    """Holds the last model, so that the next run of the same one need not load it."""

    def __init__(self) -> None:
        self._key: Any = None
        self._model: BackendModel | None = None

    def get(self, resolved: Resolved, memo: Any, reads: Reads = ()) -> ReadyModel:
        """The model of a run, loaded if it is not held, ready for what runs read."""
        spec = resolved.spec
        key = (resolved.origin.model, spec.model, spec.dtype, str(spec.model_options))
        if self._model is None or key != self._key:
            self._model, self._key = None, None
            backend = backend_of(resolved.located)
            self._model, self._key = backend.load(resolved.located, spec.dtype, spec.model_options, memo), key
        if identity(resolved.located, memo) != resolved.origin.model:
            self._model, self._key = None, None
            raise files_changed(spec.model)
        return self._model.ready(reads)


def files_changed(model: str) -> ModelError:
    """The error of a run whose model's files are not those any more that it was asked for."""
    return ModelError(f"The files of {model} changed since this run was asked for.", "Ask for it again.")


def compute(
    resolved: Resolved,
    store: Store,
    keeper: ModelKeeper,
    report: Report = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Recording:
    """Run a spec, going on from pieces that an earlier attempt finished, and seal its recording.

    Raises
    ------
    Cancelled: `should_stop` said so; finished pieces are kept.
    UserError: the run cannot be made: too long a context, a model that does not load, a full disk.
    """
    ((_, recording),) = compute_together([resolved], store, keeper, lambda key, progress: report(progress), should_stop)
    return recording


def compute_together(
    asked: Sequence[Resolved],
    store: Store,
    keeper: ModelKeeper,
    report: Callable[[str, Progress], None] = lambda key, progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[str, Recording]]:
    """`compute` for runs that may run together: what their prompts share is read once.

    Yields key and recording as each is sealed; `report` is told a run's key with its progress.

    Raises
    ------
    ValueError: some may not run together.
    Otherwise as `compute`.
    """
    if not all(each.may_run_with(asked[0]) for each in asked):
        raise ValueError("runs that differ in what changes the forward pass cannot be read together")
    start = time.perf_counter()

    wanted = tuple(asked)

    def tell(stage: str) -> None:
        for each in wanted:
            report(each.key, Progress(stage, 0, each.spec.n_items))
        if should_stop():
            raise Cancelled

    fellows = _fellows(asked, store)
    asked, built, prompts, ready, facts = prepared([*asked, *fellows], store, keeper, tell)
    donors = [
        donors_for(each, of_items, its, each.spec.interventions, store, ready.tokenizer, facts)
        for each, of_items, its in zip(asked, built, prompts, strict=True)
    ]
    loading = time.perf_counter() - start
    unfinished = [store.unfinished(each.key) for each in asked]
    own = len(asked) - len(fellows)
    settings = plan_settings(unfinished[:own], ready, {each.key: each.spec for each in asked})
    reader = ResponseReader(ready.tokenizer, ready.end_tokens)
    runs = [
        RunningRun(each, its, texts, ready, left, reader)
        for each, its, texts, left in zip(asked, built, prompts, unfinished, strict=True)
    ]
    for fellow in runs[own:]:
        fellow.done = set(range(len(fellow.prompts)))
    tell("running")
    drawn = together(donors, list(map(len, prompts)))
    for run in _captured(runs, own, ready, settings, drawn, report, should_stop):
        resolved = run.resolved
        report(resolved.key, Progress("saving", len(run.prompts), len(run.prompts)))
        seconds = {"loading": loading, "total": time.perf_counter() - start}
        store.save(run.recording(settings, seconds), resolved.task.primary.score)
        inherit(store, resolved.key)
        yield resolved.key, store.load(resolved.key)


def _fellows(asked: Sequence[Resolved], store: Store) -> list[Resolved]:
    """Runs that the first attempt read together with these and that are not computed now, sealed or not: with them the
    rest is computed in the same shapes, to the last bit.
    """
    plans = [store.unfinished(each.key).plan() or {} for each in asked]
    specs = {key: spec for plan in plans for key, spec in plan.get("specs", {}).items()}
    others = {key: spec for key, spec in specs.items() if key not in {each.key for each in asked}}
    found = []
    for key, spec in others.items():
        with suppress(UserError):  # without one whose task is gone the rest can go on all the same
            found.append(resolved_before(RunSpec.from_dict(spec), key, store.memo))
    return [each for each in found if each.key in others and each.may_run_with(asked[0])]


Stage = Callable[[str], None]
"""Told what is being done; raises Cancelled."""


def prepared(
    asked: Sequence[Resolved], store: Store, keeper: ModelKeeper, tell: Stage
) -> tuple[list[Resolved], list[Built], list[list[TokenizedPrompt]], ReadyModel, ModelFacts]:
    """Runs that may run together with their model on this disk, their items, their prompts, the model, loaded, and its
    shape.

    Raises
    ------
    Cancelled: `tell` said so.
    UserError: they cannot be run.
    """
    tell("building the prompts")
    located = download(asked[0].located)
    asked = [replace(each, located=located) for each in asked]
    trusted = bool(asked[0].spec.model_options.get("trust_remote_code", False))
    tokenizer = backend_of(located).tokenizer(located, store.memo, trusted)
    facts = model_facts(located, trusted)
    for each in asked:
        check_possible(each, tokenizer, facts)
    built = [build(each) for each in asked]
    prompts = [tokenized(each, its, tokenizer, facts) for each, its in zip(asked, built, strict=True)]
    for each, its in zip(asked, prompts, strict=True):
        check_sites(each.spec.interventions, its)
    tell("loading the model")
    reads = [
        (len(prompt), each.spec.max_new_tokens or 1) for each, its in zip(asked, prompts, strict=True) for prompt in its
    ]
    return asked, built, prompts, keeper.get(asked[0], store.memo, reads), facts


def _captured(
    runs: Sequence[RunningRun],
    n_own: int,
    ready: ReadyModel,
    settings: PlanSettings,
    donors: Donors | None,
    report: Callable[[str, Progress], None],
    should_stop: Callable[[], bool],
) -> Iterator[RunningRun]:
    """Capture every prompt that is not there yet; yields each of the first `n_own` runs when it is complete."""
    owners = [(run, item) for run in runs for item in range(len(run.prompts))]
    prompts = [run.prompts[item] for run, item in owners]
    decoding = Decoding(
        [run.resolved.spec.max_new_tokens or 1 for run, _ in owners],
        ready.end_tokens,
        lambda index, ids: owners[index][0].is_finished(owners[index][1], ids),
    )
    kept = recorders.asked([(run.resolved.spec, item) for run in runs[:n_own] for item in range(len(run.prompts))])
    done = frozenset(index for index, (run, item) in enumerate(owners) if item in run.done)
    yield from (run for run in runs[:n_own] if run.is_complete)
    done_to_model = [run.resolved.spec.interventions for run, _ in owners]
    plan = plan_prompts(prompts, decoding, settings, reading_as(done_to_model, prompts, donors))
    steps = min(USUAL_STEPS, max(decoding.limit(index) for index in range(len(prompts))) + 1)
    meter = _Meter(tokens_read(plan, done) + (len(prompts) - len(done)) * steps, runs, report)
    captures = ready.captures(prompts, plan, kept, decoding, should_stop, done, meter.on_read, done_to_model, donors)
    with ready.at_work(settings), ThreadPoolExecutor(1) as writer:
        writing: list[Future[None]] = []
        for captured in _named(captures, owners):
            places: dict[RunningRun, dict[int, int]] = {}
            for place, index in enumerate(captured.prompts):
                run, item = owners[index]
                if item not in run.done:
                    places.setdefault(run, {})[item] = place
            tokens = sum(len(prompts[index]) for index in captured.prompts)
            for run, own in places.items():
                share = sum(len(run.prompts[item]) for item in own) / tokens
                writing.append(writer.submit(run.keeping(captured, own, share)))
            ended = [run for run in places if run.is_complete]
            while len(writing) > (0 if ended else 1):
                writing.pop(0).result()
            yield from ended
        for last in writing:
            last.result()


def _named(captures: Iterator[Captured], owners: Sequence[tuple[RunningRun, int]]) -> Iterator[Captured]:
    """The batches; a number that is none is told with its item, before its batch is kept.

    Raises
    ------
    ModelError: there is one.
    """
    try:
        yield from captures
    except NoNumberError as error:
        run, item = owners[error.prompt]
        where = f"item {run.built.data.items[item].id!r}, {error.what}"
        raise no_numbers(run.resolved.spec.model, run.model.dtype, where) from error


def plan_settings(
    unfinished: Sequence[Unfinished], ready: ReadyModel, planned: Mapping[str, RunSpec | MapSpec]
) -> PlanSettings:
    """The settings that the first run with pieces was planned with, or new ones; pieces that come from other libraries
    or another device are forgotten. What is planned together, now or before, is kept with each run.
    """
    makers, specs = ready.makers(), {key: spec.to_dict() for key, spec in planned.items()}
    found, together = None, {left: set(specs) for left in unfinished}
    for left in unfinished:
        plan = left.plan()
        if plan and plan.get("makers") == makers:
            found = found or PlanSettings(**plan["settings"])
            together[left] |= set(plan.get("together", ()))
        else:
            left.forget()
    settings = found or ready.settings()
    for left in unfinished:
        left.save_plan(
            {"settings": settings.to_dict(), "makers": makers, "together": sorted(together[left]), "specs": specs}
        )
    return settings


class _Meter:
    """Progress of runs that are captured together."""

    def __init__(self, total: int, runs: Sequence[RunningRun], report: Callable[[str, Progress], None]) -> None:
        """total: tokens that will be read, as far as it can be foretold."""
        self._pace, self._runs, self._report = Pace(total), runs, report

    def on_read(self, tokens: float) -> None:
        """Count tokens that were read, and tell how far each run is; tokens, speed and the time left are of all."""
        if self._pace.is_due(tokens):
            for run in self._runs:
                if not run.is_complete:
                    self._report(run.resolved.key, self._pace.progress(len(run.done), len(run.prompts)))
