"""The dashboard as processes: Streamlit for the pages, and a worker beside it; both end together."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from iclviz.errors import UserError
from iclviz.jobs.queue import Queue
from iclviz.jobs.starting import start_worker
from iclviz.models.devices import device_kind
from iclviz.places import checkout
from iclviz.store import Store

READY_SECONDS = 60
STOP_SECONDS = 10


def dashboard_folder() -> Path:
    """Where `app.py` lies: the checkout, or inside the installed package."""
    return checkout() or Path(__file__).parent / "dashboard"


def serve(host: str, port: int) -> int:
    """Serve the dashboard until it is stopped; the exit status.

    Raises
    ------
    UserError: the port is taken, or the cache cannot be written.
    """
    check_port(host, port)
    queue = Queue(Store())
    started = None if queue.worker_lives(device_kind({})) else start_worker(queue)
    pages = subprocess.Popen(_streamlit(host, port), env=_environment(queue), cwd=dashboard_folder())
    signal.signal(signal.SIGTERM, lambda number, frame: pages.terminate())
    try:
        if _is_up(host, port, pages):
            print(f"iclviz is ready: http://{host}:{port}   (stop with Ctrl-C)", flush=True)
        return pages.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        for process in (pages, started):
            if process is not None:
                _stop(process)


def check_port(host: str, port: int) -> None:
    """Refuse a port that cannot be served on.

    Raises
    ------
    UserError: it is taken, not allowed, or not a port.
    """
    try:
        with socket.create_server((host, port)):
            pass
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"The dashboard cannot use {host}:{port} ({reason}).",
            "Another dashboard may be running there: open it, or take another port with --port.",
        ) from error


def _streamlit(host: str, port: int) -> list[str]:
    options = {
        "server.address": host,
        "server.port": port,
        "server.headless": "true",
        "browser.gatherUsageStats": "false",
        "server.fileWatcherType": "none",
        "server.showEmailPrompt": "false",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "iclviz.ui.server", str(dashboard_folder() / "app.py"), *flags]


def _environment(queue: Queue) -> dict[str, str]:
    return {**os.environ, "ICLVIZ_CACHE": str(queue.store.folder), "ICLVIZ_FOLDER": os.getcwd()}


def _is_up(host: str, port: int, pages: "subprocess.Popen[bytes]") -> bool:
    """Wait until the server answers; False where it ended instead."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and pages.poll() is None:
        with suppress(OSError), socket.create_connection((host, port), timeout=1):
            return True
        time.sleep(0.1)
    return False


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
