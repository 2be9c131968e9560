import threading
import time

import pytest

from iclviz.errors import StoreError
from iclviz.storage import shared
from iclviz.storage.named import PATIENCE_SETTING
from iclviz.storage.shared import SharedStorage
from tests.storage.conformance import StorageConformance, content, filled

GROUPS = ("recordings", "unfinished", "discarded")


@pytest.fixture
def address(tmp_path):
    """A folder of fsspec's memory that no other test has."""
    return f"memory://{tmp_path.name}"


@pytest.fixture
def storage(address, tmp_path):
    return SharedStorage(address, tmp_path / "mirror", GROUPS)


@pytest.fixture
def elsewhere(address, tmp_path):
    """The same storage, on another machine."""
    return SharedStorage(address, tmp_path / "other mirror", GROUPS)


class TestSharedStorage(StorageConformance):
    pass


class TestSharedStorageOnS3(StorageConformance):
    @pytest.fixture
    def storage(self, bucket, tmp_path):
        return SharedStorage(bucket.address, tmp_path / "mirror", GROUPS)

    def test_a_server_that_is_away_for_a_while_is_waited_for(self, storage, bucket):
        filled(storage, "recordings/a", one=b"1")
        bucket.stop()
        threading.Timer(1.0, bucket.start).start()
        filled(storage, "recordings/b", one=b"2")
        assert storage.names("recordings") == ["a", "b"]


def test_what_one_machine_puts_another_has(storage, elsewhere):
    filled(storage, "recordings/a", one=b"1", two=b"2")
    storage.put("recordings/a/note", b"n")
    assert content(elsewhere, "recordings/a") == {"one": b"1", "two": b"2", "note": b"n"}


def test_a_copy_is_read_again_only_where_something_else_lies_there(storage, elsewhere):
    filled(storage, "recordings/a", one=b"1", two=b"2")
    place = elsewhere.get("recordings/a")
    (place / "one").write_bytes(b"of the copy")
    assert content(elsewhere, "recordings/a")["one"] == b"of the copy"
    filled(storage, "recordings/a", one=b"3")
    elsewhere.names("recordings")
    time.sleep(shared.LISTING_SECONDS)
    assert content(elsewhere, "recordings/a") == {"one": b"3"}


def test_a_reader_fetches_the_files_it_names_alone(storage, elsewhere):
    filled(storage, "recordings/a", small=b"1", large=b"2")
    assert [path.name for path in elsewhere.get("recordings/a", "small").iterdir()] == ["small"]
    assert "recordings/a/large" in elsewhere
    assert content(elsewhere, "recordings/a") == {"small": b"1", "large": b"2"}


def test_a_reader_on_another_machine_sees_nothing_before_all_of_an_entry_is_there(storage, elsewhere, monkeypatch):
    filled(storage, "recordings/a", one=b"1", two=b"1")
    seen = []
    send = storage._files.pipe_file

    def look_before(path, *rest, **options):
        if "/entries/" in path:
            seen.append(content(SharedStorage("memory:/" + storage._root, elsewhere.mirror / "x"), "recordings/a"))
        send(path, *rest, **options)

    monkeypatch.setattr(storage._files, "pipe_file", look_before)
    filled(storage, "recordings/a", one=b"2", two=b"2")
    assert seen == [{"one": b"1", "two": b"1"}]
    assert content(elsewhere, "recordings/a") == {"one": b"2", "two": b"2"}


def test_copies_can_be_removed_and_come_again(storage):
    filled(storage, "recordings/a", one=b"1")
    storage.get("recordings/a")
    (copy,) = storage.copies()
    (copy / "one").unlink()
    copy.rmdir()
    assert content(storage, "recordings/a") == {"one": b"1"}


def test_what_a_killed_writer_sent_is_no_entry_and_goes_after_a_day(storage, monkeypatch):
    storage._files.pipe_file(storage._path("recordings/objects/a@00000000000000000001-x/one"), b"half")
    assert "recordings/a" not in storage
    assert storage.names("recordings") == []
    filled(storage, "recordings/a", one=b"1")
    assert not storage._files.exists(storage._path("recordings/objects/a@00000000000000000001-x/one"))


def test_a_lock_of_a_machine_that_is_gone_is_free_after_its_lease(address, tmp_path, monkeypatch):
    gone, other = (SharedStorage(address, tmp_path / name, lease=0.6) for name in ("gone", "other"))
    monkeypatch.setattr(gone, "_beat", lambda seat, ended: None)  # as a machine without power
    held = gone.lock("running/locks/a")
    assert held.__enter__()
    with other.lock("running/locks/a") as mine:
        assert not mine
    with other.lock("running/locks/a", wait=10) as mine:
        assert mine
        with gone.lock("running/locks/a") as again:
            assert not again


def test_a_lock_that_is_held_for_longer_than_its_lease_stays_held(address, tmp_path):
    one, other = (SharedStorage(address, tmp_path / name, lease=0.3) for name in ("one", "other"))
    with one.lock("running/locks/a") as mine, other.lock("running/locks/a", wait=1.0) as theirs:
        assert (mine, theirs) == (True, False)


def test_of_many_who_ask_for_a_free_lock_one_has_it(address, tmp_path):
    ready, had = threading.Barrier(8), []

    def ask(number):
        mine = SharedStorage(address, tmp_path / str(number))
        ready.wait()
        with mine.lock("running/locks/a") as held:
            had.append(held)
            ready.wait()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(had) == [False] * 7 + [True]


def test_a_storage_that_stays_away_is_one_sentence(storage, monkeypatch):
    def away(*args, **options):
        raise ConnectionResetError("the network is down")

    monkeypatch.setenv(PATIENCE_SETTING, "0.5")
    monkeypatch.setattr(storage._files, "pipe_file", away)
    with pytest.raises(StoreError, match=r"shared storage memory://.* cannot be used \(the network is down\)"):
        storage.put("recordings/a/one", b"1")


def test_a_long_wait_is_said_once(storage, monkeypatch, caplog):
    calls = []

    def away_at_first(path, content):
        calls.append(path)
        if len(calls) < 6:
            raise ConnectionResetError("the network is down")

    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)
    monkeypatch.setattr(storage._files, "pipe_file", away_at_first)
    storage.put("recordings/a/one", b"1")
    assert len(calls) == 6
    assert [record.message for record in caplog.records] == [
        f"Waiting for the storage {storage.address}, which cannot be reached."
    ]


def test_what_waiting_does_not_mend_is_told_at_once(storage, monkeypatch):
    def refuse(*args, **options):
        raise PermissionError("Access Denied")

    monkeypatch.setattr(storage._files, "pipe_file", refuse)
    with pytest.raises(StoreError, match="Access Denied"):
        storage.put("recordings/a/one", b"1")


def test_an_address_that_fsspec_does_not_know_is_one_sentence(tmp_path):
    with pytest.raises(StoreError, match="moon://here cannot be used"):
        SharedStorage("moon://here", tmp_path)


def test_a_name_and_a_password_in_the_address_are_not_shown(tmp_path):
    assert SharedStorage("memory://me:secret@place/kept/", tmp_path).address == "memory://place/kept"
