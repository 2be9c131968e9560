"""Jobs on a real Ray cluster of two nodes."""

import shutil
import tempfile
import threading
import time
from contextlib import contextmanager, suppress

import psutil
import pytest
import ray
from ray.cluster_utils import Cluster

import iclviz
from iclviz import extensions
from iclviz.errors import UserError
from iclviz.jobs import starting
from iclviz.jobs.executors import SETTING, executor
from iclviz.jobs.executors.ray import ADDRESS_SETTING
from iclviz.jobs.queue import Queue
from iclviz.jobs.ray_workers import Brought, Hired, Needs, most_workers, needs_of
from iclviz.resolve import resolve
from iclviz.spec import Demonstrations, RunSpec
from iclviz.storage.named import SETTING as STORAGE_SETTING
from iclviz.store import Store
from iclviz.whereabouts import known

SLOW = '''"""Takes its time, and writes down which batches were captured."""

import os
import time

from iclviz.recorders import ArraySchema, BatchRecord, Recorder, Session


class Batch(BatchRecord):
    def __init__(self, prompts):
        self.prompts, self.sums = prompts, {}

    def states(self, layer, hidden):
        self.sums[layer] = hidden[:, -1].float().sum(dim=-1).cpu().numpy()

    def taken(self, responses):
        time.sleep(float(os.environ["SLOW_SECONDS"]))
        with open(os.environ["SLOW_LOG"], "a") as log:
            log.write(f"{os.getpid()} {sorted(self.prompts)}\\n")
        return {prompt: self.sums[0][place : place + 1] for place, prompt in enumerate(self.prompts)}


class AtWork(Session):
    def decoding(self, batch, before):
        return Batch(batch.prompts)


class Slow(Recorder):
    name, title, sentence = "slow", "Slow", "Takes its time."
    arrays = (ArraySchema("slow", ("item", "one")),)
    hooks = frozenset(["states"])

    def session(self, subject, asked):
        return AtWork()

    def arrays_of(self, taken, n_rows):
        return {"slow": taken}


RECORDER = Slow()
'''

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("ray")]


@pytest.fixture
def surroundings(tmp_path, monkeypatch):
    """What nodes and this process have alike: extensions, a storage, small batches."""
    (tmp_path / "extensions" / "recorders").mkdir(parents=True)
    (tmp_path / "extensions" / "recorders" / "slow.py").write_text(SLOW)
    settings = {
        extensions.SETTING: str(tmp_path / "extensions"),
        "SLOW_LOG": str(tmp_path / "batches"),
        "SLOW_SECONDS": "0.3",
        "ICLVIZ_TOKEN_BUDGET": "300",
        "OMP_NUM_THREADS": "1",
        "TMPDIR": str(tmp_path / "scratch"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_health_check_initial_delay_ms": "1000",
        "RAY_health_check_period_ms": "1000",
        "RAY_health_check_failure_threshold": "3",
    }
    (tmp_path / "scratch").mkdir()
    short = tempfile.mkdtemp()  # a socket's path has at most 107 letters
    monkeypatch.setenv("RAY_TMPDIR", short)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(STORAGE_SETTING, str(tmp_path / "shared"))
    yield tmp_path
    shutil.rmtree(short, ignore_errors=True)


@contextmanager
def nodes(monkeypatch):
    """A head that computes nothing, and two nodes with a processor each."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    made.others = [made.add_node(num_cpus=1) for _ in range(2)]
    monkeypatch.setenv(ADDRESS_SETTING, made.address)
    monkeypatch.setenv(SETTING, "ray")
    yield made
    for process in starting.started():
        process.terminate()
        process.wait(30)
    with suppress(Exception):
        ray.shutdown()
    made.shutdown()


@pytest.fixture
def cluster(surroundings, monkeypatch):
    with nodes(monkeypatch) as made:
        yield made


@pytest.fixture
def cluster_on_s3(surroundings, bucket, monkeypatch):
    """As `cluster`, with a bucket as storage, which it gives."""
    monkeypatch.setenv(STORAGE_SETTING, bucket.address)
    with nodes(monkeypatch):
        yield bucket


@pytest.fixture
def specs(tiny_model, surroundings):
    shown = [Demonstrations("correct", k, seed) for seed in (0, 1) for k in (1, 2)]
    return [RunSpec(str(tiny_model), "reading_comprehension", each, 12, record=("slow",)) for each in shown]


def in_background(ask_for):
    """Asking for runs, and what comes of it."""
    found = {}

    def ask():
        try:
            found["made"] = ask_for()
        except BaseException as error:
            found["error"] = error

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    found["thread"] = thread
    return found


def batches(folder):
    log = folder / "batches"
    return log.read_text().splitlines() if log.exists() else []


def wait_for(what, seconds=60):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


def content(store, key):
    place = store.place(key)
    return {path.name: path.read_bytes() for path in place.iterdir() if path.name not in ("run.json", "manifest.json")}


def workers_of(node):
    """The processes of a node's workers."""
    raylet = node.all_processes["raylet"][0].process.pid
    return {process.pid for process in psutil.Process(raylet).children(recursive=True)}


def of_a_local_worker(specs, tmp_path, monkeypatch):
    """The same runs by the worker of this machine, in a cache of its own."""
    with monkeypatch.context() as patch:
        patch.setenv("ICLVIZ_CACHE", str(tmp_path / "local"))
        patch.delenv(STORAGE_SETTING)
        patch.setenv(SETTING, "local")
        keys = [one.key for one in iclviz.sweep(specs, progress=False)]
        store = Store()
        return {key: content(store, key) for key in keys}


def test_a_node_killed_in_the_middle_of_a_study_changes_no_byte(cluster, specs, surroundings, tmp_path, monkeypatch):
    expected = of_a_local_worker(specs, tmp_path, monkeypatch)
    alone = [line.split(" ", 1)[1] for line in batches(surroundings)]
    (surroundings / "batches").unlink()
    table = {
        "study": "killed",
        "models": [specs[0].model],
        "tasks": {"reading": {"task": "reading_comprehension", "n_items": 12, "record": ["slow"]}},
        "conditions": {"correct": {"kind": "correct", "k": [1, 2]}},
        "seeds": [0, 1],
    }
    asked = in_background(lambda: iclviz.run_study(table, progress=False))
    wait_for(lambda: len(batches(surroundings)) > 3)
    store = Store()
    worker = int(batches(surroundings)[-1].split()[0])
    node = next(one for one in cluster.others if worker in workers_of(one))
    cluster.remove_node(node, allow_graceful=False)
    asked["thread"].join(120)
    assert "error" not in asked, asked["error"]
    keys = [cell.resolved.key for cell in asked["made"].cells]
    assert asked["made"].is_complete
    assert {key: content(store, key) for key in keys} == expected
    assert sorted(path.name for path in (surroundings / "shared" / "recordings").iterdir()) == sorted(expected)
    again = len(batches(surroundings)) - len(alone)
    assert 0 <= again <= 1, "only the batch that was being read is read again"
    wait_for(lambda: {job.state for job in Queue(store).jobs()} == {"done"})


def test_jobs_of_a_killed_scheduler_go_on_with_the_next_one(cluster, specs, surroundings, tmp_path, monkeypatch):
    expected = of_a_local_worker(specs, tmp_path, monkeypatch)
    alone = len(batches(surroundings))
    (surroundings / "batches").unlink()
    asked = in_background(lambda: iclviz.sweep(specs, progress=False))
    wait_for(lambda: len(batches(surroundings)) > 2)
    for process in starting.started():
        process.kill()
    asked["thread"].join(120)
    assert "error" not in asked, asked["error"]
    store = Store()
    assert {one.key: content(store, one.key) for one in asked["made"]} == expected
    assert len(batches(surroundings)) - alone <= 2, "only the batches that were being read are read again"


def test_a_storage_that_is_away_for_a_while_loses_nothing(cluster_on_s3, specs, surroundings, tmp_path, monkeypatch):
    bucket = cluster_on_s3
    expected = of_a_local_worker(specs[:2], tmp_path, monkeypatch)
    alone = len(batches(surroundings))
    (surroundings / "batches").unlink()
    asked = in_background(lambda: iclviz.sweep(specs[:2], progress=False))
    wait_for(lambda: len(batches(surroundings)) > 2)
    bucket.stop()
    time.sleep(3)
    bucket.start()
    asked["thread"].join(120)
    assert "error" not in asked, asked["error"]
    store = Store()
    assert {one.key: content(store, one.key) for one in asked["made"]} == expected
    assert store.unfinished_keys() == []
    copies = (surroundings / "scratch").glob("iclviz-worker-*/copies/recordings/*")
    assert [path.name for path in copies if path.is_dir()] == [], "nodes keep no copy of what they made"
    assert len(batches(surroundings)) == alone


def test_a_job_is_cancelled_on_its_node_and_goes_on_later(cluster, specs, surroundings):
    queue = Queue(Store())
    one = resolve(specs[1].with_(n_items=48))
    asking = executor(queue)
    asking.submit({one.key: one.spec})
    wait_for(lambda: len(batches(surroundings)) > 1)
    asking.cancel(one.key)
    wait_for(lambda: queue.get(one.key).state == "cancelled")
    before = len(batches(surroundings))
    assert one.key not in queue.store
    assert iclviz.run_spec(one.spec, progress=False).key == one.key
    wait_for(lambda: queue.get(one.key).state == "done")
    assert len(batches(surroundings)) > before


def test_a_run_that_cannot_be_is_told_and_the_others_are_recorded(cluster, specs, tiny_model, surroundings):
    wrong = specs[0].with_(model_options={"device": "cuda:7"})
    with pytest.raises(UserError):
        iclviz.sweep([wrong, specs[1]], progress=False)
    assert resolve(specs[1]).key in Store()


def test_a_worker_has_the_processors_that_it_needs_on_one_node(cluster, specs, surroundings):
    cluster.add_node(num_cpus=1, num_gpus=2)
    ray.init(address=cluster.address, log_to_driver=False)
    run = resolve(specs[0])
    split = specs[0].with_(model_options={"device_map": "auto"})
    assert [needs_of(one) for one in (specs[0], split)] == [Needs(1, 1), Needs(1, 2)]
    assert [most_workers(needs) for needs in (Needs(1, 1), Needs(1, 2), Needs(1, 0))] == [1, 1, 3]
    hired = Hired(Needs(1, 2), 1.0)
    hired.compute({run.key: run.spec}, Brought({}, tuple(known(run.spec.model, Store().memo))))
    found = []
    wait_for(lambda: found.append(hired.ended()) or found[-1] is not None)
    assert found[-1] == {run.key: ("done", None)}
    groups = ray.util.placement_group_table().values()
    assert [group["bundles"][0] for group in groups] == [{"CPU": 1.0, "GPU": 2.0}]
    hired.dismiss()
