import multiprocessing
import os
import signal
from dataclasses import dataclass, field

import pytest

from iclviz.fields import changes
from iclviz.jobs.queue import MOST_WHILE_OTHERS_WAIT, Queue
from iclviz.jobs.table import Progress
from iclviz.spec import Demonstrations, RunSpec, digest
from iclviz.store import Store
from tests.storage.memory import MemoryStorage


@pytest.fixture
def queue(own_cache):
    return Queue(Store(own_cache))


def spec(k=2):
    return RunSpec("m", "linear_regression", Demonstrations("correct", k), 8)


def test_two_jobs_of_one_spec_are_one(queue):
    first, second = queue.submit(spec(), digest("a")), queue.submit(spec(), digest("a"))
    assert first == second
    assert len(queue.jobs()) == 1


def test_jobs_are_taken_in_the_order_they_were_asked_for(queue):
    for name in ("c", "a", "b"):
        queue.submit(spec(), digest(name))
    assert [job.key for job in queue.jobs()] == [digest(name) for name in ("c", "a", "b")]
    assert queue.next_sweep()[0].key == digest("c")


def test_jobs_with_demonstrations_of_another_seed_or_order_are_taken_apart(queue):
    for key, shown in (("a", (2, 0)), ("b", (2, 1)), ("c", (2, 0, (), 1)), ("d", (3, 0)), ("e", (0, 1))):
        queue.submit(spec().with_(demonstrations=Demonstrations("correct", *shown)), digest(key))
    assert [job.key for job in queue.next_sweep()] == [digest("a"), digest("d"), digest("e")]


@pytest.mark.parametrize(
    "changed",
    [{"demonstrations": Demonstrations("shuffled", 3)}, {"n_items": 9}, {"max_new_tokens": 3},
     {"poolings": ("last",)}, {"attention_items": (1,)}],
    ids=lambda changed: next(iter(changed)),
)  # fmt: skip
def test_jobs_that_may_run_together_and_share_text_are_taken_together(queue, changed):
    queue.submit(spec(), digest("a"))
    queue.submit(spec().with_(task_options={"noise": 1}), digest("b"))
    queue.submit(spec().with_(**changed), digest("c"))
    assert [job.key for job in queue.next_sweep()] == [digest("a"), digest("c")]


@pytest.mark.parametrize(
    "changed",
    [{"dtype": "bfloat16"}, {"model_options": {"device": "cpu"}}, {"model": "other"}, {"task_options": {"noise": 1}},
     {"prompt_style": "chat"}, {"first_token": "as is"}, {"task": "reading_comprehension"}, {"seed": 5}],
    ids=lambda changed: next(iter(changed)),
)  # fmt: skip
def test_jobs_that_differ_in_anything_else_are_not(queue, changed):
    queue.submit(spec(), digest("a"))
    queue.submit(spec(3).with_(**changed), digest("b"))
    assert [job.key for job in queue.next_sweep()] == [digest("a")]


@dataclass(frozen=True)
class Steered(RunSpec):
    """A spec with one more field, which changes the forward pass."""

    steering: int = field(default=0, metadata=changes("forward", "steering"))


class QueueOfSteered(Queue):
    work_of = staticmethod(Steered.from_dict)


def test_a_new_field_that_changes_the_forward_pass_keeps_jobs_apart(own_cache):
    queue = QueueOfSteered(Store(own_cache))
    for name, steering in (("a", 0), ("b", 1), ("c", 0)):
        queue.submit(Steered("m", "linear_regression", steering=steering), digest(name))
    assert [job.key for job in queue.next_sweep()] == [digest("a"), digest("c")]


def test_sessions_take_turns_and_a_long_sweep_does_not_keep_another_session_waiting(queue):
    for k in range(8):
        queue.submit(spec().with_(demonstrations=Demonstrations("correct", k)), digest(f"a{k}"), asker="first")
    queue.submit(spec().with_(seed=5), digest("b"), asker="second")
    sweep = queue.next_sweep()
    assert [job.key for job in sweep] == [digest(f"a{k}") for k in range(MOST_WHILE_OTHERS_WAIT)]
    for job in sweep:
        queue.start(job.key)
        queue.finish(job.key, "done")
    assert [job.key for job in queue.next_sweep()] == [digest("b")]
    queue.start(digest("b"))
    queue.finish(digest("b"), "done")
    assert len(queue.next_sweep()) == 8 - MOST_WHILE_OTHERS_WAIT


def test_a_leased_job_is_not_taken_by_another(queue, own_cache):
    queue.submit(spec(), digest("a"))
    other = Queue(Store(own_cache))
    with queue.lease(digest("a")) as mine:
        assert mine
        with other.lease(digest("a")) as theirs:
            assert not theirs
        assert other.next_sweep() == []
    assert other.next_sweep()[0].key == digest("a")


def test_a_job_left_running_is_taken_up_again(queue):
    queue.submit(spec(), digest("a"))
    queue.start(digest("a"))
    assert queue.next_sweep()[0].key == digest("a")


def test_an_ended_job_can_be_asked_for_again(queue):
    queue.submit(spec(), digest("a"))
    queue.finish(digest("a"), "failed", "no memory")
    assert queue.next_sweep() == []
    assert queue.submit(spec(), digest("a")).state == "queued"
    assert queue.get(digest("a")).error is None


def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_is_asked_to_stop(queue, own_cache):
    queue.submit(spec(), digest("a"))
    queue.cancel(digest("a"))
    assert queue.get(digest("a")).state == "cancelled"
    queue.submit(spec(), digest("b"))
    with queue.lease(digest("b")):
        queue.start(digest("b"))
        Queue(Store(own_cache)).cancel(digest("b"))
    assert queue.get(digest("b")).state == "running"
    assert queue.get(digest("b")).cancel_requested


def test_asking_again_after_a_stopping_process_was_killed_asks_anew(queue):
    queue.submit(spec(), digest("a"))
    queue.start(digest("a"))
    queue.change(digest("a"), cancel_requested=True)
    assert queue.submit(spec(), digest("a")).state == "queued"
    assert not queue.get(digest("a")).cancel_requested


def test_clearing_an_ended_job_removes_its_batches(queue):
    queue.submit(spec(), digest("a"))
    unfinished = queue.store.unfinished(digest("a"))
    unfinished.save_plan({})
    queue.finish(digest("a"), "cancelled")
    queue.remove(digest("a"))
    assert not unfinished.folder.exists()


def test_progress_survives_the_disk(queue, own_cache):
    queue.submit(spec(), digest("a"))
    queue.change(digest("a"), progress=Progress("running", 3, 8, 120.5, 7.0))
    assert Queue(Store(own_cache)).get(digest("a")).progress == Progress("running", 3, 8, 120.5, 7.0)


def test_only_ended_jobs_are_forgotten(queue):
    queue.submit(spec(), digest("a"))
    queue.remove(digest("a"))
    assert queue.jobs()
    queue.finish(digest("a"), "done")
    queue.remove(digest("a"))
    assert not queue.jobs()


def test_there_is_one_worker_for_a_device(queue, own_cache):
    other = Queue(Store(own_cache))
    assert not other.worker_lives("cpu")
    with queue.worker_lease("cpu") as mine:
        assert mine
        assert other.worker_lives("cpu")
        with other.worker_lease("cuda") as theirs:
            assert theirs
    assert not other.worker_lives("cpu")


def hold(folder, key, ready):
    with Queue(Store(folder)).lease(key):
        ready.set()
        signal.pause()


def test_a_killed_process_lets_its_lease_go(queue, own_cache):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=hold, args=(own_cache, digest("a"), ready))
    process.start()
    assert ready.wait(120)
    assert queue.is_leased(digest("a"))
    os.kill(process.pid, signal.SIGKILL)
    process.join(10)
    assert not queue.is_leased(digest("a"))


def taken_by_one_that_ends(queue):
    """The next job, started by a process that is gone before it says any more."""
    (job,) = [queue.taken_up(one) for one in queue.next_sweep()]
    return job and queue.start(job.key)


def test_a_job_that_ends_its_worker_three_times_fails_with_that_sentence(queue):
    queue.submit(spec(), digest("a"))
    for _ in range(3):
        assert taken_by_one_that_ends(queue).state == "running"
    assert taken_by_one_that_ends(queue) is None
    job = queue.get(digest("a"))
    assert (job.state, queue.next_sweep()) == ("failed", [])
    assert "ended its worker 3 times" in job.error
    queue.submit(spec(), digest("a"))
    assert queue.get(digest("a")).ends == 0


def test_a_job_that_ended_a_worker_is_done_alone_so_that_others_are_not_blamed(queue):
    for name, k in (("a", 1), ("b", 2), ("c", 3)):
        queue.submit(spec(k), digest(name))
    for job in queue.next_sweep():
        queue.start(job.key)
    assert [job.key for job in queue.next_sweep()] == [digest("a")]
    queue.finish(digest("a"), "done")
    assert [job.key for job in queue.next_sweep()] == [digest("b")]


def test_a_job_that_was_put_back_on_request_has_ended_nobody(queue):
    queue.submit(spec(), digest("a"))
    for _ in range(5):
        (job,) = [queue.taken_up(one) for one in queue.next_sweep()]
        queue.start(job.key)
        queue.change(job.key, state="queued")
    assert queue.get(digest("a")).ends == 0


def test_an_idle_queue_reads_no_job_until_somebody_writes(queue, own_cache, monkeypatch):
    for name in ("a", "b"):
        queue.submit(spec(), digest(name))
        queue.finish(digest(name), "done")
    queue.jobs()
    monkeypatch.setattr(queue, "_read", lambda key: pytest.fail("it was read"))
    for _ in range(3):
        assert queue.next_sweep() == []
    monkeypatch.undo()
    Queue(Store(own_cache)).submit(spec(), digest("c"))
    assert [job.key for job in queue.next_sweep()] == [digest("c")]


def test_leases_lie_beside_their_jobs_wherever_recordings_lie(own_cache, tmp_path):
    store = Store(own_cache, MemoryStorage(tmp_path / "local"))
    queue, other = Queue(store), Queue(store)
    queue.submit(spec(), digest("a"))
    with queue.lease(digest("a")) as mine, other.lease(digest("a")) as theirs:
        assert (mine, theirs) == (True, False)
    assert list((own_cache / "queue").rglob("*.lock"))
