"""Workers on a Ray cluster: jobs wait in the queue of this machine, and a scheduler hands them out."""

import os
from collections.abc import Mapping
from importlib.util import find_spec

from iclviz.errors import UserError
from iclviz.jobs.executors import Tell
from iclviz.jobs.queue import Queue, Wanted
from iclviz.jobs.starting import SCHEDULER, ensure_scheduler
from iclviz.storage.named import SETTING as STORAGE_SETTING

ADDRESS_SETTING = "ICLVIZ_RAY_ADDRESS"


def address() -> str:
    """The cluster's address: `$ICLVIZ_RAY_ADDRESS`, else what Ray itself finds."""
    return os.environ.get(ADDRESS_SETTING, "").strip() or "auto"


class OnRay:
    """As `Executor`."""

    returns_at_once = True

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.where = f"on the Ray cluster {address()}" if address() != "auto" else "on the Ray cluster of this machine"

    def submit(self, runs: Mapping[str, Wanted], asker: str = "", tell: Tell | None = None) -> None:
        """Queue runs and start a scheduler where none lives; returns at once.

        Raises
        ------
        UserError: Ray is not installed, or workers elsewhere could not leave their recordings anywhere.
        """
        if find_spec("ray") is None:
            raise UserError("Ray is not installed.", "Install it with: pip install 'iclviz[ray]'")
        if not self._queue.store.storage.is_shared:
            raise UserError(
                "Workers on a cluster need a storage that all of its machines reach.",
                f"Set {STORAGE_SETTING} to a shared folder or an address such as s3://bucket/iclviz.",
            )
        self._queue.submit_all(runs, asker=asker)
        ensure_scheduler(self._queue)

    def cancel(self, key: str) -> None:
        """End a waiting job, or ask its worker to stop."""
        self._queue.cancel(key)

    def alive(self) -> bool:
        """Whether a scheduler is there."""
        return self._queue.worker_lives(SCHEDULER)


EXECUTOR = OnRay
