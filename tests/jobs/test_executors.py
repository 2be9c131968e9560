import os
import subprocess
import sys
import time

import pytest

import iclviz
from iclviz import extensions
from iclviz.errors import UserError
from iclviz.jobs import starting
from iclviz.jobs.executors import SETTING, executor
from iclviz.jobs.executors.in_process import InProcess
from iclviz.jobs.executors.local import Local
from iclviz.jobs.queue import Queue
from iclviz.models.devices import device_kind
from iclviz.resolve import resolve
from iclviz.spec import Demonstrations, RunSpec
from iclviz.store import Store

MINE = """from iclviz.jobs.executors.in_process import InProcess


class Mine(InProcess):
    where = "on the moon"

    def submit(self, runs, asker="", tell=None):
        (self._queue.store.folder / "asked").write_text(" ".join(runs))
        super().submit(runs, asker, tell)


EXECUTOR = Mine
"""


@pytest.fixture
def queue(own_cache):
    return Queue(Store(own_cache))


@pytest.fixture
def run(tiny_model):
    return resolve(RunSpec(str(tiny_model), "reading_comprehension", Demonstrations("correct", 1), 6))


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.setenv(extensions.SETTING, str(tmp_path))
    (tmp_path / "executors").mkdir()
    (tmp_path / "executors" / "mine.py").write_text(MINE)
    monkeypatch.setenv(SETTING, "mine")
    return tmp_path / "executors" / "mine.py"


@pytest.fixture
def no_process(monkeypatch):
    """The names of the processes that would have been started."""
    names = []

    class Started:
        def poll(self):
            return None

    def start(store, name):
        names.append(name)
        return Started()

    monkeypatch.setattr(starting, "start", start)
    monkeypatch.setattr(starting, "_started", {})
    return names


def test_pages_use_the_worker_of_this_machine_unless_told_otherwise(queue, monkeypatch):
    assert isinstance(executor(queue), Local)
    monkeypatch.setenv(SETTING, "in_process")
    assert isinstance(executor(queue), InProcess)


def test_an_unknown_executor_is_refused_with_the_known_ones(queue, monkeypatch):
    monkeypatch.setenv(SETTING, "moon")
    with pytest.raises(UserError, match=r"Unknown executor 'moon'. Known: in_process, local."):
        executor(queue)


def test_the_worker_is_started_once_and_what_waits_already_is_not_asked_for_twice(queue, run, no_process):
    local = executor(queue)
    for _ in range(2):
        local.submit({run.key: run.spec}, "somebody")
    assert [(job.key, job.state, job.asker) for job in queue.jobs()] == [(run.key, "queued", "somebody")]
    assert no_process == ["worker"]
    assert not local.alive()
    local.cancel(run.key)
    assert queue.get(run.key).state == "cancelled"
    with queue.worker_lease(device_kind({})):
        assert Local(Queue(Store())).alive()


def test_seeing_to_what_waits_asks_for_nothing(queue, no_process):
    executor(queue).submit({})
    assert (queue.jobs(), no_process) == ([], ["worker"])


def test_in_the_own_process_a_run_is_there_when_asking_returns(queue, run):
    told = []
    InProcess(queue).submit({run.key: run.spec}, tell=lambda key, progress: told.append((key, progress.stage)))
    assert run.key in queue.store
    assert queue.get(run.key).state == "done"
    assert (run.key, "saving") in told
    assert InProcess(queue).alive()


def test_in_the_own_process_a_run_that_another_computes_is_left_to_it(queue, run):
    with Queue(Store()).lease(run.key):
        InProcess(queue).submit({run.key: run.spec})
    assert run.key not in queue.store
    assert queue.get(run.key) is None


def test_a_file_of_ones_own_computes_what_pages_and_scripts_ask_for(queue, run, mine):
    assert executor(queue).where == "on the moon"
    assert iclviz.run_spec(run.spec).key == run.key
    assert (queue.store.folder / "asked").read_text() == run.key


def test_a_file_of_ones_own_computes_what_the_command_line_asks_for(queue, run, mine):
    words = ["run", "--model", run.spec.model, "--task", run.spec.task, "--k", "1", "--n-items", "6"]
    subprocess.run([sys.executable, "-m", "iclviz", *words], check=True, env=os.environ)
    assert run.key in queue.store
    assert (queue.store.folder / "asked").read_text() == run.key


def test_a_file_at_fault_is_one_sentence_and_takes_nothing_else_away(queue, mine, monkeypatch):
    for text, reason in (("VALUE = 3", "no submit"), ("EXECUTOR = 3", "no submit"), ("1 / 0", "ZeroDivisionError")):
        mine.write_text(f"{text}\n")
        with pytest.raises(UserError, match=rf"The extension mine.py in .* cannot be run \(.*{reason}"):
            executor(queue)
    monkeypatch.setenv(SETTING, "local")
    assert isinstance(executor(queue), Local)


def test_a_script_that_asks_the_worker_waits_for_its_recording(queue, run, monkeypatch):
    monkeypatch.setenv(SETTING, "local")
    try:
        assert iclviz.run_spec(run.spec).key == run.key
        deadline = time.monotonic() + 30  # the recording is there a moment before its job says so
        while queue.get(run.key).state != "done":
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        for process in starting.started():
            process.terminate()
            process.wait(30)
