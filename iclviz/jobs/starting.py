"""Starting the worker as a process of its own; needs no torch."""

import os
import subprocess
import sys

from iclviz.jobs.queue import Queue
from iclviz.models.devices import device_kind

IDLE_EXIT_SECONDS = 1800


def start_worker(queue: Queue, idle_exit: float | None = None) -> "subprocess.Popen[bytes]":
    """A worker in its own session, so that a signal to the caller's does not reach it; its log lies in the cache."""
    command = [sys.executable, "-m", "iclviz", "worker"]
    if idle_exit is not None:
        command += ["--idle-exit", f"{idle_exit:g}"]
    environment = {**os.environ, "ICLVIZ_CACHE": str(queue.store.folder)}
    with (queue.store.folder / "worker.log").open("ab") as log:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def ensure_worker(queue: Queue) -> None:
    """Start a worker where none lives; it ends by itself after half an hour without a job."""
    if not queue.worker_lives(device_kind({})):
        start_worker(queue, IDLE_EXIT_SECONDS)
