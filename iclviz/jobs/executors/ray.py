"""Workers on a Ray cluster: jobs wait in the queue of this machine, and a scheduler hands them out."""

import os
import socket
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


def check_reachable(address: str) -> None:
    """Refuse an address at which nobody listens, before Ray ends the process over it.

    Raises
    ------
    UserError: nobody does.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        return
    try:
        with socket.create_connection((host, int(port)), timeout=5):
            pass
    except OSError as error:
        raise unreachable(address, str(error.strerror or error)) from error


def unreachable(address: str, reason: str) -> UserError:
    """The error of a cluster that is not there."""
    return UserError(
        f"The Ray cluster {address} cannot be reached ({reason}).",
        f"Start one with `ray start --head`, or name another address in {ADDRESS_SETTING}.",
    )


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
        UserError: Ray is not installed, the cluster is not there, or its workers could not leave recordings anywhere.
        """
        if find_spec("ray") is None:
            raise UserError("Ray is not installed.", "Install it with: pip install 'iclviz[ray]'")
        if not self._queue.store.storage.is_shared:
            raise UserError(
                "Workers on a cluster need a storage that all of its machines reach.",
                f"Set {STORAGE_SETTING} to a shared folder or an address such as s3://bucket/iclviz.",
            )
        if runs and not self.alive():
            check_reachable(address())
        self._queue.submit_all(runs, asker=asker)
        ensure_scheduler(self._queue)

    def cancel(self, key: str) -> None:
        """End a waiting job, or ask its worker to stop."""
        self._queue.cancel(key)

    def alive(self) -> bool:
        """Whether a scheduler is there."""
        return self._queue.worker_lives(SCHEDULER)


EXECUTOR = OnRay
