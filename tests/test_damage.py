"""What a cache holds is checked before it is believed: whatever is wrong with one thing, it is named, and the rest goes
on.
"""

import json
import os
import random
import shutil
from contextlib import suppress

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from iclviz.answers import Answers
from iclviz.curating import Annotation, annotate, annotation, annotation_problem
from iclviz.disk import checksum
from iclviz.errors import StoreError
from iclviz.formats import NewerError
from iclviz.jobs.analyst import Analyst
from iclviz.jobs.asked import Asked
from iclviz.jobs.queue import Queue
from iclviz.jobs.table import Progress
from iclviz.questions.question import Question
from iclviz.spec import Demonstrations, RunSpec, canonical_json, digest
from iclviz.store import Store
from tests.test_store import KEY, OTHER, TOKENS_KEY, recording, with_tokens

WRONG = [None, True, -1, 10**40, 1.5, float("nan"), "text", "\ud800", [], [[]], {}, {"a": {"b": []}}]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A cache with two recordings, saved once: waiting for the disk takes its time."""
    store = Store(tmp_path_factory.mktemp("saved") / "cache")
    store.save(recording(), "log_accuracy")
    store.save(recording("another model"), "log_accuracy")
    store.index.close()
    return store.folder


@pytest.fixture
def store(own_cache, saved):
    """A copy of that cache."""
    shutil.copytree(saved, own_cache)
    return Store(own_cache)


def forged(store, change, name="recording.json", key=KEY):
    """Change the JSON in a file of a recording, and make the checksums right again."""
    path = store.place(key) / name
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    rechecked(store, key)


def rechecked(store, key=KEY):
    manifest = store.place(key) / "manifest.json"
    said = json.loads(manifest.read_text())
    said["checksums"] = {name: checksum(store.place(key) / name) for name in said["checksums"]}
    manifest.write_text(canonical_json(said))
    del store.index[f"run:{key}"]


def refused(store):
    """That a recording is named as damaged and the other one is still there."""
    with pytest.raises(StoreError, match="damaged"):
        store.load(KEY)
    assert OTHER in [entry.key for entry in store.summaries()]
    store.load(OTHER)


FIELDS = ("spec", "spans", "words", "order", "item_ids", "prompts", "responses", "answers", "parsed", "prompt_ids",
          "response_ids", "tokens")  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_a_recording_with_a_wrong_type_in_it_is_damaged_and_the_others_go_on(store, field, value):
    forged(store, lambda content: content.update({field: value}))
    refused(store)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["tokens"][0].pop(),
        lambda content: content["responses"].pop(),
        lambda content: content["item_ids"].__setitem__(1, content["item_ids"][0]),
        lambda content: content["spans"][0][0].__setitem__(2, 10**9),
        lambda content: content["spans"][0][0].__setitem__(0, "no role"),
        lambda content: content["spans"][0].pop(),
        lambda content: content["prompt_ids"][0].__setitem__(0, -1),
        lambda content: content["order"]["embeddings"].__setitem__(0, "../../../etc/passwd"),
        lambda content: content["order"]["scores"].append("missing"),
        lambda content: content["words"].update({"labels/line": ["p"]}),
        lambda content: content["spec"].update({"n_items": 10**9}),
        lambda content: content["spec"].update({"unknown": 1}),
        lambda content: content["spec"]["demonstrations"].update({"k": 3}),
    ],
)
def test_a_recording_whose_parts_do_not_belong_together_is_damaged(store, change):
    forged(store, change)
    refused(store)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("query_start", np.array([0, 99])),
        ("query_start", np.array([0.0, 0.0])),
        ("scores/log_accuracy", np.zeros(3)),
        ("hypotheses/same", np.zeros((2, 3))),
        ("attention/question", np.ones((2, 2), np.float32)),
        ("attention/question", np.ones((3, 2, 2), np.float32)),
        ("attention/no_role", np.ones((2, 2, 2), np.float32)),
    ],
)
def test_arrays_of_another_shape_than_the_items_are_damage(store, name, values):
    path = store.place(KEY) / "arrays.safetensors"
    save_file({**load_file(path), name: values}, path)
    rechecked(store)
    refused(store)


def test_embeddings_of_another_number_of_layers_are_damage(store):
    save_file({"values": np.ones((2, 7, 4), np.float16)}, store.place(KEY) / "embeddings.mean.safetensors")
    rechecked(store)
    refused(store)


def test_a_header_that_promises_more_than_there_is_is_damage(store):
    path = store.place(KEY) / "arrays.safetensors"
    path.write_bytes((2**62).to_bytes(8, "little") + path.read_bytes()[8:])
    rechecked(store)
    refused(store)


@pytest.mark.parametrize("field", ["timing", "environment", "summary", "origin"])
@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_facts_of_a_run_of_a_wrong_type_are_damage(store, field, value):
    if (field, value) in (("origin", None), ("timing", {}), ("environment", {}), ("environment", {"a": {"b": []}})):
        return
    forged(store, lambda run: run.update({field: value}), "run.json")
    refused(store)


@pytest.mark.parametrize("field", ["key", "spec", "created", "size", "n_layers", "main_score", "mean_score"])
@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_a_summary_of_a_wrong_type_is_listed_as_damaged_and_can_be_removed(store, field, value):
    if field == "mean_score" and (value in (-1, 1.5, 10**40) or value != value):
        return
    if (field, value) in (("main_score", "text"), ("created", 1.5)):
        return
    forged(store, lambda run: run["summary"].update({field: value}), "run.json")
    assert [entry.key for entry in store.summaries()] == [OTHER]
    (one,) = store.ailing()
    assert (one.kind, one.name, one.is_newer) == ("recording", KEY, False)
    one.remove()
    assert KEY not in store
    assert not store.ailing()


def test_a_key_that_is_not_that_of_the_spec_is_damage(store):
    shutil.copytree(store.place(KEY), store.place(digest("forged")))
    forged(store, lambda run: run["summary"].update(key=digest("forged")), "run.json", digest("forged"))
    with pytest.raises(StoreError, match="not that of its spec"):
        store.load(digest("forged"))


@pytest.mark.parametrize("value", [*WRONG, b"", b"{", b"[" * 10_000, b"\xff" * 100], ids=repr)
def test_an_annotation_that_cannot_be_read_is_named_and_the_recording_is_there(store, value):
    path = store.place(KEY) / "annotation.json"
    path.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
    assert annotation(store, KEY) == Annotation()
    problem = annotation_problem(store, KEY)
    assert "damaged" in problem.problem
    assert len(store.summaries()) == 2
    problem.remove()
    assert annotation_problem(store, KEY) is None


def test_every_flipped_byte_of_an_annotation_is_noticed(store):
    annotate(store, KEY, Annotation("Few points", ("pilot",), "Note."))
    path = store.place(KEY) / "annotation.json"
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert annotation_problem(store, KEY) is not None
    path.write_bytes(whole)
    assert annotation(store, KEY) == Annotation("Few points", ("pilot",), "Note.")


def spec(k=2):
    return RunSpec("m", "linear_regression", Demonstrations("correct", k), 8)


JOB_FIELDS = ("key", "spec", "state", "created", "started", "finished", "progress", "error", "cancel_requested",
              "asker", "ends")  # fmt: skip


@pytest.mark.parametrize("field", JOB_FIELDS)
@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_a_job_of_a_wrong_type_is_named_and_can_be_removed_and_the_others_go_on(own_cache, field, value):
    if (value is None and field in ("started", "finished", "error")) or (field, value) in (
        ("error", "text"), ("asker", "text"), ("cancel_requested", True), ("created", 1.5), ("started", 1.5),
        ("finished", 1.5),
    ):  # fmt: skip
        return
    queue = Queue(Store(own_cache))
    for key in (KEY, OTHER):
        queue.submit(spec(), key)
    queue._jobs[KEY] = {**queue._jobs[KEY], field: value}
    assert [job.key for job in queue.jobs()] == [OTHER]
    assert queue.get(KEY) is None
    (one,) = queue.ailing()
    assert "damaged" in one.problem
    one.remove()
    assert not queue.ailing()


def test_a_damaged_job_can_be_asked_for_again(own_cache):
    queue = Queue(Store(own_cache))
    queue._jobs[KEY] = {"spec": 3}
    queue.submit(spec(), KEY)
    assert [job.key for job in queue.jobs()] == [KEY]


@pytest.mark.parametrize("field", ["analysis", "keys", "how"])
@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_a_question_of_a_wrong_type_ends_no_analyst(own_cache, field, value):
    if (field, value) in (("analysis", "text"), ("keys", []), ("how", {}), ("how", {"a": {"b": []}})):
        return
    asked = Asked(Store(own_cache))
    job = asked.submit(QUESTION, QUESTION.digest)
    values = job.to_dict()
    asked._jobs[QUESTION.digest] = {**values, "spec": {**values["spec"], field: value}}
    assert not Analyst(asked).answer_next()
    assert len(asked.ailing()) == 1


QUESTION = Question("alignment", (KEY,), {})


def test_a_damaged_answer_is_dropped_and_computed_again(own_cache):
    answers = Answers(Store(own_cache))
    answers.put(QUESTION, np.arange(100.0).repeat(1000))
    (path,) = (own_cache / "answers").rglob("*.val")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    assert list(answers.damaged()) == [QUESTION.digest]
    assert answers.get(QUESTION) is None
    assert QUESTION not in answers


def test_an_answer_that_has_lost_its_file_is_dropped(own_cache):
    answers = Answers(Store(own_cache))
    answers.put(QUESTION, np.arange(100.0).repeat(1000))
    for path in (own_cache / "answers").rglob("*.val"):
        path.unlink()
    assert answers.get(QUESTION) is None
    assert QUESTION not in answers


def test_a_flipped_row_of_the_index_is_dropped_and_listed_again(store):
    database = store.folder / "index" / "cache.db"
    whole = store.summary(KEY)
    store.index.close()
    for trial in range(60):
        content = bytearray(database.read_bytes())
        content[random.Random(trial).randrange(len(content))] ^= 1 << trial % 8
        kept = database.read_bytes()
        database.write_bytes(content)
        again = Store(store.folder)
        found = {entry.key: entry for entry in again.summaries()}
        assert found.keys() == {KEY, OTHER}
        assert found[KEY] == whole
        again.index.close()
        database.write_bytes(kept)


def test_an_index_of_another_recordings_summary_is_not_believed(store):
    store.index[f"run:{KEY}"] = store.index[f"run:{OTHER}"]
    assert store.summary(KEY).key == KEY


@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_a_remembered_file_of_a_wrong_type_is_read_again(store, tmp_path, value):
    from iclviz.models.identity import _remembered

    (tmp_path / "file.json").write_text("{}")
    store.memo[str(tmp_path / "file.json")] = value
    assert _remembered(tmp_path / "file.json", store.memo) is None


# Formats


@pytest.mark.parametrize("is_listed", [True, False])
def test_a_recording_of_a_newer_format_is_named_and_left_alone(store, is_listed):
    path = store.place(KEY) / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99, "news": 1}))
    if not is_listed:
        del store.index[f"run:{KEY}"]
    (one,) = store.ailing()
    assert one.is_newer
    assert "format 99" in one.problem
    assert "elete" not in one.problem
    with pytest.raises(NewerError, match="Update iclviz"):
        store.load(KEY)
    assert KEY in store


def test_a_recording_of_the_first_format_is_read_as_it_is(store):
    """It had no number, and nothing told what its key covers."""
    forged(store, lambda run: run.pop("origin"), "run.json")
    path = store.place(KEY) / "manifest.json"
    path.write_text(json.dumps({"checksums": json.loads(path.read_text())["checksums"]}))
    assert store.load(KEY).origin is None
    assert KEY in [entry.key for entry in store.summaries()]


def test_a_recording_of_todays_format_tells_its_origin(store):
    forged(store, lambda run: run.pop("origin"), "run.json")
    refused(store)


def test_an_annotation_of_the_first_format_is_read_and_one_of_a_newer_is_not_written_over(store):
    path = store.place(KEY) / "annotation.json"
    path.write_text(json.dumps({"name": "Old", "tags": ["a"], "note": ""}))
    assert annotation(store, KEY) == Annotation("Old", ("a",))
    newer = json.dumps({"name": "New", "colour": "red", "format": 99})
    path.write_text(newer)
    assert annotation_problem(store, KEY).is_newer
    with pytest.raises(NewerError):
        annotate(store, KEY, Annotation("Mine"))
    assert path.read_text() == newer


def test_a_job_of_a_newer_format_is_named_and_not_written_over(own_cache):
    queue = Queue(Store(own_cache))
    queue._jobs[KEY] = {"format": 99, "work": "of another kind"}
    (one,) = queue.ailing()
    assert one.is_newer
    with pytest.raises(NewerError):
        queue.submit(spec(), KEY)
    assert queue.next_sweep() == []


def test_a_job_of_the_first_format_is_read_as_it_is(own_cache):
    """It had no number, and did not count the processes that it ended."""
    queue = Queue(Store(own_cache))
    job = queue.submit(spec(), KEY)
    queue._jobs[KEY] = {name: value for name, value in job.to_dict().items() if name != "ends"}
    assert queue.get(KEY) == job


def test_a_plan_of_the_first_format_is_followed_and_a_newer_one_left_alone(store):
    unfinished = store.unfinished(KEY)
    plan = {
        "settings": {"token_budget": 4096, "threads": 2, "sharing": True, "pass_tokens": 64},
        "makers": {"way": "x"},
    }
    unfinished.save_plan(plan)
    assert unfinished.plan() == plan
    (unfinished.folder / "plan.json").write_text(json.dumps(plan))
    assert unfinished.plan() == plan
    (unfinished.folder / "plan.json").write_text(json.dumps({**plan, "format": 99}))
    with pytest.raises(NewerError):
        unfinished.plan()


def test_a_piece_of_the_first_format_is_gone_on_with(store):
    """It called the checksum of its arrays just that."""
    from tests.test_store import facts

    unfinished = store.unfinished(KEY)
    unfinished.save_piece(0, {"a": np.arange(4)}, facts(0))
    path = unfinished.folder / "piece-00000.json"
    path.write_text(json.dumps({**facts(0), "checksum": checksum(path.with_suffix(".safetensors"))}))
    ((_, said),) = unfinished.pieces()
    assert said == facts(0)
    path.write_text(path.read_text().replace("[0]", "[7]", 1) + " ")
    assert unfinished.pieces()


def test_every_flipped_byte_of_the_facts_of_a_piece_is_noticed(store):
    from tests.test_store import facts

    unfinished = store.unfinished(KEY)
    unfinished.save_piece(0, {"a": np.arange(4)}, facts(0, 3))
    path = unfinished.folder / "piece-00000.json"
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with suppress(NewerError):
            assert unfinished.pieces() == []


def test_progress_that_is_told_is_progress_that_is_read(own_cache):
    queue = Queue(Store(own_cache))
    queue.submit(spec(), KEY)
    queue.change(KEY, progress=Progress("running", 1, 8, 10.0, 2.5))
    assert queue.get(KEY).progress == Progress("running", 1, 8, 10.0, 2.5)


def test_attention_token_by_token_of_another_shape_is_not_imported(own_cache, tmp_path):
    there = Store(tmp_path / "there")
    there.save(with_tokens(), "log_accuracy")
    path = there.place(TOKENS_KEY) / "tokens.safetensors"
    save_file({name: values[..., :1] for name, values in load_file(path).items()}, path)
    rechecked(there, TOKENS_KEY)
    with pytest.raises(StoreError, match="Export it again"):
        Store(own_cache).adopt(there.place(TOKENS_KEY))


def test_half_of_a_recording_that_a_kill_left_hides_nothing_and_is_swept(store, tmp_path):
    store.export([KEY], tmp_path / "out")
    (store.place(KEY) / "manifest.json").unlink()
    assert [entry.key for entry in store.summaries()] == [OTHER]
    assert store.adopt(tmp_path / "out" / KEY)
    store.verify(KEY)
    (store.place(KEY) / "manifest.json").unlink()
    os.utime(store.place(KEY), (0, 0))
    store.sweep()
    assert not store.place(KEY).exists()
    assert OTHER in store
