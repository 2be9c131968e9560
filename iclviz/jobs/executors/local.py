"""The worker process of this machine, behind the queue on disk; it is started when it is needed."""

from collections.abc import Mapping

from iclviz.jobs.executors import Tell
from iclviz.jobs.queue import Queue, Wanted
from iclviz.jobs.starting import ensure_worker
from iclviz.models.devices import device_kind


class Local:
    """As `Executor`."""

    where = "by a worker process on this machine"
    returns_at_once = True

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def submit(self, runs: Mapping[str, Wanted], asker: str = "", tell: Tell | None = None) -> None:
        """Queue runs and start a worker where none lives; returns at once."""
        self._queue.submit_all(runs, asker=asker)  # together, so that what their prompts share is read once
        ensure_worker(self._queue)

    def cancel(self, key: str) -> None:
        """End a waiting job, or ask the worker to stop."""
        self._queue.cancel(key)

    def alive(self) -> bool:
        """Whether a worker holds this machine's device."""
        return self._queue.worker_lives(device_kind({}))


EXECUTOR = Local
