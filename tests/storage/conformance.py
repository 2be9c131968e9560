"""What every storage promises; a storage's own tests take this class and give it the fixture `storage`."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest


def filled(storage, name, **files):
    with storage.putting(name) as folder:
        for file, content in files.items():
            (folder / file).write_bytes(content)


def content(storage, name):
    return {path.name: path.read_bytes() for path in storage.get(name).glob("*")}


class StorageConformance:
    def test_what_is_put_is_there_under_its_name(self, storage):
        filled(storage, "recordings/a", one=b"1", two=b"2")
        assert content(storage, "recordings/a") == {"one": b"1", "two": b"2"}
        assert "recordings/a" in storage
        assert "recordings/a/one" in storage
        assert "recordings/a/three" not in storage
        assert "recordings/b" not in storage
        assert not storage.get("recordings/b").exists()

    def test_an_entry_takes_the_place_of_one_of_its_name(self, storage):
        filled(storage, "recordings/a", one=b"1", two=b"2")
        filled(storage, "recordings/a", three=b"3")
        assert content(storage, "recordings/a") == {"three": b"3"}

    def test_nothing_is_there_before_all_of_it_is(self, storage):
        with storage.putting("recordings/a") as folder:
            (folder / "one").write_bytes(b"1")
            assert "recordings/a" not in storage
            assert storage.names("recordings") == []
            (folder / "two").write_bytes(b"2")
        assert content(storage, "recordings/a") == {"one": b"1", "two": b"2"}

    @pytest.mark.parametrize("before", [{}, {"old": b"0"}])
    def test_where_putting_fails_nothing_has_changed(self, storage, before):
        if before:
            filled(storage, "recordings/a", **before)

        def fails():
            with storage.putting("recordings/a") as folder:
                (folder / "one").write_bytes(b"1")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fails()
        assert content(storage, "recordings/a") == before
        assert storage.names("recordings") == (["a"] if before else [])
        assert storage.leftovers() == []

    def test_one_file_is_put_beside_others_whether_or_not_there_are_any(self, storage):
        storage.put("unfinished/a/plan.json", b"{}")
        storage.put("unfinished/a/piece-1.json", b"1")
        storage.put("unfinished/a/plan.json", b"{1}")
        assert content(storage, "unfinished/a") == {"plan.json": b"{1}", "piece-1.json": b"1"}

    def test_entries_are_listed_by_group(self, storage):
        for name in ("recordings/b", "recordings/a", "discarded/c"):
            filled(storage, name, one=b"1")
        assert storage.names("recordings") == ["a", "b"]
        assert storage.names("discarded") == ["c"]
        assert storage.names("unfinished") == []

    def test_entries_are_found_by_a_file_that_they_have(self, storage):
        filled(storage, "recordings/b", one=b"1")
        filled(storage, "recordings/a", one=b"1")
        storage.put("recordings/a/note.json", b"{}")
        assert storage.holding("recordings", "note.json") == ["a"]
        assert storage.holding("recordings", "one") == ["a", "b"]
        assert storage.holding("discarded", "one") == []

    def test_a_deleted_entry_or_file_is_gone_and_deleting_nothing_is_fine(self, storage):
        filled(storage, "recordings/a", one=b"1", two=b"2")
        storage.delete("recordings/a/one")
        storage.delete("recordings/a/three")
        assert content(storage, "recordings/a") == {"two": b"2"}
        storage.delete("recordings/a")
        storage.delete("recordings/a")
        assert "recordings/a" not in storage
        assert storage.names("recordings") == []
        assert storage.leftovers() == []

    def test_a_moved_entry_takes_the_place_of_another(self, storage):
        filled(storage, "recordings/a", one=b"1")
        filled(storage, "discarded/a", old=b"0")
        storage.move("recordings/a", "discarded/a")
        assert "recordings/a" not in storage
        assert content(storage, "discarded/a") == {"one": b"1"}
        storage.move("recordings/a", "discarded/a")
        assert content(storage, "discarded/a") == {"one": b"1"}

    def test_a_lock_is_one_holders_until_he_lets_it_go(self, storage):
        with storage.lock("queue/locks/a") as mine, storage.lock("queue/locks/a") as theirs:
            assert (mine, theirs) == (True, False)
            with storage.lock("queue/locks/b") as other:
                assert other
        with storage.lock("queue/locks/a") as free:
            assert free

    def test_who_waits_for_a_lock_has_it_when_it_is_let_go(self, storage):
        held, seen = threading.Event(), []

        def hold():
            with storage.lock("queue/locks/a"):
                held.set()
                seen.append("held")
                threading.Event().wait(0.3)
                seen.append("let go")

        thread = threading.Thread(target=hold)
        thread.start()
        assert held.wait(10)
        with storage.lock("queue/locks/a", wait=10) as mine:
            seen.append("mine" if mine else "never")
        thread.join()
        assert seen == ["held", "let go", "mine"]

    def test_of_two_writers_one_is_there_whole(self, storage):
        def write(number):
            text = str(number).encode()
            filled(storage, "recordings/a", **{f"file{place}": text for place in range(5)})

        def read(number):
            return set(content(storage, "recordings/a").values())

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(40)))
            assert len(read(0)) == 1
        assert len(content(storage, "recordings/a")) == 5
        assert storage.names("recordings") == ["a"]
        assert storage.leftovers() == []
