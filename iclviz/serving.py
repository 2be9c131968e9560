"""The dashboard as processes: Streamlit for the pages, an analyst and a worker beside it; all end with this one.

Ctrl-C, a request to end (SIGTERM) and a closed terminal (SIGHUP) end them all. Pages that ended by themselves are
started again, and so are analyst and worker while something waits for them. Killed without asking, this process takes
the pages with it, and leaves a worker that ends by itself when it has had no job for a while.
"""

import errno
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from iclviz.addresses import check_open
from iclviz.errors import UserError
from iclviz.jobs.asked import Asked
from iclviz.jobs.executors import Executor, executor
from iclviz.jobs.queue import Queue
from iclviz.jobs.starting import Process, ensure_analyst, started
from iclviz.owner import owner
from iclviz.places import dashboard_folder
from iclviz.storage.named import PATIENCE_SETTING
from iclviz.store import Store

READY_SECONDS = 60
STOP_SECONDS = 10
HEAD_START_SECONDS = 4
"""How long the pages have the processor to themselves: torch takes seconds to load, and a page starts what it needs."""

POLL_SECONDS = 0.05
SUPERVISE_SECONDS = 1.0
MOST_RESTARTS, OFTEN_SECONDS = 3, 60.0
"""How often pages may end within a time before they are given up."""

PAGES_PATIENCE = "10"
"""For how many seconds a page waits for a storage that is away, unless told otherwise; jobs wait longer."""

STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")

_OTHER_PORT = "Take a port from 1024 to 65535 with --port."
_OTHER_HOST = "Give localhost, or an address of this machine, with --host."
_REMEDIES = {
    errno.EADDRINUSE: "Another dashboard may be running there: open it, or take another port with --port.",
    errno.EACCES: _OTHER_PORT,
    errno.EADDRNOTAVAIL: _OTHER_HOST,
}


@dataclass
class Stop:
    """Whether this process was asked to stop. Not an Event, whose lock the interrupted code may hold already."""

    asked: bool = False

    def ask(self, number: int, frame: FrameType | None) -> None:
        """The signals' handler."""
        self.asked = True


def serve(host: str, port: int, base_path: str = "") -> int:
    """Serve the dashboard until it is stopped; the exit status, 0 where it was asked to stop.

    base_path: what stands before every page's path, where a proxy serves it under a part of a site.

    Raises
    ------
    UserError: the port is taken, others reach it and no password is set, the cache cannot be written, or there is no
        such executor.
    """
    check_open(host, owner())
    with _stop_signals() as stop:
        check_port(host, port)
        queue, asked = Queue(Store()), Asked(Store())
        computing = executor(queue)
        command = _streamlit(host, port, base_path)
        pages = _start_pages(command, queue)
        try:
            if _is_up(host, port, pages, stop):
                place = f"http://{host}:{port}{f'/{base_path}' if base_path else ''}"
                print(f"iclviz is ready: {place}   (stop with Ctrl-C)", flush=True)
                _wait(pages, stop, HEAD_START_SECONDS)
            if pages.poll() is None and not stop.asked:
                ensure_analyst(asked)
                computing.submit({})
            ends: list[float] = []
            while not stop.asked:
                _wait(pages, stop, SUPERVISE_SECONDS)
                _revive(queue, computing, asked, stop)
                if pages.poll() is not None and not stop.asked:
                    ends = [end for end in ends if end > time.monotonic() - OFTEN_SECONDS] + [time.monotonic()]
                    if len(ends) > MOST_RESTARTS:
                        return _status(pages.wait())
                    pages = _start_pages(command, queue)
            return 0
        finally:
            _stop([pages, *started()])


def _revive(queue: Queue, computing: Executor, asked: Asked, stop: Stop) -> None:
    """See that somebody does what waits, where whoever did it is gone."""
    if stop.asked:
        return
    with suppress(UserError, OSError):  # a full disk is no reason to end the pages
        if asked.is_waiting():
            ensure_analyst(asked)
        if queue.is_waiting() and not computing.alive():
            computing.submit({})


def _wait(pages: Process, stop: Stop, seconds: float = math.inf) -> None:
    """Until the pages end, this process is asked to stop, or the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and pages.poll() is None and not stop.asked:
        time.sleep(POLL_SECONDS)


@contextmanager
def _stop_signals() -> Iterator[Stop]:
    """Take notice of signals to stop instead of ending at once, so that nothing is left half started.

    A signal that is ignored stays so: `nohup` asks for that.
    """
    stop = Stop()
    numbers = [getattr(signal, name) for name in STOP_SIGNALS if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    heard = [number for number in numbers if before[number] != signal.SIG_IGN]
    for number in heard:
        signal.signal(number, stop.ask)
    try:
        yield stop
    finally:
        for number in heard:
            signal.signal(number, before[number])


def _status(returned: int) -> int:
    """The exit status of a process, as a shell tells it: 128 and the signal's number where a signal ended it."""
    return returned if returned >= 0 else 128 - returned


def check_port(host: str, port: int) -> None:
    """Refuse a port that cannot be served on.

    Raises
    ------
    UserError: it is taken, not allowed, or not a port, or no address of this machine.
    """
    if not 0 < port < 2**16:
        raise UserError(f"{port} is not a port.", _OTHER_PORT)
    try:
        with socket.create_server((host, port)):
            pass
    except (OSError, ValueError) as error:
        reason, remedy = _reason(error)
        raise UserError(f"The dashboard cannot use {host}:{port} ({reason}).", remedy) from error


def _reason(error: OSError | ValueError) -> tuple[str, str]:
    """What is wrong, in the system's words but without what Python adds to them, and what to do."""
    number = getattr(error, "errno", None) or 0
    if number <= 0:  # a name that is not known, or that no host can have
        return "no such address", _OTHER_HOST
    return os.strerror(number), _REMEDIES.get(number, "Take another port with --port, or another address with --host.")


def _start_pages(command: list[str], queue: Queue) -> Process:
    """Streamlit in a process group of its own: Ctrl-C in a terminal would reach it too, and break off its imports.

    It ends when its standard input does, which this process holds for as long as it lives.
    """
    environment = {PATIENCE_SETTING: PAGES_PATIENCE, **_environment(queue), "ICLVIZ_TIED": "1"}
    folder = dashboard_folder()
    return subprocess.Popen(command, env=environment, cwd=folder, stdin=subprocess.PIPE, process_group=0)


def _streamlit(host: str, port: int, base_path: str) -> list[str]:
    options = {
        "server.baseUrlPath": base_path,
        "server.address": host,
        "server.port": port,
        "server.headless": "true",
        "browser.gatherUsageStats": "false",
        "logger.level": "error",
        "server.fileWatcherType": "none",
        "server.showEmailPrompt": "false",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    flags += [f"--server.corsAllowedOrigins=https://{name}" for name in owner().hosts]
    return [sys.executable, "-m", "iclviz.ui.server", str(dashboard_folder() / "app.py"), *flags]


def _environment(queue: Queue) -> dict[str, str]:
    return {**os.environ, "ICLVIZ_CACHE": str(queue.store.folder)}


def _is_up(host: str, port: int, pages: Process, stop: Stop) -> bool:
    """Wait until the server answers; False where it ended instead, or is to stop."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and pages.poll() is None and not stop.asked:
        with suppress(OSError), socket.create_connection((host, port), timeout=1):
            return True
        time.sleep(POLL_SECONDS)
    return False


def _stop(processes: list[Process]) -> None:
    """End them side by side, by force where asking does not help."""
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
