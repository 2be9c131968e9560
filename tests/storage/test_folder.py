import pytest

from iclviz.errors import StoreError
from iclviz.storage.folder import FolderStorage
from tests.storage.conformance import StorageConformance, content, filled


class TestFolderStorage(StorageConformance):
    @pytest.fixture
    def storage(self, tmp_path):
        return FolderStorage(tmp_path / "cache", ("recordings", "unfinished", "discarded"))


@pytest.fixture
def storage(tmp_path):
    return FolderStorage(tmp_path / "cache", ("recordings", "discarded"))


@pytest.mark.parametrize("name", ["recordings/../../etc", "/etc/passwd", "recordings", "recordings/.hidden", ""])
def test_no_name_leads_out_of_the_folder(storage, name):
    with pytest.raises(ValueError, match="names no entry"):
        storage.get(name)


def test_every_groups_folder_is_there_with_the_first_entry(storage):
    filled(storage, "recordings/a", one=b"1")
    assert {path.name for path in storage.folder.iterdir()} == {"recordings", "discarded"}


def test_what_killed_writers_left_is_listed_and_is_no_entry(storage):
    filled(storage, "recordings/a", one=b"1")
    for path in (storage.folder / "recordings" / ".sealing-x" / "one", storage.folder / "recordings" / "a" / ".one-x"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    assert {path.name for path in storage.leftovers()} == {".sealing-x", ".one-x"}
    assert storage.names("recordings") == ["a"]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    storage = FolderStorage(tmp_path / "file")
    for attempt in (
        lambda: filled(storage, "recordings/a", one=b"1"),
        lambda: storage.put("recordings/a/one", b"1"),
        lambda: storage.lock("queue/locks/a").__enter__(),
    ):
        with pytest.raises(StoreError, match="cannot be written"):
            attempt()


def test_an_entry_outlives_a_reader_that_has_its_folder(storage):
    filled(storage, "recordings/a", one=b"1")
    with (storage.get("recordings/a") / "one").open("rb") as file:
        storage.delete("recordings/a")
        assert file.read() == b"1"
    assert content(storage, "recordings/a") == {}
