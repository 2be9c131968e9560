"""The Python library's verbs: run, sweep, runs, load."""

import time
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from iclviz.errors import Cancelled, UserError
from iclviz.jobs.queue import Job, Queue, Report
from iclviz.recording import Recording
from iclviz.resolve import Resolved, build, resolve
from iclviz.spec import Demonstrations, Dtype, PromptStyle, RunSpec
from iclviz.store import Store, Summary
from iclviz.terminal import showing

if TYPE_CHECKING:
    from iclviz.jobs.computing import ModelKeeper

WAIT_SECONDS = 0.5


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
    *,
    progress: bool | None = None,
) -> Recording:
    """Record one condition; from the cache if this exact spec has run before.

    The arguments are those of `RunSpec`. `progress` shows a bar on standard error; None is where that is a terminal.
    The model is kept for the next call. If another process computes the same run, this one waits for it.

    Raises
    ------
    UserError: the spec cannot be run; the message says why and what to do.
    """
    spec = RunSpec(
        model, task, demonstrations or Demonstrations(), n_items, seed, task_options or {}, prompt_style, dtype,
        max_new_tokens, poolings, model_options or {},
    )  # fmt: skip
    return run_spec(spec, progress=progress)


def run_spec(spec: RunSpec, *, progress: bool | None = None) -> Recording:
    """`run` for a spec that is already made."""
    store = Store()
    resolved = resolve(spec, store.memo)
    if resolved.key in store:
        return store.load(resolved.key)
    title = f"{spec.model}, {spec.task}, {spec.demonstrations.kind} k={spec.demonstrations.k}"
    with showing(title, progress) as report:
        return _compute_or_wait(resolved, Queue(store), report)


def sweep(specs: Iterable[RunSpec], *, progress: bool | None = None) -> list[Recording]:
    """`run_spec` for many specs, those of one model one after another so that it is loaded once; in the given order.

    Every spec is checked before the first one runs.

    Raises
    ------
    UserError: one of the specs cannot be run.
    """
    asked = list(specs)
    memo = Store().memo
    for spec in asked:
        build(resolve(spec, memo))
    by_model = sorted(range(len(asked)), key=lambda index: asked[index].model)
    done = {index: run_spec(asked[index], progress=progress) for index in by_model}
    return [done[index] for index in range(len(asked))]


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


@cache
def _keeper() -> "ModelKeeper":
    """Holds this process's model; made when the first run needs torch."""
    from iclviz.jobs.computing import ModelKeeper

    return ModelKeeper()


def _compute_or_wait(resolved: Resolved, queue: Queue, report: Report) -> Recording:
    while True:
        with queue.lease(resolved.key) as mine:
            if mine and resolved.key in queue.store:
                return queue.store.load(resolved.key)
            if mine:
                return _compute(queue.submit(resolved.spec, resolved.key, mine=True), queue, report)
        job = queue.get(resolved.key)
        if job is not None:
            report(job.progress)
        time.sleep(WAIT_SECONDS)
        if resolved.key in queue.store:
            return queue.store.load(resolved.key)
        _raise_if_ended(queue.get(resolved.key))


def _compute(job: Job, queue: Queue, report: Report) -> Recording:
    from iclviz.jobs.local import compute_job

    recording = compute_job(job, queue, _keeper(), report, interrupted="cancelled")
    if recording is None:
        _raise_if_ended(queue.get(job.key))
        raise Cancelled
    return recording


def _raise_if_ended(job: Job | None) -> None:
    if job is not None and job.state == "failed":
        raise UserError(job.error or "The run failed.")
    if job is not None and job.state == "cancelled":
        raise UserError("The run was cancelled.", "Ask for it again to go on.")
