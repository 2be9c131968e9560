import errno
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from iclviz import cli, serving
from iclviz.errors import UserError
from iclviz.jobs import starting
from iclviz.jobs.queue import Queue
from iclviz.models.devices import device_kind
from iclviz.serving import check_port, serve
from iclviz.spec import Demonstrations, RunSpec
from iclviz.store import Store

ROOT = Path(__file__).parents[1]
STOPPED = "Stopped before anything began.\n"


def free_port():
    with socket.create_server(("localhost", 0)) as server:
        return server.getsockname()[1]


def wait_until(there, seconds=60):
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def dashboard(folder, port):
    """The real command in a session of its own, as in a terminal."""
    command = [sys.executable, "-m", "iclviz", "dashboard", "--port", str(port)]
    environment = {**os.environ, "ICLVIZ_CACHE": str(folder)}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


@pytest.fixture
def terminal():
    """As in a terminal, whose hang-up is not ignored: under `nohup` it is, and children inherit that."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("terminal")
def test_a_closed_terminal_ends_pages_and_worker(own_cache):
    port = free_port()
    with dashboard(own_cache, port) as process:
        wait_until(lambda: "iclviz is ready" in process.stdout.readline())
        queue = Queue(Store(own_cache))
        wait_until(lambda: queue.worker_lives(device_kind({})))
        os.killpg(process.pid, signal.SIGHUP)
        assert process.wait(30) == 0
        assert not queue.worker_lives(device_kind({}))
        check_port("localhost", port)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_dashboard_stopped_before_its_pages_are_up_ends_with_one_sentence(own_cache, number):
    port = free_port()
    with dashboard(own_cache, port) as process:
        wait_until((own_cache / "asked").exists)
        os.killpg(process.pid, number)
        out, error = process.communicate(timeout=30)
        assert (process.returncode, error) == (0, "")
        assert out == f"Stopped. {cli.STOPPED['dashboard']}\n"
        assert not Queue(Store(own_cache)).worker_lives(device_kind({}))
        check_port("localhost", port)


@pytest.fixture
def stand_ins(monkeypatch):
    """Short commands in place of the analyst and the worker, started as soon as the pages are."""
    started = []

    def start(store, name):
        started.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))
        return started[-1]

    monkeypatch.setattr(starting, "start", start)
    monkeypatch.setattr(serving, "HEAD_START_SECONDS", 0.0)
    monkeypatch.setattr(serving, "_is_up", lambda *arguments: True)
    return started


@pytest.mark.parametrize(("code", "status"), [("raise SystemExit(3)", 3), ("os.kill(os.getpid(), 9)", 128 + 9)])
def test_pages_that_end_again_and_again_end_analyst_and_worker_too(monkeypatch, stand_ins, code, status):
    pages = [sys.executable, "-c", f"import os, time; time.sleep(0.5); {code}"]
    monkeypatch.setattr(serving, "_streamlit", lambda host, port, base_path: pages)
    before = signal.getsignal(signal.SIGTERM)
    assert serve("localhost", free_port()) == status
    assert [one.poll() for one in stand_ins] == [-signal.SIGTERM] * 2
    assert signal.getsignal(signal.SIGTERM) == before


def children(pid):
    """Processes whose parent that is, by what they run; one that has ended and was not taken notice of is "defunct"."""
    told = subprocess.run(
        ["ps", "-o", "pid=,stat=,args=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    rows = [line.split(None, 2) for line in told.stdout.splitlines()]
    return {int(number): "defunct" if state[0] == "Z" else words for number, state, words in rows}


def running(pid, words):
    return next((number for number, said in children(pid).items() if words in said), None)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes")
def test_what_is_killed_is_started_again_and_a_killed_dashboard_leaves_no_port_taken(own_cache):
    port = free_port()
    with dashboard(own_cache, port) as process:
        wait_until(lambda: "iclviz is ready" in process.stdout.readline())
        pages = running(process.pid, "iclviz.ui.server")
        wait_until(lambda: running(process.pid, "iclviz worker"))
        os.kill(pages, signal.SIGKILL)
        wait_until(lambda: running(process.pid, "iclviz.ui.server") not in (None, pages))
        worker = running(process.pid, "iclviz worker")
        queue = Queue(Store(own_cache))
        queue.submit(RunSpec("no such model", "linear_regression", Demonstrations("correct", 2), 8), "a" * 32)
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: queue.get("a" * 32).state == "failed")
        assert "defunct" not in children(process.pid).values()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

        def is_free():
            try:
                check_port("localhost", port)
            except UserError:
                return False
            return True

        wait_until(is_free, 10)
        for helper in left_behind(own_cache):
            os.kill(helper, signal.SIGTERM)


def left_behind(folder):
    """Processes of a cache that a killed dashboard left."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"ICLVIZ_CACHE={folder}\0".encode() in path.read_bytes():
                yield int(path.parent.name)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "lab.example.org"])
def test_others_are_served_only_with_a_password(host, monkeypatch, tmp_path):
    monkeypatch.setenv("ICLVIZ_CONFIG", str(tmp_path / "config.toml"))
    with pytest.raises(UserError, match="nothing would ask who it is"):
        serve(host, free_port())


def test_signals_that_are_ignored_stay_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with serving._stop_signals() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.asked
            signal.raise_signal(signal.SIGTERM)
            assert stop.asked
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_taken_port_may_be_another_dashboard():
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(UserError) as refusal:
            check_port("localhost", port)
    assert str(refusal.value) == (
        f"The dashboard cannot use localhost:{port} (Address already in use). "
        "Another dashboard may be running there: open it, or take another port with --port."
    )


@pytest.mark.parametrize("port", [-1, 0, 65536, 10**30])
def test_a_number_that_is_no_port_is_refused(port):
    with pytest.raises(UserError, match=rf"^{port} is not a port\. Take a port from 1024 to 65535 with --port\.$"):
        check_port("localhost", port)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7", "a..b", "x" * 300])
def test_a_host_that_is_not_here_gets_its_own_remedy(host):
    with pytest.raises(UserError, match=r"\)\. Give localhost, or an address of this machine, with --host\.$"):
        check_port(host, free_port())


def test_a_privileged_port_gets_its_own_remedy(monkeypatch):
    def refuse(address):
        raise PermissionError(errno.EACCES, "Permission denied (while attempting to bind on address ('127.0.0.1', 80))")

    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(UserError) as refusal:
        check_port("localhost", 80)
    assert str(refusal.value) == (
        "The dashboard cannot use localhost:80 (Permission denied). Take a port from 1024 to 65535 with --port."
    )


@pytest.mark.parametrize("raised", ["raise KeyboardInterrupt", "exec('raise KeyboardInterrupt')"])
def test_an_interrupt_while_the_command_line_is_imported_is_one_sentence(tmp_path, raised):
    (tmp_path / "sitecustomize.py").write_text(f"""
import sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            {raised}
sys.meta_path.insert(0, Interrupt())
""")
    result = subprocess.run(
        [sys.executable, "-m", "iclviz", "models"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stdout, result.stderr) == (130, "", STOPPED)
