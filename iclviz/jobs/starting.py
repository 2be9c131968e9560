"""Starting the worker and the analyst as processes of their own; needs no torch."""

import atexit
import os
import subprocess
import sys
from pathlib import Path

from iclviz.jobs.asked import ANALYST, Asked
from iclviz.jobs.queue import Queue
from iclviz.models.devices import device_kind
from iclviz.store import Store

IDLE_EXIT_SECONDS = 1800


Process = subprocess.Popen[bytes]


def start(store: Store, name: str) -> Process:
    """The command `iclviz NAME` in a session of its own, so that a signal to the caller's does not reach it.

    It ends with this process, or by itself after half an hour without work; its log lies in the cache.
    """
    command = [sys.executable, "-m", "iclviz", name, "--idle-exit", str(IDLE_EXIT_SECONDS)]
    environment = {**os.environ, "ICLVIZ_CACHE": str(store.folder)}
    with (store.folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    atexit.register(process.terminate)
    return process


def ensure_worker(queue: Queue) -> Process | None:
    """Start a worker where none lives."""
    return None if queue.worker_lives(device_kind({})) else _start_once(queue.store, "worker")


def ensure_analyst(asked: Asked) -> Process | None:
    """Start an analyst where none lives."""
    return None if asked.worker_lives(ANALYST) else _start_once(asked.store, "analyst")


_started: dict[tuple[Path, str], Process] = {}
"""What this process started last: it takes a moment until that holds its lock."""


def _start_once(store: Store, name: str) -> Process | None:
    last = _started.get((store.folder, name))
    if last is not None and last.poll() is None:
        return None
    _started[store.folder, name] = start(store, name)
    return _started[store.folder, name]
