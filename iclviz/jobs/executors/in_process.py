"""The process that asks computes at once; the model is kept for its next runs."""

from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING

from iclviz.errors import Cancelled
from iclviz.jobs.executors import Tell
from iclviz.jobs.queue import Queue, Wanted

if TYPE_CHECKING:
    from iclviz.jobs.computing import ModelKeeper


@cache
def keeper() -> "ModelKeeper":
    """Holds this process's model; made when the first run needs torch."""
    from iclviz.jobs.computing import ModelKeeper

    return ModelKeeper()


class InProcess:
    """As `Executor`."""

    where = "in the process that asks"

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def submit(self, runs: Mapping[str, Wanted], asker: str = "", tell: Tell | None = None) -> None:
        """Compute the runs that nobody else computes, and return when they have ended.

        Raises
        ------
        Cancelled: one ended without a word.
        Exception: any fault of the program.
        """
        from iclviz.jobs.running import do_jobs

        queue, store = self._queue, self._queue.store
        with ExitStack() as leases:
            free = {key: spec for key, spec in runs.items() if leases.enter_context(queue.lease(key))}
            jobs = [queue.submit(free[key], key, mine=True, asker=asker) for key in free if not store.holds(key)]
            do_jobs(jobs, queue, keeper(), tell or (lambda key, progress: None), interrupted="cancelled")
        ended = [queue.get(job.key) for job in jobs if not store.holds(job.key)]
        if any(job is None or job.is_open for job in ended):
            raise Cancelled

    def cancel(self, key: str) -> None:
        """Ask whoever computes a run to stop."""
        self._queue.cancel(key)

    def alive(self) -> bool:
        """It lives for as long as it is asked."""
        return True


EXECUTOR = InProcess
