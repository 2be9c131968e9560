import pytest

from iclviz.errors import StoreError
from iclviz.storage.folder import FolderStorage
from iclviz.storage.named import MIRROR, SETTING, named_storage
from iclviz.storage.shared import SharedStorage
from iclviz.store import Store
from tests.storage.conformance import filled

GROUPS = ("recordings",)


def test_without_a_setting_everything_lies_in_the_cache_folder(tmp_path):
    found = named_storage(tmp_path, GROUPS)
    assert isinstance(found, FolderStorage)
    assert (found.folder, found.is_shared) == (tmp_path, False)


@pytest.mark.parametrize("beginning", ["", "file://"])
def test_a_folder_is_used_as_it_is(tmp_path, monkeypatch, beginning):
    monkeypatch.setenv(SETTING, f"{beginning}{tmp_path / 'shared'}")
    found = named_storage(tmp_path / "cache", GROUPS)
    assert isinstance(found, FolderStorage)
    assert (found.folder, found.is_shared) == (tmp_path / "shared", True)


def test_an_address_has_its_copies_in_the_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(SETTING, f"memory://{tmp_path.name}")
    found = named_storage(tmp_path, GROUPS)
    assert isinstance(found, SharedStorage)
    filled(found, "recordings/a", one=b"1")
    assert found.get("recordings/a").is_relative_to(tmp_path / MIRROR)


def test_a_part_of_a_path_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv(SETTING, "shared/recordings")
    with pytest.raises(StoreError, match="is no whole path"):
        named_storage(tmp_path, GROUPS)


def test_a_store_of_the_setting_keeps_tables_alone_in_the_cache_folder(tmp_path, own_cache, monkeypatch):
    monkeypatch.setenv(SETTING, str(tmp_path / "shared"))
    store = Store()
    filled(store.storage, "recordings/a", one=b"1")
    assert store.index is not None
    assert not (own_cache / "recordings").exists()
    assert (tmp_path / "shared" / "recordings" / "a").is_dir()
