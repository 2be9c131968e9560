import pytest

from iclviz.errors import UserError
from iclviz.jobs import scheduling
from iclviz.jobs.executors import SETTING, executor
from iclviz.jobs.executors.ray import ADDRESS_SETTING, check_reachable
from iclviz.jobs.queue import Queue
from iclviz.jobs.ray_workers import BUSY, LostError, Needs
from iclviz.jobs.scheduling import Scheduler, schedule
from iclviz.jobs.starting import SCHEDULER
from iclviz.jobs.table import MOST_ENDS, Progress
from iclviz.spec import Demonstrations, RunSpec, digest
from iclviz.storage.folder import FolderStorage
from iclviz.store import Store


class Worker:
    """A worker whose end a test decides."""

    def __init__(self, needs, wait):
        self.needs, self.jobs, self.answer, self.told, self.stopped, self.is_there = needs, {}, None, {}, [], True
        WORKERS.append(self)

    def compute(self, jobs, brought):
        self.jobs, self.answer, self.brought = dict(jobs), None, brought

    def ended(self):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def progress(self):
        return self.told

    def stop(self, key):
        self.stopped.append(key)

    def dismiss(self):
        self.is_there = False


WORKERS = []


@pytest.fixture
def workers(monkeypatch):
    """Those that were hired, on a cluster with room for two."""
    WORKERS.clear()
    monkeypatch.setattr(scheduling, "connect", lambda address: None)
    monkeypatch.setattr(scheduling, "needs_of", lambda spec: Needs(1, spec.model_options.get("gpus", 0)))
    monkeypatch.setattr(scheduling, "most_workers", lambda needs: 2)
    monkeypatch.setattr(scheduling, "Hired", Worker)
    monkeypatch.setattr(scheduling, "wait_for_one", lambda workers, seconds: None)
    return WORKERS


@pytest.fixture
def queue(own_cache, tmp_path):
    return Queue(Store(own_cache, FolderStorage(tmp_path / "shared", ("recordings",), is_shared=True)))


def spec(seed=0, k=1, **changes):
    return RunSpec("m", "linear_regression", Demonstrations("correct", k, seed), 8, **changes)


def states(queue):
    return {job.key: job.state for job in queue.jobs()}


def submitted(queue, **specs):
    for name, one in specs.items():
        queue.submit(one, digest(name))


def test_what_belongs_together_goes_to_one_worker_and_the_rest_side_by_side(queue, workers):
    submitted(queue, a=spec(0, 1), b=spec(0, 2), c=spec(1), d=spec(2))
    scheduler = Scheduler(queue)
    assert scheduler.step()
    assert [set(worker.jobs) for worker in workers] == [{digest("a"), digest("b")}, {digest("c")}]
    assert states(queue) == {**dict.fromkeys(map(digest, "abc"), "running"), digest("d"): "queued"}
    with queue.lease(digest("a")) as mine:
        assert not mine


def test_a_worker_that_is_done_gets_what_waits(queue, workers):
    submitted(queue, a=spec(0), b=spec(1), c=spec(2))
    scheduler = Scheduler(queue)
    scheduler.step()
    workers[0].answer = {digest("a"): ("failed", "It cannot be.")}
    scheduler.step()
    assert (states(queue)[digest("a")], queue.get(digest("a")).error) == ("failed", "It cannot be.")
    assert (len(workers), set(workers[0].jobs)) == (2, {digest("c")})


def test_jobs_of_a_lost_worker_go_to_another_and_fail_where_they_lose_every_worker(queue, workers):
    submitted(queue, a=spec(0))
    scheduler = Scheduler(queue)
    for lost in range(MOST_ENDS):
        scheduler.step()
        assert len(workers) == lost + 1
        workers[lost].answer = LostError("the node is gone")
    scheduler.step()
    assert (states(queue), len(workers)) == ({digest("a"): "failed"}, MOST_ENDS)
    assert not any(worker.is_there for worker in workers)


def test_a_job_that_gets_on_may_lose_any_number_of_workers(queue, workers):
    submitted(queue, a=spec(0))
    scheduler = Scheduler(queue)
    for lost in range(2 * MOST_ENDS):
        scheduler.step()
        workers[lost].told = {digest("a"): Progress("running", lost + 1, 8)}
        scheduler.step()
        workers[lost].answer = LostError("the node is gone")
    scheduler.step()
    assert states(queue) == {digest("a"): "running"}


def test_who_asks_for_the_end_of_a_job_is_heard_by_its_worker(queue, workers):
    submitted(queue, a=spec(0))
    scheduler = Scheduler(queue)
    scheduler.step()
    queue.cancel(digest("a"))
    scheduler.step()
    assert workers[0].stopped == [digest("a")]
    workers[0].answer = {digest("a"): ("cancelled", None)}
    scheduler.step()
    assert states(queue) == {digest("a"): "cancelled"}


def test_what_another_computes_is_asked_for_again_later(queue, workers, monkeypatch):
    submitted(queue, a=spec(0))
    scheduler = Scheduler(queue)
    scheduler.step()
    workers[0].answer = {digest("a"): ("queued", BUSY)}
    scheduler.step()
    assert states(queue) == {digest("a"): "queued"}
    assert not scheduler.step()
    monkeypatch.setattr(scheduling, "RETRY_SECONDS", -1.0)
    scheduler._later = {}
    assert scheduler.step()


def test_a_worker_with_other_needs_takes_the_place_of_an_idle_one(queue, workers):
    submitted(queue, a=spec(0), b=spec(1))
    scheduler = Scheduler(queue)
    scheduler.step()
    workers[0].answer = {digest("a"): ("cancelled", None)}
    scheduler.step()
    submitted(queue, c=spec(2, model_options={"gpus": 1}))
    scheduler.step()
    assert [(worker.needs.gpus, worker.is_there) for worker in workers] == [(0, False), (0, True), (1, True)]


def test_an_idle_worker_gives_its_share_of_the_cluster_back(queue, workers, monkeypatch):
    submitted(queue, a=spec(0))
    scheduler = Scheduler(queue)
    scheduler.step()
    workers[0].answer = {digest("a"): ("cancelled", None)}
    scheduler.step()
    assert workers[0].is_there
    monkeypatch.setattr(scheduling, "MOST_IDLE_SECONDS", -1.0)
    scheduler.step()
    assert not workers[0].is_there


def test_a_scheduler_that_ends_puts_back_what_is_under_way(queue, workers):
    submitted(queue, a=spec(0))
    scheduler = Scheduler(queue)
    scheduler.step()
    scheduler.close()
    assert (states(queue), workers[0].is_there) == ({digest("a"): "queued"}, False)
    with queue.lease(digest("a")) as mine:
        assert mine


def test_while_the_cluster_is_away_jobs_say_so_and_wait(queue, workers, monkeypatch):
    def away(address):
        raise UserError("The Ray cluster is away.", "Start one.")

    monkeypatch.setattr(scheduling, "connect", away)
    submitted(queue, a=spec(0))
    assert not Scheduler(queue).step()
    assert queue.get(digest("a")).progress.stage == "The Ray cluster is away. Start one."
    assert states(queue) == {digest("a"): "queued"}


def test_one_scheduler_serves_a_cache(queue, workers):
    with queue.worker_lease(SCHEDULER), pytest.raises(UserError, match="Another scheduler"):
        schedule(queue.store, once=True)


def test_a_worker_brings_tasks_and_places_of_models_along(queue, workers, own_cache):
    (own_cache / "tasks").mkdir(parents=True)
    (own_cache / "tasks" / "mine.json").write_text("{}")
    submitted(queue, a=spec(0))
    Scheduler(queue).step()
    assert workers[0].brought.tasks == {"mine.json": b"{}"}


def test_an_address_at_which_nobody_listens_is_refused_before_ray_is_asked():
    with pytest.raises(UserError, match=r"127.0.0.1:9 cannot be reached .* `ray start --head`"):
        check_reachable("127.0.0.1:9")


def test_workers_on_a_cluster_need_a_storage_that_they_reach(own_cache, monkeypatch):
    monkeypatch.setenv(SETTING, "ray")
    monkeypatch.setenv(ADDRESS_SETTING, "head:6379")
    found = executor(Queue(Store()))
    assert (found.where, found.alive()) == ("on the Ray cluster head:6379", False)
    with pytest.raises(UserError, match=r"need a storage .* ICLVIZ_STORAGE"):
        found.submit({digest("a"): spec()})


def test_who_asks_a_cluster_that_is_not_there_is_told_at_once(queue, monkeypatch):
    monkeypatch.setenv(ADDRESS_SETTING, "127.0.0.1:9")
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9 cannot be reached"):
        executor(queue, default="ray").submit({digest("a"): spec()})
    assert queue.jobs() == []
