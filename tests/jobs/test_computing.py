import copy
import json
import os
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from iclviz.capture.decoding import Decoding
from iclviz.capture.hugging_face import budget, end_tokens
from iclviz.errors import Cancelled, ModelError, SpecError, UserError
from iclviz.jobs import computing, progressing, sealing
from iclviz.jobs.computing import ModelKeeper, compute, compute_together
from iclviz.jobs.queue import Queue
from iclviz.jobs.running import compute_jobs
from iclviz.jobs.worker import work
from iclviz.models import loading
from iclviz.resolve import build, resolve, tokenized
from iclviz.spans import ROLES
from iclviz.spec import DEFAULT_POOLINGS, Demonstrations, RunSpec
from iclviz.store import Store
from iclviz.unfinished import Unfinished
from tests.oracles.capture import record_slowly

TOKEN_TABLES = ("token_attention", "token_attention_last")


@pytest.fixture
def spec(tiny_model):
    return RunSpec(
        str(tiny_model), "linear_regression", Demonstrations("correct", 3), 12, task_options={"distractor": True}
    )


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setenv("ICLVIZ_TOKEN_BUDGET", "300")


def stop_after_a_piece(resolved, store, keeper):
    unfinished = store.unfinished(resolved.key)
    with pytest.raises(Cancelled):
        compute(resolved, store, keeper, should_stop=lambda: bool(unfinished.pieces()))


def files(store, key):
    folder = store.folder / "recordings" / key
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in ("run.json", "manifest.json")}


def test_a_recording_holds_what_the_contract_says(store, keeper, spec):
    recording = compute(resolve(spec), store, keeper)
    n, layers, heads, width = 12, 3, 4, 32
    assert tuple(recording.embeddings) == DEFAULT_POOLINGS
    for values in recording.embeddings.values():
        assert values.shape == (n, layers + 1, width)
    for table in (recording.attention, recording.attention_last):
        assert tuple(table) == ROLES
        assert all(mass.shape == (n, layers, heads) and mass.dtype == np.float32 for mass in table.values())
        np.testing.assert_allclose(sum(table.values()), 1, atol=1e-5)
    for i in range(n):
        assert "".join(recording.tokens[i]) == recording.prompts[i] + recording.responses[i]
        total = len(recording.prompt_ids[i]) + len(recording.response_ids[i])
        assert len(recording.tokens[i]) == total
        assert [p for span in recording.spans[i] for p in range(span.start, span.end)] == list(range(total))
        query = "".join(recording.tokens[i][recording.query_start[i] : len(recording.prompt_ids[i])])
        assert query.startswith("f: x = ")
        assert sum(recording.span_lengths[role][i] for role in ROLES) == total
    for table in (recording.labels, recording.scores, recording.groups, recording.covariates):
        assert all(values.shape == (n,) for values in table.values())
    assert recording.environment["attention"] == "interface"
    assert recording.environment["attention_difference"] < 1e-5
    assert recording.environment["reach"] == [{}] * layers


def test_attention_is_averaged_up_to_the_end_of_the_parsed_answer(store, keeper, spec, monkeypatch):
    resolved = resolve(spec)
    recording = compute(resolved, store, keeper)
    whole, last = recording.attention["response"], recording.attention_last["response"]
    store.delete(resolved.key)
    monkeypatch.setattr(sealing, "tokens_until", lambda pieces, end: 1)
    first = compute(resolved, store, keeper)
    assert any(len(ids) > 1 for ids in recording.response_ids)
    assert not np.allclose(whole, first.attention["response"])
    np.testing.assert_array_equal(last, first.attention_last["response"])


ITEMS = (0, 5, 11)


@pytest.fixture
def by_token(spec):
    return resolve(spec.with_(attention_items=ITEMS))


@pytest.mark.usefixtures("small_batches")
def test_attention_token_by_token_is_averaged_from_full_matrices(store, keeper, by_token):
    recording = compute(by_token, store, keeper)
    loaded = keeper.get(by_token, store.memo).loaded
    prompts = tokenized(by_token, build(by_token), loaded.tokenizer, None)
    assert tuple(recording.token_attention) == tuple(recording.token_attention_last) == ITEMS
    for item in ITEMS:
        slow = record_slowly(loaded.model, prompts[item], recording.response_ids[item], recording.n_layers).token_rows
        answer = recording.responses[item][: by_token.task.parse(recording.responses[item]).end]
        n_rows, written = 0, ""
        while n_rows == 0 or len(written) < len(answer):
            written += recording.tokens[item][len(prompts[item]) + n_rows]
            n_rows += 1
        np.testing.assert_allclose(recording.token_attention[item], slow[1 : n_rows + 1].mean(0), atol=5e-4)
        np.testing.assert_allclose(recording.token_attention_last[item], slow[0], atol=5e-4)
        assert not recording.token_attention_last[item][..., len(prompts[item]) :].any()


def test_attention_token_by_token_sums_to_the_mass_of_each_role(store, keeper, by_token, monkeypatch):
    monkeypatch.setattr(sealing, "tokens_until", lambda pieces, end: 2)
    recording = compute(by_token, store, keeper)
    for table, tokens in zip(("attention", "attention_last"), TOKEN_TABLES, strict=True):
        for item, masses in getattr(recording, tokens).items():
            for role in ROLES:
                own = [p for span in recording.spans[item] if span.role == role for p in range(span.start, span.end)]
                mass = masses[..., own].astype(np.float32).sum(-1)
                np.testing.assert_allclose(mass, getattr(recording, table)[role][item], atol=2e-3)


def test_choosing_items_changes_nothing_else_that_is_stored(store, keeper, spec, by_token):
    plain = resolve(spec)
    for resolved in (plain, by_token):
        compute(resolved, store, keeper)
    with_tokens, without = (files(store, resolved.key) for resolved in (by_token, plain))
    assert with_tokens.keys() - without.keys() == {"tokens.safetensors"}
    assert all(with_tokens[name] == without[name] for name in without if name != "recording.json")


@pytest.mark.parametrize("items", [(), ITEMS])
@pytest.mark.usefixtures("small_batches")
def test_a_cancelled_run_goes_on_from_its_last_batch_to_the_same_bytes(store, keeper, spec, items, tmp_path):
    resolved = resolve(spec.with_(attention_items=items))
    other = Store(tmp_path / "other")
    compute(resolved, other, keeper)
    stop_after_a_piece(resolved, store, keeper)
    unfinished = store.unfinished(resolved.key)
    done = sum(len(facts["items"]) for _, facts in unfinished.pieces())
    assert 0 < done < 12
    seen = []
    compute(resolved, store, keeper, report=seen.append)
    assert min(progress.items_done for progress in seen if progress.seconds_left is not None) == done
    assert (seen[-1].stage, seen[-1].items_done) == ("saving", 12)
    assert files(store, resolved.key) == files(other, resolved.key)
    assert not unfinished.folder.exists()


@pytest.mark.usefixtures("small_batches")
def test_a_damaged_batch_is_run_again(store, keeper, spec):
    resolved = resolve(spec)
    stop_after_a_piece(resolved, store, keeper)
    piece = next(store.unfinished(resolved.key).folder.glob("piece-*.safetensors"))
    piece.write_bytes(b"damaged")
    assert compute(resolved, store, keeper).n_items == 12


def test_what_is_left_of_runs_that_were_read_together_is_computed_in_the_same_batches(
    store, keeper, spec, small_batches, tmp_path, monkeypatch
):
    pieces, save_piece = [], Unfinished.save_piece

    def noted(self, number, arrays, facts):
        pieces.append((self._name, facts["items"]))
        save_piece(self, number, arrays, facts)

    monkeypatch.setattr(Unfinished, "save_piece", noted)
    asked = [resolve(spec.with_(demonstrations=Demonstrations("correct", k))) for k in (1, 2, 3)]
    whole = Store(tmp_path / "whole")
    list(compute_together(asked, whole, keeper))
    expected, pieces[:] = sorted(pieces), []
    first, _ = next(stopped := compute_together(asked, store, keeper))
    stopped.close()
    left = [each for each in asked if each.key != first]
    assert [key in store for key in (first, left[0].key)] == [True, False]
    assert {key for key, _ in compute_together(left, store, keeper)} == {each.key for each in left}
    assert sorted(pieces) == expected
    assert [files(store, each.key) for each in asked] == [files(whole, each.key) for each in asked]
    together = sorted(each.key for each in asked)
    assert all(store.load(each.key).environment["together"] == together for each in asked)


def test_the_same_spec_gives_the_same_bytes_again(store, keeper, spec, tmp_path):
    resolved, other = resolve(spec), Store(tmp_path / "other")
    compute(resolved, store, keeper)
    compute(resolved, other, keeper)
    assert files(store, resolved.key) == files(other, resolved.key)


def test_a_prompt_longer_than_the_context_says_the_largest_k(store, keeper, spec):
    resolved = resolve(spec.with_(demonstrations=Demonstrations("correct", 19)))
    with pytest.raises(SpecError, match=r"k = 19 needs \d+ tokens; .* reads 256. Take k <= \d+") as error:
        compute(resolved, store, keeper)
    fits = int(str(error.value).rstrip(".").split()[-1])
    compute(resolve(spec.with_(demonstrations=Demonstrations("correct", fits))), store, keeper)


def test_the_model_is_kept_between_runs(store, spec, monkeypatch):
    loads = []
    original = loading.load
    monkeypatch.setattr(loading, "load", lambda *args, **kwargs: loads.append(1) or original(*args, **kwargs))
    own = ModelKeeper()
    compute(resolve(spec), store, own)
    compute(resolve(spec.with_(seed=1)), store, own)
    assert len(loads) == 1


def test_a_worker_does_every_job_and_says_why_one_failed(store, spec):
    queue = Queue(store)
    good, bad = resolve(spec), resolve(spec.with_(demonstrations=Demonstrations("correct", 19)))
    for resolved in (bad, good):
        queue.submit(resolved.spec, resolved.key)
    work(store, "cpu", once=True)
    assert queue.get(good.key).state == "done"
    assert queue.get(bad.key).state == "failed"
    assert "reads 256" in queue.get(bad.key).error
    assert good.key in store


def test_a_fault_of_the_program_marks_the_job_and_the_worker_goes_on(store, spec, monkeypatch):
    queue = Queue(store)
    first, second = resolve(spec), resolve(spec.with_(seed=3))
    for resolved in (first, second):
        queue.submit(resolved.spec, resolved.key)
    original = computing.build
    monkeypatch.setattr(computing, "build", lambda resolved: 1 / 0 if resolved.key == first.key else original(resolved))
    work(store, "cpu", once=True)
    assert "ZeroDivisionError" in queue.get(first.key).error
    assert queue.get(second.key).state == "done"


def test_a_cancelled_job_stops_and_says_so(store, keeper, spec, monkeypatch):
    queue, resolved = Queue(store), resolve(spec)
    job = queue.submit(resolved.spec, resolved.key)
    queue.change(job.key, cancel_requested=True)
    assert compute_jobs([job], queue, keeper) == {}
    assert queue.get(job.key).state == "cancelled"


def test_a_job_that_is_cancelled_leaves_the_others_of_its_sweep_going(store, keeper, spec):
    queue = Queue(store)
    asked = [resolve(spec.with_(demonstrations=Demonstrations("correct", k))) for k in (1, 2, 3)]
    jobs = [queue.submit(one.spec, one.key) for one in asked]
    queue.change(jobs[1].key, cancel_requested=True)
    assert set(compute_jobs(jobs, queue, keeper)) == {jobs[0].key, jobs[2].key}
    assert [queue.get(job.key).state for job in jobs] == ["done", "cancelled", "done"]


def test_a_job_that_cannot_be_run_leaves_the_others_of_its_sweep_going(store, keeper, spec):
    queue = Queue(store)
    asked = [resolve(spec.with_(demonstrations=Demonstrations("correct", k))) for k in (1, 19, 3)]
    jobs = [queue.submit(one.spec, one.key) for one in asked]
    assert set(compute_jobs(jobs, queue, keeper)) == {jobs[0].key, jobs[2].key}
    assert "Take k <=" in queue.get(jobs[1].key).error


def test_runs_of_a_sweep_are_sealed_one_by_one_and_go_on_after_a_stop(store, keeper, spec, monkeypatch):
    monkeypatch.setenv("ICLVIZ_TOKEN_BUDGET", "400")
    asked = [resolve(spec.with_(demonstrations=Demonstrations("correct", k))) for k in (1, 2)]

    def kept():
        return sum(len(facts["items"]) for one in asked for _, facts in store.unfinished(one.key).pieces())

    with pytest.raises(Cancelled):
        list(compute_together(asked, store, keeper, should_stop=lambda: kept() > 0))
    assert 0 < kept() < 24
    assert {key for key, _ in compute_together(asked, store, keeper)} == {one.key for one in asked}


def test_runs_of_a_sweep_keep_attention_of_items_of_their_own(store, keeper, spec, tmp_path):
    chosen = {1: (0, 5), 2: (), 3: (5, 11)}
    asked = [
        resolve(spec.with_(demonstrations=Demonstrations("correct", k), attention_items=items))
        for k, items in chosen.items()
    ]
    found = dict(compute_together(asked, store, keeper))
    for resolved in asked:
        together, alone = found[resolved.key], compute(resolved, Store(tmp_path / "other"), keeper)
        for table in TOKEN_TABLES:
            masses = getattr(together, table)
            assert tuple(masses) == resolved.spec.attention_items
            for item, mass in masses.items():
                np.testing.assert_allclose(mass, getattr(alone, table)[item], atol=5e-4)


def test_an_interrupted_job_waits_again(store, keeper, spec, monkeypatch):
    queue, resolved = Queue(store), resolve(spec)
    job = queue.submit(resolved.spec, resolved.key)

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("iclviz.jobs.running.compute_together", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compute_jobs([job], queue, keeper)
    assert queue.get(job.key).state == "queued"


LONG_AGO = 1e6
"""Seconds that a marked piece says its work took."""


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize(
    ("made_by", "is_joined"),
    [({}, True), ({"device": "cuda"}, False), ({"versions": {"torch": "1.0"}}, False), ({"way": "alone"}, False)],
    ids=["the same", "another device", "other libraries", "another way"],
)
def test_batches_of_another_maker_are_not_joined_with_these(store, keeper, spec, made_by, is_joined):
    resolved = resolve(spec)
    stop_after_a_piece(resolved, store, keeper)
    unfinished = store.unfinished(resolved.key)
    plan, (arrays, facts) = unfinished.plan(), unfinished.pieces()[0]
    marked = dict.fromkeys(facts["seconds"], LONG_AGO)
    unfinished.save_piece(min(facts["items"]), arrays, {**facts, "seconds": marked})
    unfinished.save_plan({**plan, "makers": {**plan["makers"], **made_by}})
    recording = compute(resolved, store, keeper)
    assert (max(recording.timing.values()) >= LONG_AGO) is is_joined


def test_a_sealed_recording_is_not_computed_again(store, keeper, spec, monkeypatch):
    queue, resolved = Queue(store), resolve(spec)
    compute(resolved, store, keeper)
    job = queue.submit(resolved.spec, resolved.key)
    monkeypatch.setattr("iclviz.jobs.running.compute_together", lambda *arguments: pytest.fail("computed again"))
    assert compute_jobs([job], queue, keeper)[job.key].n_items == 12
    assert queue.get(job.key).state == "done"


def test_a_worker_does_not_take_a_broken_job_again_where_the_queue_cannot_be_told(store, spec, monkeypatch):
    queue, resolved = Queue(store), resolve(spec)
    queue.submit(resolved.spec, resolved.key)
    tries = []

    def full_disk(*arguments):
        tries.append(1)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("iclviz.jobs.running.compute_jobs", full_disk)
    work(store, "cpu", once=True)
    assert len(tries) == 1


def test_a_spec_that_never_fits_is_refused_before_the_model_is_loaded(store, spec, monkeypatch):
    monkeypatch.setattr(loading, "load", lambda *args, **kwargs: pytest.fail("loaded"))
    for demonstrations in (Demonstrations("out-of-domain", 3000), Demonstrations("correct", 19)):
        with pytest.raises(SpecError, match="Take k <="):
            compute(resolve(spec.with_(demonstrations=demonstrations)), store, ModelKeeper())


def test_too_many_new_tokens_are_named_as_the_cause(store, keeper, spec):
    with pytest.raises(SpecError, match="Take max_new_tokens <="):
        compute(resolve(spec.with_(max_new_tokens=250)), store, keeper)


def test_a_second_worker_is_refused(store):
    with Queue(store).worker_lease("cpu"), pytest.raises(UserError, match="Another worker"):
        work(store, "cpu", once=True)


@pytest.mark.parametrize("value", ["many", "0", "-4"])
def test_a_nonsense_token_budget_is_refused(monkeypatch, value):
    monkeypatch.setenv("ICLVIZ_TOKEN_BUDGET", value)
    with pytest.raises(UserError, match="ICLVIZ_TOKEN_BUDGET"):
        budget(model=None)


def test_a_recording_says_which_runs_it_was_planned_with(tiny_model):
    import iclviz

    specs = [RunSpec(str(tiny_model), "linear_regression", Demonstrations("correct", k), 8) for k in (1, 2, 3)]
    alone = iclviz.run_spec(specs[2])
    together = iclviz.sweep(specs[:2])
    assert alone.environment["together"] == [alone.key]
    assert all(one.environment["together"] == sorted(one.key for one in together) for one in together)


@pytest.fixture
def own_model(tiny_model, tmp_path):
    return shutil.copytree(tiny_model, tmp_path / "model")


def cut_head(model):
    """Set the last rows of the head to zero in place, and give the file its former date back."""
    weights = model / "model.safetensors"
    date = weights.stat().st_mtime_ns
    with weights.open("r+b") as file:
        file.seek(-4096, 2)
        file.write(bytes(4096))
    os.utime(weights, ns=(date, date))


def test_a_model_that_was_cut_in_place_is_loaded_anew(store, keeper, spec, own_model):
    asked = spec.with_(model=str(own_model))
    before = compute(resolve(asked, store.memo), store, keeper)
    cut_head(own_model)
    resolved = resolve(asked, store.memo)
    assert resolved.key not in store
    after = compute(resolved, store, keeper)
    assert not np.allclose(before.embeddings["mean"], after.embeddings["mean"])


def test_a_run_asked_for_before_its_model_was_cut_is_refused(store, keeper, spec, own_model):
    resolved = resolve(spec.with_(model=str(own_model)), store.memo)
    cut_head(own_model)
    with pytest.raises(ModelError, match="changed since this run was asked for"):
        compute(resolved, store, keeper)


@pytest.fixture
def overflowing(tiny_model, tmp_path):
    """The tiny model with an embedding, of a token of a prompt, that float16 does not hold; and the token's text."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny_model), AutoTokenizer.from_pretrained(tiny_model)
    text = " Mary"
    with torch.no_grad():
        model.get_input_embeddings().weight[tokenizer(text)["input_ids"][-1], 0] = 1e5
    model.save_pretrained(tmp_path / "overflowing")
    tokenizer.save_pretrained(tmp_path / "overflowing")
    return str(tmp_path / "overflowing")


def test_a_dtype_that_overflows_at_a_token_of_the_task_is_named_before_anything_is_sealed(store, overflowing):
    spec = RunSpec(overflowing, "reading_comprehension", Demonstrations("none"), 16, dtype="float16")
    with pytest.raises(ModelError, match=r"no numbers in float16.*item '.*Mary.*', a state of layer 0 of 3.*bfloat16"):
        compute(resolve(spec), store, ModelKeeper())
    assert store.summaries() == []
    assert compute(resolve(spec.with_(dtype="float32")), store, ModelKeeper()).n_items == 16


def test_a_score_that_is_none_is_named_with_its_item(store, keeper, spec, monkeypatch):
    from iclviz.tasks.linear_regression import LinearRegression

    score = LinearRegression.score

    def infinite(self, data, *given):
        scores = score(self, data, *given)
        scores["absolute_error"][3] = np.inf
        return scores

    monkeypatch.setattr(LinearRegression, "score", infinite)
    with pytest.raises(ModelError, match=r"item '.*', the score absolute_error"):
        compute(resolve(spec), store, keeper)


def test_the_token_that_ends_a_turn_ends_a_response(keeper, spec, store):
    loaded = keeper.get(resolve(spec), store.memo).loaded
    tokenizer = copy.deepcopy(loaded.tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|done|>"]})
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}<|done|>\n{% endfor %}"
    ends = end_tokens(replace(loaded, tokenizer=tokenizer))
    assert ends == {loaded.tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|done|>")}


def test_a_special_token_that_ends_no_turn_is_shown_and_parts_words(keeper, store, tiny_model, tmp_path, monkeypatch):
    rows = [{"query": f"Q{i}:", "answer": "Rome" if i else "Paris", "candidates": ["ParisLondon"]} for i in range(4)]
    (tmp_path / "own.json").write_text(json.dumps(rows))
    shown = Demonstrations("none", 0)
    resolved = resolve(RunSpec(str(tiny_model), str(tmp_path / "own.json"), shown, n_items=4, max_new_tokens=6))
    tokenizer = keeper.get(resolved, store.memo).loaded.tokenizer
    mark, first, second = (tokenizer(text)["input_ids"] for text in ("<s>", "Paris", "London\n"))
    ids = [*mark, *first, *mark, *second]
    monkeypatch.setattr(computing, "Decoding", lambda *how: Decoding(*how, [ids] * 4))
    recording = compute(resolved, store, keeper)
    assert set(recording.responses) == {"<s>Paris<s>London\n"}
    assert set(recording.parsed) == {"Paris   London"}
    assert recording.scores["right"].sum() == 1


def test_speed_and_the_time_left_are_of_tokens_that_were_read_and_told_from_time_to_time(monkeypatch):
    now = iter([100.0, 101.0, 101.2, 104.0])
    monkeypatch.setattr(progressing.time, "perf_counter", lambda: next(now))
    told = []
    run = SimpleNamespace(done=[1, 2], prompts=[1, 2, 3], is_complete=False, resolved=SimpleNamespace(key="a"))
    meter = computing._Meter(100, [run], lambda key, progress: told.append(progress))
    for tokens in (20, 10, 10):
        meter.on_read(tokens)
    assert [one.tokens_done for one in told] == [20, 40]
    progress = told[-1]
    assert (progress.items_done, progress.items_total, progress.tokens_total) == (2, 3, 100)
    assert progress.tokens_per_second == pytest.approx(10)
    assert progress.seconds_left == pytest.approx(6)
    assert progress.share == pytest.approx(0.4)


@pytest.mark.parametrize("changed", [{"dtype": "bfloat16"}, {"model_options": {"device": "cpu"}}])
def test_runs_that_differ_in_the_forward_pass_are_never_read_together(store, keeper, spec, changed):
    asked = [resolve(spec), resolve(spec.with_(demonstrations=Demonstrations("correct", 2), **changed))]
    with pytest.raises(ValueError, match="cannot be read together"):
        next(compute_together(asked, store, keeper))
    assert not store.summaries()


def test_two_models_of_one_name_are_never_read_together(store, keeper, spec):
    one, other = resolve(spec), resolve(spec.with_(demonstrations=Demonstrations("correct", 2)))
    other = replace(other, origin=replace(other.origin, model="files-of-another"))
    with pytest.raises(ValueError, match="cannot be read together"):
        next(compute_together([one, other], store, keeper))


def test_runs_of_two_and_of_six_new_tokens_read_together_are_as_each_alone(store, keeper, spec, tmp_path):
    asked = [resolve(spec.with_(max_new_tokens=n)) for n in (2, 6)]
    together = dict(compute_together(asked, store, keeper))
    for resolved in asked:
        alone = compute(resolved, Store(tmp_path / resolved.key), keeper)
        assert together[resolved.key].response_ids == alone.response_ids
        for role in ROLES:
            np.testing.assert_allclose(together[resolved.key].attention[role], alone.attention[role], atol=1e-6)
    assert max(map(len, together[asked[1].key].response_ids)) > 2


def test_what_is_done_to_the_model_is_in_the_recording_and_counted(store, keeper, spec):
    acted = spec.with_(interventions=("knock_out to=relevant layers=2", "ablate of=mlp layers=3 rows=query"))
    plain, found = (compute(resolve(one), store, keeper) for one in (spec, acted))
    assert found.key != plain.key
    assert (found.attention_last["relevant"][:, 1] == 0).all()
    assert (plain.attention_last["relevant"][:, 1] > 0).all()
    np.testing.assert_array_equal(found.attention_last["relevant"][:, 0], plain.attention_last["relevant"][:, 0])
    assert found.array("acted_places").shape == (12, 2)
    responses = np.array([len(ids) for ids in found.response_ids])
    queries = np.array([len(ids) for ids in found.prompt_ids]) - found.query_start
    np.testing.assert_array_equal(found.array("acted_places")[:, 0], 1 + responses)
    np.testing.assert_array_equal(found.array("acted_places")[:, 1], queries)
    np.testing.assert_array_equal(found.array("changed_places"), found.array("acted_places"))
    assert store.load(found.key).spec.interventions == found.spec.interventions


@pytest.mark.usefixtures("small_batches")
def test_places_are_counted_alike_however_prompts_are_batched(store, keeper, spec, monkeypatch):
    acted = spec.with_(interventions=("knock_out to=relevant rows=query", "ablate of=attention rows=all layers=1"))
    small = compute(resolve(acted), store, keeper)
    monkeypatch.setenv("ICLVIZ_TOKEN_BUDGET", "100000")
    store.delete(small.key)
    large = compute(resolve(acted), store, keeper)
    np.testing.assert_array_equal(small.array("acted_places"), large.array("acted_places"))
    assert (large.array("acted_places")[:, 1] >= [len(ids) for ids in large.prompt_ids]).all()


def test_what_would_be_done_nowhere_is_refused(store, keeper, spec):
    alone = spec.with_(demonstrations=Demonstrations("none", 0), interventions=("knock_out to=answer:*",))
    with pytest.raises(SpecError, match="No prompt has the demonstrations' answers"):
        compute(resolve(alone), store, keeper)


def test_runs_of_another_forward_pass_are_not_read_together(store, keeper, spec):
    acted = spec.with_(interventions=("ablate layers=1",))
    with pytest.raises(ValueError, match="forward pass"):
        list(compute_together([resolve(spec), resolve(acted)], store, keeper))
