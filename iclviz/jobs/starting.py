"""Starting the worker, the scheduler and the analyst as processes of their own; needs no torch."""

import atexit
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from iclviz.jobs.asked import ANALYST, Asked
from iclviz.jobs.live import LIVE, LiveTable
from iclviz.jobs.queue import Queue
from iclviz.models.devices import device_kind
from iclviz.store import Store

SCHEDULER = "scheduler"
"""Whoever hands jobs to a cluster, in the place of a device."""

IDLE_EXIT_SECONDS = 1800
SOON_SECONDS, MOST_REST_SECONDS = 20.0, 30.0


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
    threading.Thread(target=process.wait, daemon=True).start()  # takes notice of its end at once
    return process


def ensure_worker(queue: Queue) -> None:
    """Start a worker where none lives."""
    if not queue.worker_lives(device_kind({})):
        _start_once(queue.store, "worker")


def ensure_scheduler(queue: Queue) -> None:
    """Start a scheduler where none lives."""
    if not queue.worker_lives(SCHEDULER):
        _start_once(queue.store, "scheduler")


def ensure_analyst(asked: Asked) -> None:
    """Start an analyst where none lives."""
    if not asked.worker_lives(ANALYST):
        _start_once(asked.store, "analyst")


def ensure_live(table: LiveTable) -> None:
    """Start the process that acts on single items where none lives."""
    if not table.worker_lives(LIVE):
        _start_once(table.store, "live")


@dataclass
class Start:
    """What this process started last, when, and how often in a row it soon ended."""

    process: Process
    at: float
    in_vain: int = 0


_started: dict[tuple[Path, str], Start] = {}
"""A process takes a moment until it holds its lock."""


def started() -> list[Process]:
    """The processes that this one started and that have not ended."""
    return [one.process for one in _started.values() if one.process.poll() is None]


def _start_once(store: Store, name: str) -> None:
    """Start a helper unless one is starting; one that ends at once is given longer and longer rests."""
    last, now = _started.get((store.folder, name)), time.monotonic()
    if last is not None and (last.process.poll() is None or now - last.at < min(last.in_vain, MOST_REST_SECONDS)):
        return
    in_vain = 2 * last.in_vain + 1 if last is not None and now - last.at < SOON_SECONDS else 0
    _started[store.folder, name] = Start(start(store, name), now, in_vain)
