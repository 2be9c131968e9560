"""Computing jobs in this process: what the worker does for the queue, and `iclviz.run` for its caller."""

import time
from collections.abc import Callable

from iclviz.errors import Cancelled, UserError
from iclviz.jobs.computing import ModelKeeper, compute
from iclviz.jobs.queue import Job, Progress, Queue, Report, State
from iclviz.recording import Recording
from iclviz.resolve import Resolved, resolve

CANCEL_CHECK_SECONDS = 0.5


def compute_job(
    job: Job,
    queue: Queue,
    keeper: ModelKeeper,
    report: Report = lambda progress: None,
    interrupted: State = "queued",
) -> Recording | None:
    """Compute a job whose lease is held, keeping its state in the queue up to date; a sealed one is only marked done.

    None where it was cancelled or failed for a reason the user can mend; the job then says why. `interrupted` is the
    state in which Ctrl-C leaves it: waiting for the next worker, or cancelled where the user meant this very run.

    Raises
    ------
    Exception: any fault of the program, after the job was marked as failed.
    """
    if job.key in queue.store:
        queue.finish(job.key, "done")
        return queue.store.load(job.key)
    queue.start(job.key)

    def tell(progress: Progress) -> None:
        queue.change(job.key, progress=progress)
        report(progress)

    try:
        resolved = resolve(job.spec, queue.store.memo)
        _check_key(job, resolved)
        recording = compute(resolved, queue.store, keeper, tell, _cancel_check(job.key, queue))
    except Cancelled:
        queue.finish(job.key, "cancelled")
        return None
    except UserError as error:
        queue.finish(job.key, "failed", str(error))
        return None
    except KeyboardInterrupt:
        queue.change(job.key, state=interrupted)
        raise
    except BaseException as error:
        queue.finish(job.key, "failed", f"The program failed: {type(error).__name__}: {error}")
        raise
    queue.finish(job.key, "done")
    return recording


def _check_key(job: Job, resolved: Resolved) -> None:
    """The model's files may have changed between the asking and the running."""
    if resolved.key != job.key:
        raise UserError(f"The files of {job.spec.model} changed since this run was asked for.", "Ask for it again.")


def _cancel_check(key: str, queue: Queue) -> Callable[[], bool]:
    """Looks into the queue at most every half second."""
    asked = {"at": 0.0}

    def should_stop() -> bool:
        if time.monotonic() - asked["at"] < CANCEL_CHECK_SECONDS:
            return False
        asked["at"] = time.monotonic()
        job = queue.get(key)
        return job is not None and job.cancel_requested

    return should_stop
