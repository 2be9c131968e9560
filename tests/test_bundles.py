import io
import shutil
import zipfile

import numpy as np
import pytest

from iclviz.bundles import import_bundle
from iclviz.curating import Annotation, annotate, annotation
from iclviz.errors import StoreError
from iclviz.store import Store
from tests.test_store import KEY, TOKENS_KEY, recording, with_tokens


@pytest.fixture
def exported(tmp_path):
    store = Store(tmp_path / "there")
    store.save(recording(), "log_accuracy")
    annotate(store, KEY, Annotation("Few points"))
    store.export([KEY], tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture
def store(own_cache):
    return Store(own_cache)


def _zipped(folder):
    return shutil.make_archive(str(folder.with_suffix("")), "zip", folder)


def test_a_folder_comes_in_with_its_annotation(exported, store):
    assert import_bundle(store, exported).new == (KEY,)
    store.verify(KEY)
    assert [entry.key for entry in store.summaries()] == [KEY]
    assert annotation(store, KEY).name == "Few points"


def test_an_uploaded_zip_file_does_the_same(exported, store):
    with open(_zipped(exported), "rb") as file:
        assert import_bundle(store, io.BytesIO(file.read())).new == (KEY,)
    store.verify(KEY)


@pytest.fixture
def exported_tokens(tmp_path):
    store = Store(tmp_path / "there")
    store.save(with_tokens(), "log_accuracy")
    store.export([TOKENS_KEY], tmp_path / "out")
    return tmp_path / "out"


def test_attention_token_by_token_comes_in_too(exported_tokens, store):
    with open(_zipped(exported_tokens), "rb") as file:
        import_bundle(store, io.BytesIO(file.read()))
    np.testing.assert_array_equal(store.load(TOKENS_KEY).token_attention[1], with_tokens().token_attention[1])


@pytest.mark.parametrize("harm", [lambda file: file.unlink(), lambda file: file.write_bytes(b"harm")])
def test_a_missing_or_changed_file_of_attention_token_by_token_is_refused(exported_tokens, store, harm):
    harm(exported_tokens / TOKENS_KEY / "tokens.safetensors")
    with pytest.raises(StoreError, match="Export it again"):
        import_bundle(store, exported_tokens)


def test_what_is_there_already_stays_as_it_is(exported, store):
    store.save(recording(), "log_accuracy")
    found = import_bundle(store, exported)
    assert (found.new, found.known) == ((), (KEY,))
    assert annotation(store, KEY) == Annotation()


@pytest.mark.parametrize("name", ["recording.json", "arrays.safetensors", "embeddings.mean.safetensors", "run.json"])
def test_a_changed_byte_is_refused_and_leaves_nothing(exported, store, name):
    file = exported / KEY / name
    content = bytearray(file.read_bytes())
    content[-2] ^= 1
    file.write_bytes(content)
    with pytest.raises(StoreError, match="Export it again"):
        import_bundle(store, exported)
    assert store.summaries() == []
    assert not list((store.folder / "recordings").iterdir())


def test_a_missing_file_is_refused(exported, store):
    (exported / KEY / "arrays.safetensors").unlink()
    with pytest.raises(StoreError, match="Export it again"):
        import_bundle(store, exported)


def test_a_folder_with_another_recordings_name_is_refused(exported, store):
    (exported / KEY).rename(exported / ("0" * len(KEY)))
    with pytest.raises(StoreError, match="its name"):
        import_bundle(store, exported)


def test_paths_that_lead_elsewhere_and_other_files_are_left_out(exported, store):
    archive = _zipped(exported)
    with zipfile.ZipFile(archive, "a") as file:
        for name in ("../escaped.json", "/etc/escaped.json", "tasks/../../escaped.json", f"{KEY}/script.py"):
            file.writestr(name, "harm")
    with open(archive, "rb") as file:
        import_bundle(store, io.BytesIO(file.read()))
    assert not list(store.folder.parent.rglob("escaped.json"))
    assert not (store.place(KEY) / "script.py").exists()


@pytest.mark.parametrize("content", [b"", b"no zip file at all"])
def test_what_is_no_bundle_is_refused_with_the_way_on(store, content):
    with pytest.raises(StoreError, match="iclviz export"):
        import_bundle(store, io.BytesIO(content))


def test_a_bundle_without_recordings_and_a_missing_place_are_refused(store, tmp_path):
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "empty", tmp_path / "missing.zip"):
        with pytest.raises(StoreError, match="iclviz export"):
            import_bundle(store, place)
