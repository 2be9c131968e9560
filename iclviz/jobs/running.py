"""Computing jobs in this process: what the worker does for the queue, and `iclviz.run` for its caller."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from iclviz.errors import Cancelled, UserError
from iclviz.jobs.computing import ModelKeeper, compute_together, files_changed
from iclviz.jobs.map_computing import compute_map
from iclviz.jobs.queue import Order, Queue
from iclviz.jobs.table import Progress, State
from iclviz.jobs.trace_computing import compute_trace
from iclviz.mapping import MapSpec, Tracer
from iclviz.models.identity import Tell
from iclviz.recording import Recording
from iclviz.resolve import Resolved, resolved_before, resolved_map_before, run_together
from iclviz.spec import RunSpec

CANCEL_CHECK_SECONDS = 0.5


def do_jobs(
    jobs: Sequence[Order],
    queue: Queue,
    keeper: ModelKeeper,
    report: Callable[[str, Progress], None] = lambda key, progress: None,
    interrupted: State = "queued",
) -> None:
    """Compute runs, together, and then maps, each by itself; as `compute_jobs`.

    Raises
    ------
    Exception: any fault of the program, after the jobs were marked as failed.
    """
    maps = [job for job in jobs if isinstance(job.spec, MapSpec)]
    compute_jobs([job for job in jobs if job not in maps], queue, keeper, report, interrupted)
    for job in maps:
        _compute_map(job, queue, keeper, report, interrupted)


def _compute_map(
    job: Order, queue: Queue, keeper: ModelKeeper, report: Callable[[str, Progress], None], interrupted: State
) -> None:
    assert isinstance(job.spec, MapSpec)
    if queue.store.has_map(job.key):
        queue.finish(job.key, "done")
        return
    tell = _teller(queue, report)
    with _marked([job], {}, queue, interrupted):
        queue.start(job.key)
        try:
            found = resolved_map_before(job.spec, job.key, queue.store.memo, _reading(job, tell))
            _check_key(job, found.run.spec.model, found.key)
            compute = compute_trace if isinstance(job.spec.grid, Tracer) else compute_map
            compute(found, queue.store, keeper, lambda now: tell(job.key, now), _cancel_check([job], queue))
            queue.finish(job.key, "done")
        except Cancelled:
            queue.finish(job.key, "cancelled")
        except UserError as error:
            queue.finish(job.key, "failed", str(error))


def compute_jobs(
    jobs: Sequence[Order],
    queue: Queue,
    keeper: ModelKeeper,
    report: Callable[[str, Progress], None] = lambda key, progress: None,
    interrupted: State = "queued",
) -> dict[str, Recording]:
    """Compute jobs whose leases are held, keeping their state in the queue up to date; by key.

    One that was cancelled or failed for a reason the user can mend is left out; its job then says why, and the others
    go on. `interrupted` is the state in which Ctrl-C leaves them: waiting for the next worker, or cancelled where the
    user meant these very runs.

    Raises
    ------
    Exception: any fault of the program, after the jobs were marked as failed.
    """
    found = {job.key: queue.store.load(job.key) for job in jobs if job.key in queue.store}
    for key in found:
        queue.finish(key, "done")
    waiting = [job for job in jobs if job.key not in found]
    with _marked(waiting, found, queue, interrupted):
        try:
            for key, recording in _computed(waiting, queue, keeper, report):
                queue.finish(key, "done")
                found[key] = recording
        except Cancelled:
            rest = _without_cancelled(waiting, found, queue)
            return found | compute_jobs(rest, queue, keeper, report, interrupted)
        except UserError as error:
            if len(waiting) == 1:
                queue.finish(waiting[0].key, "failed", str(error))
                return found
            for job in waiting:  # each by itself, so that only the one at fault fails
                found |= compute_jobs([job], queue, keeper, report, interrupted)
    return found


@contextmanager
def _marked(jobs: Sequence[Order], found: Mapping[str, Recording], queue: Queue, interrupted: State) -> Iterator[None]:
    """Where computing ends in a way that nobody asked for, the jobs without a recording say so."""
    try:
        yield
    except KeyboardInterrupt:
        for job in jobs:
            if job.key not in found:
                queue.change(job.key, state=interrupted)
        raise
    except BaseException as error:
        for job in jobs:
            if job.key not in found:
                queue.finish(job.key, "failed", f"The program failed: {type(error).__name__}: {error}")
        raise


def _without_cancelled(jobs: Sequence[Order], found: Mapping[str, Recording], queue: Queue) -> list[Order]:
    """The jobs that go on; the others are marked as cancelled."""
    cancelled = {job.key for job in jobs if job.key not in found and _is_cancelled(job.key, queue)}
    for key in cancelled:
        queue.finish(key, "cancelled")
    return [job for job in jobs if job.key not in cancelled]


def _computed(
    jobs: Sequence[Order], queue: Queue, keeper: ModelKeeper, report: Callable[[str, Progress], None]
) -> Iterator[tuple[str, Recording]]:
    if not jobs:
        return
    for job in jobs:
        queue.start(job.key)

    tell = _teller(queue, report)
    for group in run_together([_resolved(job, queue, tell) for job in jobs]):
        yield from compute_together(group, queue.store, keeper, tell, _cancel_check(jobs, queue))


def _teller(queue: Queue, report: Callable[[str, Progress], None]) -> Callable[[str, Progress], None]:
    def tell(key: str, progress: Progress) -> None:
        queue.change(key, progress=progress)
        report(key, progress)

    return tell


def _reading(job: Order, tell: Callable[[str, Progress], None]) -> Tell:
    """Told how far reading the model's files is."""
    return lambda *read: tell(job.key, Progress.of_files(*read))


def _resolved(job: Order, queue: Queue, tell: Callable[[str, Progress], None]) -> Resolved:
    assert isinstance(job.spec, RunSpec)
    resolved = resolved_before(job.spec, job.key, queue.store.memo, _reading(job, tell))
    _check_key(job, job.spec.model, resolved.key)
    return resolved


def _check_key(job: Order, model: str, key: str) -> None:
    """The model's files may have changed between the asking and the running."""
    if key != job.key:
        raise files_changed(model)


def _is_cancelled(key: str, queue: Queue) -> bool:
    job = queue.get(key)
    return job is not None and job.cancel_requested


def _cancel_check(jobs: Sequence[Order], queue: Queue) -> Callable[[], bool]:
    """Looks into the queue at most every half second."""
    asked = {"at": 0.0}

    def should_stop() -> bool:
        if time.monotonic() - asked["at"] < CANCEL_CHECK_SECONDS:
            return False
        asked["at"] = time.monotonic()
        return any(_is_cancelled(job.key, queue) for job in jobs)

    return should_stop
