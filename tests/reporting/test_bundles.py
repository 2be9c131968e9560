import io
import json
import os
import random
import shutil
import zipfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from iclviz.curating import Annotation, annotate, annotation
from iclviz.disk import checksum
from iclviz.errors import StoreError
from iclviz.formats import NewerError
from iclviz.keys import Origin, key_of
from iclviz.reporting.bundles import import_bundle, plan_import
from iclviz.store import Store
from iclviz.tasks import task
from iclviz.versions import CAPTURE, PROMPTS
from tests.test_store import KEY, OTHER, SPEC, TOKENS_KEY, recording, with_tokens


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


@pytest.mark.parametrize("top", ["", "my comparison/", "comparison/"])
def test_hidden_files_of_archivers_and_one_folder_around_are_fine(exported, store, tmp_path, top):
    archive = tmp_path / "again.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in exported.rglob("*.*"):
            file.write(path, f"{top}{path.relative_to(exported)}")
        for name in ("__MACOSX/._x", ".DS_Store", f"{top}.DS_Store", f"{top}{KEY}/._run.json", f"{top}Thumbs.db"):
            file.writestr(name, b"\x00\x05\x16\x07")
    found = plan_import(store, archive)
    assert (found.new, found.known, found.left_out) == ((KEY,), (), 0)
    assert import_bundle(store, archive).new == (KEY,)
    unpacked = tmp_path / "unpacked"
    zipfile.ZipFile(archive).extractall(unpacked)
    assert import_bundle(Store(tmp_path / "third"), unpacked).new == (KEY,)


def test_a_plan_says_what_would_be_done_and_does_nothing(exported, store):
    (exported / "rebuild.py").write_text("raise SystemExit")
    found = plan_import(store, exported)
    assert (found.new, found.left_out) == ((KEY,), 1)
    assert found.size > 1000
    assert "1 new recordings" in found.sentences()[0]
    assert store.summaries() == []


def deflated(path, name, zeros):
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, bytes(zeros))
    return path


def test_a_bundle_that_unpacks_to_far_more_than_it_is_is_refused(exported, store, monkeypatch):
    archive = deflated(_zipped(exported), f"{KEY}/tokens.safetensors", 20_000_000)
    monkeypatch.setattr("iclviz.reporting.bundles.SMALL_BYTES", 10**6)
    with pytest.raises(StoreError, match="times its size"):
        import_bundle(store, Path(archive))
    assert not list(store.folder.glob(".importing-*"))


def test_a_bundle_that_is_too_large_has_too_many_files_or_too_deep_folders_is_refused(exported, store, monkeypatch):
    archive = Path(_zipped(exported))
    monkeypatch.setattr("iclviz.reporting.bundles.MOST_BYTES", 1000)
    with pytest.raises(StoreError, match="unpacks to"):
        import_bundle(store, archive)
    monkeypatch.setattr("iclviz.reporting.bundles.MOST_FILES", 3)
    with pytest.raises(StoreError, match="files"):
        import_bundle(store, archive)
    monkeypatch.undo()
    deflated(archive, "/".join("a" * 40), 1)
    with pytest.raises(StoreError, match="deep"):
        import_bundle(store, archive)


def test_a_file_that_is_larger_than_its_archive_says_is_refused(exported, store):
    archive = Path(_zipped(exported))
    data = archive.read_bytes()
    size = (exported / KEY / "recording.json").stat().st_size.to_bytes(4, "little")
    assert data.count(size) >= 1
    archive.write_bytes(data.replace(size, (10).to_bytes(4, "little")))
    with pytest.raises(StoreError):
        import_bundle(store, archive)
    assert store.summaries() == []


def test_a_name_that_is_there_twice_is_refused(exported, store):
    archive = Path(_zipped(exported))
    with pytest.warns(UserWarning, match="Duplicate"):
        deflated(archive, f"{KEY}/run.json", 3)
    with pytest.raises(StoreError, match="twice"):
        import_bundle(store, archive)


@pytest.mark.parametrize("seed", range(60))
def test_a_bundle_with_changed_bytes_is_taken_whole_or_refused_in_a_sentence(exported, store, seed):
    archive = Path(_zipped(exported))
    data = bytearray(archive.read_bytes())
    rng = random.Random(seed)
    for _ in range(1 + seed % 4):
        data[rng.randrange(len(data))] = rng.randrange(256)
    archive.write_bytes(data[: len(data) if seed % 5 else rng.randrange(len(data))])
    with suppress(StoreError):
        for key in import_bundle(store, archive).new:
            store.verify(key)
    assert not list(store.folder.glob(".importing-*"))


def test_what_is_wrong_is_named_and_the_rest_is_taken_in(exported, store, tmp_path):
    there = Store(tmp_path / "more")
    there.save(recording("another model"), "log_accuracy")
    there.export([OTHER], exported)
    (exported / KEY / "run.json").write_text("{}")
    (exported / "tasks").mkdir()
    (exported / "tasks" / "wrong.json").write_text("[")
    found = import_bundle(store, exported)
    assert found.new == (OTHER,)
    assert found.refused.keys() == {KEY, "wrong.json"}


def test_links_in_a_folder_lead_nowhere(exported, store, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("{}")
    (exported / KEY / "annotation.json").unlink()
    (exported / KEY / "annotation.json").symlink_to(secret)
    import_bundle(store, exported)
    assert not (store.place(KEY) / "annotation.json").exists()


def test_a_bundle_of_a_newer_format_is_named(exported, store):
    (exported / "bundle.json").write_text('{"format": 99}')
    with pytest.raises(NewerError, match="format 99"):
        import_bundle(store, exported)


def without_origin(folder):
    """A recording as it was written before its origin was kept."""
    run = json.loads((folder / "run.json").read_text())
    del run["origin"]
    (folder / "run.json").write_text(json.dumps(run))
    sums = {path.name: checksum(path) for path in folder.iterdir() if path.name not in LOOSE}
    (folder / "manifest.json").write_text(json.dumps({"checksums": sums}))


LOOSE = ("manifest.json", "annotation.json")


def test_a_recording_of_the_first_format_comes_in_only_under_a_key_that_can_be_made(exported, store, tmp_path):
    without_origin(exported / KEY)
    with pytest.raises(StoreError, match="an older iclviz made"):
        import_bundle(store, exported)
    there, version = Store(tmp_path / "older"), task("linear_regression").version
    origin = Origin("linear_regression", "c" * 40, False, {"task": version, "prompts": PROMPTS, "capture": CAPTURE})
    key = key_of(SPEC, origin)
    model = {"model": {"identity": "c" * 40, "hub_id": "org/name"}}
    there.save(replace(recording(environment=model), key=key, origin=origin), "log_accuracy")
    there.export([key], tmp_path / "old")
    without_origin(tmp_path / "old" / key)
    assert import_bundle(store, tmp_path / "old").new == (key,)


def test_leftovers_of_imports_that_were_killed_are_swept(exported, store):
    left = store.folder / ".importing-old"
    left.mkdir(parents=True)
    (left / "file").write_text("x")
    os.utime(left, (0, 0))
    import_bundle(store, exported)
    assert not left.exists()
