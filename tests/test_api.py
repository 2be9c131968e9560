import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest

import iclviz
from iclviz import api
from iclviz.errors import UserError
from iclviz.fields import changes
from iclviz.jobs.computing import ModelKeeper, compute_together
from iclviz.jobs.queue import Queue
from iclviz.jobs.running import compute_jobs
from iclviz.resolve import resolve, run_together
from iclviz.spec import Demonstrations, RunSpec
from iclviz.store import Store

SMALL = {"task": "reading_comprehension", "demonstrations": Demonstrations("correct", 1), "n_items": 6}


@pytest.fixture
def model(tiny_model):
    return str(tiny_model)


def test_the_same_spec_again_is_answered_from_the_cache(model, monkeypatch):
    first = iclviz.run(model, **SMALL)
    monkeypatch.setattr("iclviz.api._compute_or_wait", lambda *arguments: pytest.fail("computed again"))
    assert iclviz.run(model, **SMALL).key == first.key


def test_defaults_and_their_written_values_have_one_key(model):
    assert iclviz.run(model, **SMALL).key == iclviz.run(model, **SMALL, prompt_style="plain", max_new_tokens=8).key


def test_reading_large_files_of_a_model_shows_how_far_it_is(model, monkeypatch):
    told = []

    @contextmanager
    def shown(title, wanted=None):
        yield lambda progress: told.append(progress.stage)

    monkeypatch.setattr("iclviz.models.identity.SHOWN_BYTES", 1)
    monkeypatch.setattr("iclviz.api.showing", shown)
    iclviz.run(model, **SMALL)
    assert told[0].startswith("reading the model's files, ")


def test_k_zero_and_no_demonstrations_have_one_key(model):
    without = [Demonstrations("none"), Demonstrations("correct", 0), Demonstrations("shuffled", 0, 4)]
    keys = {resolve(RunSpec(model, "reading_comprehension", shown, 6)).key for shown in without}
    assert len(keys) == 1


def test_attention_is_kept_token_by_token_of_the_items_that_are_named(model):
    recording = iclviz.run(model, **SMALL, attention_items=(4, 1, 1))
    assert tuple(recording.token_attention) == tuple(recording.token_attention_last) == (1, 4)
    for masses in (recording.token_attention, recording.token_attention_last):
        assert masses[4].shape == (3, 4, len(recording.tokens[4]))
    assert iclviz.run(model, **SMALL, attention_items=[1, 4]).key == recording.key
    assert iclviz.run(model, **SMALL).key != recording.key


def test_items_pair_over_conditions(model):
    shown = iclviz.run(model, **SMALL)
    bare = iclviz.run(model, **{**SMALL, "demonstrations": Demonstrations("none")})
    assert shown.item_ids == bare.item_ids
    assert shown.key != bare.key


def test_a_changed_weight_file_changes_the_key(tiny_model, tmp_path):
    import shutil

    copy = shutil.copytree(tiny_model, tmp_path / "copy")
    spec = RunSpec(str(copy), **SMALL)
    before = resolve(spec).key
    config = copy / "config.json"
    config.write_text(config.read_text().replace('"rms_norm_eps": 1e-06', '"rms_norm_eps": 2e-06'))
    assert resolve(spec).key != before


def test_runs_and_load_find_what_was_run(model):
    recording = iclviz.run(model, **SMALL)
    assert [entry.key for entry in iclviz.runs()] == [recording.key]
    assert iclviz.load(recording.key[:8]).item_ids == recording.item_ids


def test_a_sweep_answers_in_the_order_asked_and_checks_all_first(model):
    specs = [RunSpec(model, **{**SMALL, "seed": seed}) for seed in (1, 0)]
    assert [recording.spec.seed for recording in iclviz.sweep(specs)] == [1, 0]
    impossible = {**SMALL, "task": "linear_regression", "demonstrations": Demonstrations("correct", 100)}
    for wrong in (RunSpec("nonsense", **SMALL), RunSpec(model, **impossible)):
        with pytest.raises(UserError):
            iclviz.sweep([RunSpec(model, **{**SMALL, "seed": 7}), wrong])
    assert all(entry.spec.seed != 7 for entry in iclviz.runs())


def test_a_sweep_gives_what_its_runs_give_and_reads_shared_text_once(model, monkeypatch):
    import numpy as np

    from iclviz.capture import decoding
    from iclviz.capture.plan import tokens_read

    specs = [RunSpec(model, "linear_regression", Demonstrations("correct", k), 24) for k in (1, 4, 16)]
    plans, original = [], decoding.plan_batches

    def seen(*arguments, **options):
        plans.append(original(*arguments, **options))
        return plans[-1]

    monkeypatch.setattr(decoding, "plan_batches", seen)

    def results():
        for recording in found:
            yield recording.key, recording.response_ids, recording.embeddings["mean"], recording.attention["relevant"]

    found = iclviz.sweep(specs)
    together = list(results())
    for spec in specs:
        Store().delete(resolve(spec).key)
    found = [iclviz.run_spec(spec) for spec in specs]
    tokens = [tokens_read(plan) for plan in plans]
    assert len(tokens) == 4
    assert tokens[0] < 0.85 * sum(tokens[1:])
    for one, other in zip(together, results(), strict=True):
        assert one[:2] == other[:2]
        np.testing.assert_allclose(one[2], other[2], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(one[3], other[3], atol=1e-5)


def test_a_run_that_another_process_computes_is_waited_for(model):
    recording = iclviz.run(model, **SMALL)
    store = Store()
    queue = Queue(store)
    sealed = store.folder / "recordings" / recording.key
    aside = sealed.rename(store.folder / "aside")

    def finish():
        time.sleep(1.0)
        aside.rename(sealed)

    with queue.lease(recording.key):
        queue.submit(recording.spec, recording.key)
        threading.Thread(target=finish).start()
        waited = iclviz.run(model, **SMALL)
    assert waited.responses == recording.responses


def test_a_path_written_in_two_ways_is_one_run(model, monkeypatch):
    from pathlib import Path

    monkeypatch.chdir(Path(model).parent)
    keys = {resolve(RunSpec(name, **SMALL)).key for name in (model, f"{model}/", f"./{Path(model).name}")}
    assert len(keys) == 1


def test_where_a_run_is_computed_is_no_part_of_its_key(model):
    plain = resolve(RunSpec(model, **SMALL))
    placed = resolve(RunSpec(model, **SMALL, model_options={"device": "cpu"}))
    assert plain.key == placed.key


def test_an_unknown_model_option_is_refused_before_anything_is_queued(model):
    with pytest.raises(UserError, match="nope"):
        iclviz.run(model, **SMALL, model_options={"nope": 1})
    assert not Queue(Store()).jobs()


def test_a_failed_run_of_another_process_says_why(model):
    queue = Queue(Store())
    resolved = resolve(RunSpec(model, **SMALL))
    with queue.lease(resolved.key):
        queue.submit(resolved.spec, resolved.key)
        queue.finish(resolved.key, "failed", "the disk is full")
        with pytest.raises(UserError, match="the disk is full"):
            iclviz.run(model, **SMALL)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model": "nonsense"}, "nonsense"),
        ({"task": "nonsense"}, "linear_regression"),
        ({"demonstrations": Demonstrations("nonsense", 2)}, "shuffled"),
        ({"n_items": 10**7}, "Take n_items <="),
        ({"task_options": {"nonsense": 1}}, "statements"),
        ({"task": "mine.csv"}, "no task file 'mine.csv'"),
        ({"prompt_style": "chat"}, "no chat template"),
    ],
)
def test_a_wrong_request_is_one_sentence_and_leaves_no_run(model, changes, sentence):
    with pytest.raises(UserError, match=sentence):
        iclviz.run(**{"model": model, **SMALL, **changes})
    assert iclviz.runs() == []


def test_importing_is_light():
    code = """
import sys, time
start = time.perf_counter()
import iclviz
print(time.perf_counter() - start)
assert not {"torch", "streamlit", "transformers", "numpy"} & set(sys.modules)
"""
    seconds = float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
    assert seconds < 0.3


def test_every_public_name_is_there():
    for name in iclviz.__all__:
        assert getattr(iclviz, name) is not None
    with pytest.raises(AttributeError):
        _ = iclviz.nonsense


def test_a_sweep_runs_by_model_arithmetic_and_options(tiny_model):
    plain = RunSpec(str(tiny_model), **SMALL)
    specs = [
        plain,
        plain.with_(dtype="bfloat16"),
        plain.with_(model_options={"device": "cpu"}, demonstrations=Demonstrations("correct", 2)),
        plain.with_(demonstrations=Demonstrations("correct", 3)),
    ]
    groups = run_together([resolve(one) for one in specs])
    assert [len(group) for group in groups] == [2, 1, 1]


def test_a_new_field_that_changes_the_forward_pass_keeps_runs_apart(model):
    one = resolve(RunSpec(model, **SMALL))
    specs = [Steered.from_dict({**one.spec.to_dict(), "steering": steering, "seed": steering}) for steering in (0, 1)]
    asked = [replace(one, spec=spec, key=str(spec.steering)) for spec in specs]
    assert [[each.key for each in group] for group in run_together(asked)] == [["0"], ["1"]]
    with pytest.raises(ValueError, match="cannot be read together"):
        next(compute_together(asked, Store(), ModelKeeper()))


@dataclass(frozen=True)
class Steered(RunSpec):
    """A spec with one more field, which changes the forward pass."""

    steering: int = field(default=0, metadata=changes("forward", "steering"))


class Failing:
    """Puts jobs into the queue, where each fails a moment later, but for the last."""

    where, returns_at_once = "nowhere", True

    def __init__(self, queue):
        self.queue, self.asked = queue, []

    def submit(self, runs, asker="", tell=None):
        self.asked.append(list(runs))
        self.queue.submit_all(runs)
        for key in list(runs)[:-1]:
            self.queue.finish(key, "failed", "It cannot be.")
        for key in list(runs)[-1:]:
            compute_jobs([self.queue.get(key)], self.queue, ModelKeeper())

    def alive(self):
        return True


def test_a_run_that_fails_elsewhere_is_told_and_not_asked_for_again(model, monkeypatch):
    specs = [RunSpec(model, **SMALL).with_(n_items=n) for n in (6, 7)]
    failing = Failing(Queue(Store()))
    monkeypatch.setattr(api, "executor", lambda queue, default: failing)
    with pytest.raises(UserError, match="It cannot be"):
        iclviz.sweep(specs, progress=False)
    assert failing.asked == [[resolve(one).key for one in specs]]
    assert resolve(specs[1]).key in Store()
