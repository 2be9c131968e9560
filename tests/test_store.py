import hashlib
import json
import pickle
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from iclviz.errors import StoreError
from iclviz.keys import Origin, key_of
from iclviz.recording import Recording
from iclviz.rows import DamagedName, DamagedRowError
from iclviz.spans import Mark, Span
from iclviz.spec import Demonstrations, RunSpec, digest
from iclviz.store import Store
from tests.storage.memory import MemoryStorage

SPEC = RunSpec("m", "linear_regression", Demonstrations("correct", 2), 2)
VERSIONS = {"task": 1, "prompts": 1, "capture": 1}


def origin(model="a model"):
    return Origin("linear_regression", model, False, VERSIONS)


KEY = key_of(SPEC, origin())
OTHER = key_of(SPEC, origin("another model"))
TOKEN_TABLES = ("token_attention", "token_attention_last")

WITH_TOKENS = SPEC.with_(attention_items=(1,))
TOKENS_KEY = key_of(WITH_TOKENS, origin())


def recording(model="a model", spec=SPEC, **changes):
    rng = np.random.default_rng(0)
    values = {
        "spec": spec,
        "origin": origin(model),
        "key": key_of(spec, origin(model)),
        "item_ids": ["one", "two"],
        "prompts": ["a 😀", "b"],
        "responses": [" 1\n", " x"],
        "answers": ["1", "2"],
        "parsed": ["1", None],
        "prompt_ids": [[1, 2], [3]],
        "response_ids": [[4, 5], [6]],
        "tokens": [["a", " 😀", " 1", "\n"], ["b", " x"]],
        "spans": [[Span("question", 0, 2), Span("response", 2, 4)], [Span("question", 0, 1), Span("response", 1, 2)]],
        "query_start": np.array([0, 0]),
        "labels": {"line": np.array(["p", "q"]), "x": np.array([1.0, 2.0])},
        "scores": {"log_accuracy": np.array([1.0, -2.0]), "absolute_error": np.array([0.0, np.nan])},
        "groups": {"line": np.array(["one", "two"])},
        "covariates": {"size": np.array([1.0, 2.0])},
        "hypotheses": {"same": np.eye(2)},
        "embeddings": {"mean": rng.normal(size=(2, 3, 4)).astype(np.float32)},
        "attention": {"question": np.ones((2, 2, 2), np.float32)},
        "attention_last": {"question": np.ones((2, 2, 2), np.float32)},
        "span_lengths": {"question": np.array([2, 1])},
        "timing": {"total": 1.5},
        "environment": {"device": "cpu"},
    }
    return Recording(**{**values, **changes})


def with_tokens():
    """A recording that keeps the attention of its second item, of two tokens, token by token."""
    masses = np.array([0.25, 0.75], np.float16) * np.ones((2, 2, 1), np.float16)
    return recording(spec=WITH_TOKENS, token_attention={1: masses}, token_attention_last={1: masses[..., ::-1]})


@pytest.fixture
def store(own_cache):
    return Store(own_cache)


def test_a_recording_comes_back_as_it_was_saved(store):
    saved = recording()
    store.save(saved, "log_accuracy")
    back = store.load(KEY)
    assert back.spec == saved.spec
    for name in ("item_ids", "prompts", "responses", "answers", "parsed", "prompt_ids", "tokens", "spans", "timing"):
        assert getattr(back, name) == getattr(saved, name), name
    for table in ("labels", "scores", "groups", "covariates", "hypotheses", "attention", "span_lengths"):
        for name, values in getattr(saved, table).items():
            np.testing.assert_array_equal(getattr(back, table)[name], values)
            assert getattr(back, table)[name].dtype.kind == values.dtype.kind
    np.testing.assert_allclose(back.embeddings["mean"], saved.embeddings["mean"], rtol=1e-3)
    assert back.embeddings["mean"].dtype == np.float16


def test_marks_come_back_as_they_were_saved(store):
    marks = [[Mark("demonstration:0", 0, 2), Mark("answer:0", 1, 2)], []]
    store.save(recording(marks=marks), "log_accuracy")
    assert store.load(KEY).marks == marks


def test_a_recording_without_marks_has_none_of_any_item(store):
    store.save(recording(), "log_accuracy")
    assert "marks" not in json.loads((store.place(KEY) / "recording.json").read_text())
    assert store.load(KEY).marks == [[], []]


@pytest.mark.parametrize(
    "mark", [("answer:0", 0, 3), ("answer:0", 1, 1), ("answer:0", -1, 1), ("../x", 0, 1), ("a" * 99, 0, 1), (3, 0, 1)]
)
def test_a_mark_that_does_not_fit_its_prompt_is_refused(store, mark):
    store.save(recording(marks=[[Mark(*mark)], []]), "log_accuracy")
    with pytest.raises(StoreError, match="a mark of item 0 does not fit"):
        store.load(KEY)


def test_attention_token_by_token_comes_back_as_it_was_saved(store):
    saved = with_tokens()
    store.save(saved, "log_accuracy")
    back = store.load(TOKENS_KEY)
    for table in TOKEN_TABLES:
        assert list(getattr(back, table)) == [1]
        np.testing.assert_array_equal(getattr(back, table)[1], getattr(saved, table)[1])
        assert getattr(back, table)[1].dtype == np.float16
        with pytest.raises(KeyError):
            getattr(back, table)[0]


def test_attention_token_by_token_is_not_read_before_it_is_asked_for(store):
    store.save(with_tokens(), "log_accuracy")
    file = store.place(TOKENS_KEY) / "tokens.safetensors"
    content = file.read_bytes()
    file.unlink()
    opened = store.load(TOKENS_KEY)
    assert dict.fromkeys(opened.token_attention) == {1: None}
    with pytest.raises(StoreError, match="missing"):
        store.verify(TOKENS_KEY)
    file.write_bytes(content)
    assert opened.token_attention[1].shape == (2, 2, 2)


def test_a_recording_without_attention_items_has_the_bytes_that_it_had_before_there_were_any(store):
    store.save(recording(), "log_accuracy")
    known = {
        "arrays.safetensors": "9a06417c7ba83a2086f8983bd307ebdc",
        "embeddings.mean.safetensors": "201882c01499dceecc4f8de499205af7",
        "recording.json": "451e4d52468e257b7e8b8325f5a871e6",
    }
    files = {path.name: path.read_bytes() for path in store.place(KEY).iterdir()}
    assert files.keys() == known.keys() | {"run.json", "manifest.json"}
    assert {name: hashlib.blake2b(files[name], digest_size=16).hexdigest() for name in known} == known
    assert dict(store.load(KEY).token_attention) == {}


def test_one_layer_can_be_read_alone(store):
    store.save(recording(), "log_accuracy")
    stored = store.load(KEY).embeddings
    np.testing.assert_array_equal(stored.layer("mean", 1), stored["mean"][:, 1])


def test_what_float16_cannot_hold_is_kept_in_float32(store):
    large = np.full((2, 3, 4), 1e5, np.float32)
    store.save(recording(embeddings={"mean": large}), "log_accuracy")
    np.testing.assert_array_equal(store.load(KEY).embeddings["mean"], large)


def test_the_same_recording_gives_the_same_bytes(store, tmp_path):
    other = Store(tmp_path / "other")
    store.save(recording(), "log_accuracy")
    other.save(recording(timing={"total": 99.0}), "log_accuracy")
    for name in ("recording.json", "arrays.safetensors", "embeddings.mean.safetensors"):
        files = [s.folder / "recordings" / KEY / name for s in (store, other)]
        assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("name", ["recording.json", "arrays.safetensors", "run.json", "embeddings.mean.safetensors"])
def test_a_flipped_byte_is_noticed(store, name):
    store.save(recording(), "log_accuracy")
    path = store.folder / "recordings" / KEY / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged"):
        store.load(KEY).embeddings["mean"]


def test_a_flipped_byte_of_attention_token_by_token_is_noticed(store):
    store.save(with_tokens(), "log_accuracy")
    path = store.place(TOKENS_KEY) / "tokens.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    for look in (lambda: store.load(TOKENS_KEY).token_attention[1], lambda: store.verify(TOKENS_KEY)):
        with pytest.raises(StoreError, match="damaged"):
            look()


def test_a_missing_recording_says_how_to_list_them(store):
    with pytest.raises(StoreError, match="iclviz runs"):
        store.load(digest("another"))


@pytest.mark.parametrize("key", ["../../etc", "", "a/b", "é"])
def test_a_key_cannot_name_a_folder_outside(store, key):
    with pytest.raises(StoreError):
        store.load(key)


def test_a_short_key_is_enough_where_it_is_unambiguous(store):
    store.save(recording(), "log_accuracy")
    assert store.full_key(KEY[:6]) == KEY
    with pytest.raises(StoreError):
        store.full_key("")


def test_an_interrupted_save_leaves_no_recording(store, monkeypatch):
    monkeypatch.setattr("iclviz.recorded.write_atomically", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        store.save(recording(), "log_accuracy")
    assert KEY not in store
    assert list((store.folder / "recordings").iterdir()) == []


def test_a_recording_that_is_not_in_the_index_is_listed_again(store):
    store.save(recording(), "log_accuracy")
    del store.index[f"run:{KEY}"]
    assert [entry.key for entry in store.summaries()] == [KEY]


def test_summaries_tell_the_main_score(store):
    store.save(recording(), "log_accuracy")
    assert store.summaries()[0].mean_score == -0.5


def test_a_deleted_recording_is_gone(store):
    store.save(recording(), "log_accuracy")
    store.delete(KEY)
    assert KEY not in store
    assert store.summaries() == []


class Trap:
    def __reduce__(self):
        return (print, ("unpickled",))


@pytest.mark.parametrize("column", ["value", "key"])
def test_a_pickled_row_of_the_index_is_never_unpickled(store, column, capsys):
    store.index["bait"] = 1
    poison = sqlite3.Binary(pickle.dumps(Trap()))
    with sqlite3.connect(store.folder / "index" / "cache.db") as database:
        if column == "value":
            database.execute("UPDATE Cache SET mode = 4, value = ?", (poison,))
        else:
            database.execute("UPDATE Cache SET raw = 0, key = ?", (poison,))
    if column == "value":
        with pytest.raises(DamagedRowError):
            store.index["bait"]
    (name,) = store.index
    assert isinstance(name, DamagedName) is (column == "key")
    del store.index[name]
    assert list(store.index) == []
    assert "unpickled" not in capsys.readouterr().out


def facts(*items):
    return {"items": list(items), "response_ids": [], "candidate_logprobs": [], "seconds": {}}


def test_finished_pieces_come_back_and_damaged_ones_do_not(store):
    unfinished = store.unfinished(KEY)
    unfinished.save_piece(0, {"a": np.arange(4)}, facts(0, 2))
    unfinished.save_piece(1, {"a": np.arange(2)}, facts(1))
    (arrays, said), (_, others) = unfinished.pieces()
    np.testing.assert_array_equal(arrays["a"], np.arange(4))
    assert (said, others) == (facts(0, 2), facts(1))
    path = unfinished.folder / "piece-00000.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert [said for _, said in unfinished.pieces()] == [facts(1)]


def test_export_copies_checked_recordings(store, tmp_path):
    store.save(recording(), "log_accuracy")
    store.export([KEY], tmp_path / "out")
    assert json.loads((tmp_path / "out" / KEY / "recording.json").read_text())["item_ids"] == ["one", "two"]
    (store.folder / "recordings" / KEY / "embeddings.mean.safetensors").write_bytes(b"damaged")
    with pytest.raises(StoreError, match="damaged"):
        store.export([KEY], tmp_path / "again")


def test_a_cache_folder_that_is_a_file_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        Store(tmp_path / "file")


def test_a_full_disk_is_one_sentence_and_leaves_nothing_half(store, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("iclviz.recorded.save_file", full)
    with pytest.raises(StoreError, match="No space left on device"):
        store.save(recording(), "log_accuracy")
    assert KEY not in store


@pytest.fixture
def read_only(store, monkeypatch):
    """A cache whose index cannot be opened, as on a read-only or full disk."""
    store.save(recording(), "log_accuracy")

    def refuse(*arguments, **options):
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr("iclviz.rows.Cache", refuse)
    return Store(store.folder)


def test_a_cache_that_cannot_be_written_can_still_be_read(read_only):
    assert [entry.key for entry in read_only.summaries()] == [KEY]
    assert read_only.load(KEY).item_ids == ["one", "two"]
    read_only.memo["file"] = 1
    assert read_only.memo.get("file") is None


def test_a_recording_can_be_deleted_where_the_index_cannot_be_written(read_only):
    read_only.delete(KEY)
    assert KEY not in read_only


def test_an_index_that_is_no_database_is_set_aside(store):
    store.save(recording(), "log_accuracy")
    store.index.close()
    (store.folder / "index" / "cache.db").write_bytes(b"garbage" * 100)
    assert [entry.key for entry in Store(store.folder).summaries()] == [KEY]


@pytest.mark.parametrize("name", ["run.json", "manifest.json"])
def test_one_damaged_recording_does_not_hide_the_others(store, name):
    store.save(recording(), "log_accuracy")
    store.save(recording("another model"), "log_accuracy")
    (store.folder / "recordings" / KEY / name).write_text("[]")
    del store.index[f"run:{KEY}"]
    assert OTHER in [entry.key for entry in store.summaries()]
    with pytest.raises(StoreError, match="damaged"):
        store.load(KEY)


def test_a_missing_file_of_a_recording_is_one_sentence(store):
    store.save(recording(), "log_accuracy")
    (store.folder / "recordings" / KEY / "embeddings.mean.safetensors").unlink()
    with pytest.raises(StoreError, match="damaged"):
        store.load(KEY).embeddings["mean"]


def test_loading_needs_no_torch(store):
    store.save(recording(), "log_accuracy")
    code = f"""
import sys, iclviz
recording = iclviz.load({KEY!r})
assert recording.embeddings["mean"].shape == (2, 3, 4)
assert not {{"torch", "transformers", "streamlit"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_recording_that_a_sample_of_weights_told_is_listed_as_such_also_from_older_rows(own_cache):
    store = Store(own_cache)
    sampled = recording("0" * 32)
    store.save(sampled, "log_accuracy")
    store.save(recording(), "log_accuracy")
    assert {entry.key: entry.by_sample for entry in store.summaries()} == {sampled.key: True, KEY: False}
    row = f"run:{sampled.key}"
    store.index[row] = {name: value for name, value in store.index[row].items() if name != "by_sample"}
    assert store.summary(sampled.key).by_sample
    assert store.load(sampled.key).by_sample
    assert "by_sample" not in json.loads((store.place(sampled.key) / "run.json").read_text())["summary"]


@pytest.fixture(params=["folder", "memory"])
def anywhere(request, own_cache, tmp_path):
    """A store whose recordings lie in the cache folder, or in a storage of another kind."""
    return Store(own_cache, None if request.param == "folder" else MemoryStorage(tmp_path / "local"))


def test_a_recording_is_saved_listed_loaded_and_deleted_wherever_it_lies(anywhere):
    saved = recording()
    anywhere.save(saved, "log_accuracy")
    anywhere.save(recording("another model"), "log_accuracy")
    assert {entry.key for entry in anywhere.summaries()} == {KEY, OTHER}
    assert anywhere.full_key(KEY[:8]) == KEY
    np.testing.assert_allclose(anywhere.load(KEY).embeddings["mean"], saved.embeddings["mean"], atol=2e-3)
    anywhere.verify(KEY)
    anywhere.delete(KEY)
    assert (KEY in anywhere, OTHER in anywhere) == (False, True)
    assert [entry.key for entry in anywhere.summaries()] == [OTHER]
    with pytest.raises(StoreError, match="holds no recording"):
        anywhere.load(KEY)


@pytest.mark.parametrize("name", ["recording.json", "arrays.safetensors", "run.json", "manifest.json"])
def test_a_damaged_file_is_noticed_wherever_it_lies(anywhere, name):
    anywhere.save(recording(), "log_accuracy")
    anywhere.attach(KEY, name, b"damaged")
    with pytest.raises(StoreError, match="damaged"):
        anywhere.verify(KEY)


def test_an_interrupted_save_leaves_what_was_there_wherever_it_lies(anywhere, monkeypatch):
    anywhere.save(recording(), "log_accuracy")
    monkeypatch.setattr("iclviz.recorded.write_atomically", lambda *arguments: 1 / 0)
    for one in (recording(item_ids=["three", "four"]), recording("another model")):
        with pytest.raises(ZeroDivisionError):
            anywhere.save(one, "log_accuracy")
    assert anywhere.load(KEY).item_ids == ["one", "two"]
    assert [entry.key for entry in anywhere.summaries()] == [KEY]


def test_of_two_writers_of_one_recording_one_is_there_whole(anywhere):
    with ThreadPoolExecutor(2) as pool:
        saves = [pool.submit(anywhere.save, recording(), "log_accuracy") for _ in range(10)]
        for one in saves:
            one.result()
    anywhere.verify(KEY)
    assert [entry.key for entry in anywhere.summaries()] == [KEY]


def test_a_recording_is_exported_and_taken_in_wherever_it_lies(anywhere, tmp_path):
    anywhere.save(recording(), "log_accuracy")
    anywhere.export([KEY], tmp_path / "out")
    anywhere.delete(KEY)
    assert anywhere.adopt(tmp_path / "out" / KEY)
    assert not anywhere.adopt(tmp_path / "out" / KEY)
    anywhere.verify(KEY)
    (tmp_path / "out" / KEY / "run.json").write_bytes(b"{}")
    anywhere.delete(KEY)
    with pytest.raises(StoreError, match="damaged"):
        anywhere.adopt(tmp_path / "out" / KEY)
    assert anywhere.summaries() == []


def test_a_discarded_recording_comes_back_wherever_it_lies(anywhere):
    anywhere.save(recording(), "log_accuracy")
    anywhere.discard(KEY)
    assert (anywhere.summaries(), anywhere.discarded()) == ([], [KEY])
    anywhere.restore(KEY)
    assert ([entry.key for entry in anywhere.summaries()], anywhere.discarded()) == ([KEY], [])
    anywhere.verify(KEY)


def test_pieces_of_a_run_and_its_plan_come_back_wherever_they_lie(anywhere):
    unfinished = anywhere.unfinished(KEY)
    assert (unfinished.exists, unfinished.plan(), unfinished.pieces()) == (False, None, [])
    unfinished.save_piece(1, {"a": np.arange(2)}, facts(1))
    unfinished.save_piece(0, {"a": np.arange(4)}, facts(0))
    assert [said["items"] for _, said in anywhere.unfinished(KEY).pieces()] == [[0], [1]]
    assert anywhere.unfinished_keys() == [KEY]
    anywhere.storage.put(f"unfinished/{KEY}/piece-00000.safetensors", b"damaged")
    assert [said["items"] for _, said in unfinished.pieces()] == [[1]]
    unfinished.forget()
    assert not unfinished.exists


def test_of_recordings_of_one_run_the_one_that_keeps_all_is_listed(store):
    for spec in (SPEC, WITH_TOKENS):
        store.save(recording(spec=spec), "log_accuracy")
    (run,) = store.runs()
    assert (run.entry.key, run.keys) == (TOKENS_KEY, (TOKENS_KEY, KEY))
    store.save(recording(spec=SPEC.with_(attention_items=(0,))), "log_accuracy")
    assert len(store.runs()) == 2  # neither keeps what the other does


def test_recordings_of_other_weights_or_versions_are_other_runs(store):
    store.save(recording("another model"), "log_accuracy")
    store.save(recording(spec=WITH_TOKENS), "log_accuracy")
    assert len(store.runs()) == 2
    newer = replace(origin(), versions={**VERSIONS, "capture": 2})
    store.save(replace(recording(), origin=newer, key=key_of(SPEC, newer)), "log_accuracy")
    assert len(store.runs()) == 3
