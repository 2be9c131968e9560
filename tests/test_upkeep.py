import os
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from iclviz.answers import Answers
from iclviz.curating import Annotation, annotate, discard, discarded, restore
from iclviz.jobs.queue import Queue
from iclviz.questions.question import Question
from iclviz.spec import Demonstrations, RunSpec, digest
from iclviz.storage.shared import SharedStorage
from iclviz.store import GROUPS, Store
from iclviz.upkeep import Limits, check, gc, room
from tests.test_store import KEY, OTHER, facts, recording


@pytest.fixture
def store(own_cache):
    store = Store(own_cache)
    store.save(recording(), "log_accuracy")
    store.save(recording("another model"), "log_accuracy")
    return store


def spec(k=2):
    return RunSpec("m", "linear_regression", Demonstrations("correct", k), 8)


def old(path):
    os.utime(path, (0, 0))
    return path


def left_by_the_killed(store):
    folders = [
        store.folder / "recordings" / ".sealing-x",
        store.folder / ".importing-x",
        store.folder / "queue.damaged-1",
    ]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(bytes(1000))
    return [old(folder) for folder in folders]


def test_what_nobody_misses_goes_and_everything_else_stays(store):
    left = left_by_the_killed(store)
    store.unfinished(digest("given up")).save_piece(0, {"a": np.arange(3)}, facts(0))
    store.unfinished(digest("under way")).save_piece(0, {"a": np.arange(3)}, facts(0))
    old(store.unfinished(digest("given up")).folder)
    (store.folder / "worker.log").write_bytes(b"a" * 100 + b"end")
    assert {one.what for one in gc(store, only_say=True)} == {one.what for one in gc(store)}
    assert not any(folder.exists() for folder in left)
    assert not store.unfinished(digest("given up")).folder.exists()
    assert store.unfinished(digest("under way")).pieces()
    assert gc(store, Limits(log_bytes=10))[0].size == 93
    assert (store.folder / "worker.log").read_bytes() == b"a" * 7 + b"end"
    assert {entry.key for entry in store.summaries()} == {KEY, OTHER}
    assert gc(store) == []


def test_saying_removes_nothing(store):
    left = left_by_the_killed(store)
    assert len(gc(store, only_say=True)) == 3
    assert all(folder.exists() for folder in left)


def test_too_many_discarded_recordings_go_the_first_first(store):
    for key in (KEY, OTHER):
        discard(store, key)
    old(store.discarded_place(OTHER))
    gc(store, Limits(bin_bytes=max(discarded(store).values())))
    assert list(discarded(store)) == [KEY]


def test_recordings_go_only_when_asked(store):
    old(store.place(OTHER))
    assert gc(store) == []
    gc(store, Limits(recordings_bytes=max(room(store)["recordings"] // 2 + 500, 1)))
    assert [entry.key for entry in store.summaries()] == [KEY]


def test_what_lies_in_a_shared_storage_stays_and_its_copies_make_room(own_cache, tmp_path):
    store = Store(own_cache, SharedStorage(f"memory://{tmp_path.name}", own_cache / "copies", GROUPS))
    store.save(recording(), "log_accuracy")
    store.save(recording("another model"), "log_accuracy")
    store.discard(KEY)
    store.unfinished(KEY).save_plan({"left": 1})
    freed = gc(store, Limits(recordings_bytes=1, bin_bytes=0, unfinished_days=0.0))
    assert {one.what.partition(" ")[0] for one in freed} == {"copy"}
    assert store.storage.copies() == []
    assert [entry.key for entry in store.summaries()] == [OTHER]
    assert (store.discarded(), store.unfinished_keys()) == ([KEY], [KEY])
    store.verify(OTHER)


def test_jobs_that_ended_are_forgotten_beyond_a_number_and_open_ones_never(own_cache, monkeypatch):
    monkeypatch.setattr("iclviz.jobs.table.MOST_ENDED", 5)
    queue = Queue(Store(own_cache))
    queue.submit(spec(), digest("waits"))
    for number in range(12):
        queue.submit(spec(), digest(number))
        queue.finish(digest(number), "done")
    assert len(queue.jobs()) <= 7
    assert queue.get(digest("waits")).is_open
    assert queue.get(digest(11)) is not None


def test_everything_is_read_and_what_is_wrong_is_named(store):
    assert check(store) == []
    annotate(store, OTHER, Annotation("Name"))
    content = bytearray((store.place(KEY) / "embeddings.mean.safetensors").read_bytes())
    content[-1] ^= 1
    (store.place(KEY) / "embeddings.mean.safetensors").write_bytes(content)
    (store.place(OTHER) / "annotation.json").write_text('{"name": 3}')
    Queue(store)._jobs["x"] = {"state": 1}
    question = Question("alignment", (KEY,), {})
    Answers(store).put(question, np.arange(1e5))
    for path in (store.folder / "answers").rglob("*.val"):
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    (store.folder / "tasks").mkdir()
    (store.folder / "tasks" / "mine.json").write_text("[")
    found = check(store)
    assert sorted(one.kind for one in found) == ["annotation", "answer", "job", "recording", "task"]
    for one in found:
        one.remove()
    assert check(store) == []
    assert [entry.key for entry in store.summaries()] == [OTHER]


def test_on_a_full_disk_a_recording_is_still_discarded_and_restored(store, monkeypatch):
    def full(*given, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.mkdir", lambda path, *mode: None if os.path.isdir(path) else full())
    monkeypatch.setattr("iclviz.rows.Rows.__setitem__", full)
    monkeypatch.setattr("iclviz.rows.Rows.__delitem__", full)
    monkeypatch.setattr("iclviz.disk.write_atomically", full)
    discard(store, KEY)
    assert [entry.key for entry in store.summaries()] == [OTHER]
    restore(store, KEY)
    assert len(store.summaries()) == 2
    store.delete(OTHER)
    assert [entry.key for entry in store.summaries()] == [KEY]


def test_data_files_are_on_the_disk_before_they_have_their_name(own_cache, monkeypatch):
    happened = []
    sync, rename = os.fsync, os.rename
    monkeypatch.setattr(
        "os.fsync", lambda handle: (happened.append(os.readlink(f"/proc/self/fd/{handle}")), sync(handle))[1]
    )
    monkeypatch.setattr("os.rename", lambda old, new: (happened.append(f"named {new}"), rename(old, new))[1])
    store = Store(own_cache)
    store.save(recording(), "log_accuracy")
    named = happened.index(f"named {store.place(KEY)}")
    settled = " ".join(happened[:named])
    assert all(path.name in settled for path in store.place(KEY).iterdir())


@pytest.mark.long
def test_an_idle_worker_with_ten_thousand_done_jobs_uses_next_to_nothing(own_cache):
    queue = Queue(Store(own_cache))
    with queue._jobs.transact():
        for number in range(10_000):
            queue.submit(spec(), digest(number))
            queue._write(queue.get(digest(number)).__class__(digest(number), spec(), "done", 1.0, 1.0, 2.0))
    worker = subprocess.Popen(
        [sys.executable, "-m", "iclviz", "worker"], env={**os.environ, "ICLVIZ_CACHE": str(own_cache)}
    )
    try:
        time.sleep(30)
        before = psutil.Process(worker.pid).cpu_times()
        time.sleep(20)
        after = psutil.Process(worker.pid).cpu_times()
        assert (after.user + after.system - before.user - before.system) / 20 < 0.02
    finally:
        worker.terminate()
        worker.wait()


def test_a_worker_makes_room_before_its_first_job(store):
    left = left_by_the_killed(store)
    subprocess.run([sys.executable, "-m", "iclviz", "worker", "--once"], check=True, capture_output=True)
    assert not any(folder.exists() for folder in left)
