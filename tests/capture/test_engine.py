from dataclasses import replace

import numpy as np
import pytest
import torch

from iclviz.capture.decoding import Decoding, plan_prompts
from iclviz.capture.engine import Engine
from iclviz.capture.plan import PlanSettings, tokens_read
from iclviz.errors import Cancelled
from iclviz.models.loading import load
from iclviz.models.locating import LocatedModel
from iclviz.prompts import render, tokenize
from iclviz.spans import ROLES
from iclviz.spec import POOLINGS, Demonstrations
from iclviz.tasks import task
from tests.capture.models import HEADS, LAYERS, SETTINGS, VOCABULARY, family, random_prompts, tiny
from tests.capture.recording import kept, record, taken
from tests.oracles.capture import candidate_logprob_slowly, record_slowly

FORCED = [[(7 * n + 3 * i) % VOCABULARY for i in range(1 + n % 4)] for n in range(len(family()))]
INTERFACE = [name for name in SETTINGS if name not in ("falcon", "falcon_alibi", "bloom", "gptj", "mpt")]
EXACT = [(name, "interface") for name in INTERFACE]
EXACT += [(name, "eager") for name in SETTINGS if name not in ("falcon_alibi", "mpt", "gpt_oss")]
EXACT += [(name, "alone") for name in ("llama", "falcon_alibi", "mpt")]
KINDS = ("llama", "gpt2", "gemma2", "gpt_oss", "falcon_alibi", "mpt")
"""Architectures that differ in what reading them takes: grouped keys and rotary positions, fused projections and
learned positions, a soft cap and a window, sinks, and the two whose biases of distance leave one way of reading.
"""
CHOSEN = frozenset([1, 4, 8, 10, 12])
"""Prompts whose rows are kept: two that share most tokens, one that is there twice, one of a single token."""


def of_each_kind(cases, budget, soon=tuple(SETTINGS)):
    """(architecture, way, budget) of every case; those of other architectures than `soon` take long together."""
    return [pytest.param(name, way, budget, marks=() if name in soon else pytest.mark.long) for name, way in cases]


def recorded_slowly(model, prompts, forced, n_layers=LAYERS):
    return [record_slowly(model, prompt, forced[index], n_layers) for index, prompt in enumerate(prompts)]


def check_against_oracle(recorded, captured, tolerance=1e-5):
    for index, slow in enumerate(recorded):
        for name, values in captured.embeddings.items():
            if name in slow.embeddings:
                expected = slow.embeddings[name]
                assert np.abs(values[index] - expected).max() <= tolerance * np.abs(expected).max(), name
            else:
                assert np.isnan(values[index]).all(), name
        np.testing.assert_allclose(captured.last_row[index], slow.last_row, rtol=0, atol=tolerance)
        np.testing.assert_allclose(captured.rows[index], slow.rows, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("name", "way", "budget"), [*of_each_kind(EXACT, 30), *of_each_kind(EXACT, 4096, KINDS)])
def test_states_attention_and_rows_of_chosen_prompts_equal_the_slow_way(name, way, budget):
    model, prompts = tiny(name), family()
    settings = PlanSettings(budget, 1, pass_tokens=0)
    captured = record(
        Engine(model, way, LAYERS), prompts, POOLINGS, Decoding(8, forced=FORCED), settings, by_token=CHOSEN
    )
    assert captured.response_ids == FORCED
    assert captured.token_rows.keys() == CHOSEN
    slow = recorded_slowly(model, prompts, FORCED)
    check_against_oracle(slow, captured)
    for index, rows in captured.token_rows.items():
        assert rows.shape == (1 + len(FORCED[index]), LAYERS, HEADS, len(prompts[index]) + len(FORCED[index]))
        np.testing.assert_allclose(rows, slow[index].token_rows, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "way", "budget"), [*of_each_kind(EXACT, 30, KINDS), *of_each_kind(EXACT, 4096, ())])
def test_states_and_attention_equal_the_slow_way_where_no_rows_are_kept(name, way, budget):
    model, prompts = tiny(name), family()
    settings = PlanSettings(budget, 1, pass_tokens=0)
    captured = record(Engine(model, way, LAYERS), prompts, POOLINGS, Decoding(8, forced=FORCED), settings)
    assert captured.response_ids == FORCED
    check_against_oracle(recorded_slowly(model, prompts, FORCED), captured)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt_oss", "qwen3", "bloom"])
def test_half_precision_differs_from_float32_no_more_than_the_slow_way_does(name, dtype):
    prompts = family()[:6]
    exact = [record_slowly(tiny(name), prompt, FORCED[i], LAYERS) for i, prompt in enumerate(prompts)]
    model = tiny(name).to(dtype)
    slow = [record_slowly(model, prompt, FORCED[i], LAYERS) for i, prompt in enumerate(prompts)]
    way = "interface" if name in INTERFACE else "eager"
    settings = PlanSettings(4096, 1, pass_tokens=0)
    ours = record(Engine(model, way, LAYERS), prompts, ["mean", "query_max"], Decoding(8, forced=FORCED[:6]), settings)

    def error(rows, states):
        mass = max(np.abs(a - b.rows).max() for a, b in zip(rows, exact, strict=True))
        return mass, max(np.abs(a - b.embeddings["mean"]).max() for a, b in zip(states, exact, strict=True))

    allowed = error([one.rows for one in slow], [one.embeddings["mean"] for one in slow])
    found = error(ours.rows, list(ours.embeddings["mean"]))
    assert found[0] <= 2 * allowed[0]
    assert found[1] <= 2 * allowed[1]


@pytest.mark.parametrize(("name", "way"), [("llama", "interface"), ("mistral", "eager"), ("gpt2", "alone")])
def test_candidates_are_scored_as_one_text_with_the_prompt(name, way):
    model, prompts = tiny(name), [prompt for prompt in family() if len(prompt) > 2]
    forced = FORCED[: len(prompts)]
    settings = PlanSettings(100, 1, pass_tokens=0)
    captured = record(Engine(model, way, LAYERS), prompts, ["last"], Decoding(8, forced=forced), settings)
    for prompt, scores in zip(prompts, captured.candidate_logprobs, strict=True):
        for candidate, score in zip(prompt.candidates, scores, strict=True):
            shared = next(
                (i for i, (a, b) in enumerate(zip(prompt.ids, candidate, strict=False)) if a != b), len(prompt)
            )
            assert score == pytest.approx(candidate_logprob_slowly(model, candidate, shared), abs=1e-4)


def test_the_demo_model_equals_the_slow_way(demo_model):
    loaded = load(LocatedModel("demo", "folder", demo_model), "float32")
    of = task("reading_comprehension")
    options = of.resolve_options({}, "plain")
    asked = of.prompts(of.data(3, 0, options), Demonstrations("correct", 1), options)
    prompts = [tokenize(render(prompt, "plain"), loaded.tokenizer) for prompt in asked]
    engine = Engine(loaded.model, "interface", loaded.facts.n_layers)
    captured = record(engine, prompts, POOLINGS, Decoding(4), PlanSettings(4096, 1, pass_tokens=0))
    slow = recorded_slowly(loaded.model, prompts, captured.response_ids, loaded.facts.n_layers)
    check_against_oracle(slow, captured)


def test_generation_is_the_librarys_own_greedy_decoding():
    model, prompts = tiny("llama"), random_prompts((12, 12))
    captured = record(Engine(model, "interface", LAYERS), prompts, ["last"], Decoding(6))
    ids = torch.tensor([prompt.ids for prompt in prompts])
    expected = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False, eos_token_id=-1
    )
    assert captured.response_ids == expected[:, 12:].tolist()


def test_the_order_of_prompts_changes_no_result():
    engine, prompts = Engine(tiny("llama"), "interface", LAYERS), family()
    there = record(engine, prompts, POOLINGS, Decoding(8, forced=FORCED))
    back = record(engine, prompts[::-1], POOLINGS, Decoding(8, forced=FORCED[::-1]))
    for index in range(len(prompts)):
        np.testing.assert_allclose(back.rows[-1 - index], there.rows[index], atol=1e-5)
        for name in POOLINGS:
            np.testing.assert_allclose(
                back.embeddings[name][-1 - index], there.embeddings[name][index], rtol=1e-4, atol=1e-5
            )


def test_the_model_reads_exactly_the_tokens_of_the_plan():
    model, prompts = tiny("llama"), [replace(prompt, candidates=[]) for prompt in family()]
    decoding = Decoding(8, forced=FORCED)
    plan = plan_prompts(prompts, decoding, PlanSettings(4096, 1, pass_tokens=0))
    assert tokens_read(plan) == len({tuple(p.ids[: i + 1]) for p in prompts for i in range(len(p) - 1)})
    read = []

    def count(module, arguments, options):
        read.append(int(options["attention_mask"][:, -options["input_ids"].shape[1] :].sum()))

    model.base_model.register_forward_pre_hook(count, with_kwargs=True)
    told = []
    engine, asked = Engine(model, "interface", LAYERS), kept(prompts, ["last"])
    list(engine.captures(prompts, plan, asked, decoding, on_read=told.append))
    groups = [group for root in plan for group in root.walk()]
    steps = [(len(g.leaves), 1 + max(len(FORCED[leaf.prompt]) for leaf in g.leaves)) for g in groups if g.leaves]
    assert len(read) == sum(length for _, length in steps) + sum(len(group.passes) for group in groups)
    assert sum(read) == sum(rows * length for rows, length in steps) + tokens_read(plan)
    assert sum(told) == pytest.approx(sum(read))
    assert len(told) == LAYERS * sum(len(group.passes) for group in groups) + sum(length for _, length in steps)


def test_what_is_there_already_is_not_run_again():
    engine, prompts = Engine(tiny("llama"), "interface", LAYERS), family()
    decoding = Decoding(8, forced=FORCED)
    plan = plan_prompts(prompts, decoding, PlanSettings(60, 1, pass_tokens=0))
    whole = {
        i: part for part in engine.captures(prompts, plan, kept(prompts, ["mean"]), decoding) for i in part.prompts
    }
    done = frozenset(whole[0].prompts)
    rest = list(engine.captures(prompts, plan, kept(prompts, ["mean"]), decoding, done=done))
    assert sorted(i for part in rest for i in part.prompts) == sorted(set(whole) - done)
    for part in rest:
        np.testing.assert_array_equal(taken(part).embeddings["mean"], taken(whole[part.prompts[0]]).embeddings["mean"])


def test_mass_over_all_roles_is_one():
    for name in ("llama", "gpt_oss"):
        captured = record(Engine(tiny(name), "interface", LAYERS), family(), ["last"], Decoding(3))
        for rows in [captured.last_row, *captured.rows]:
            assert rows.shape[-3:] == (LAYERS, HEADS, len(ROLES))
            np.testing.assert_allclose(rows.sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize("name", ["llama", "gemma3_text"])
def test_rows_by_token_sum_to_the_mass_per_role(name):
    prompts = family()
    captured = record(Engine(tiny(name), "interface", LAYERS), prompts, ["last"], Decoding(5), by_token=CHOSEN)
    for index, rows in captured.token_rows.items():
        roles = np.array(prompts[index].roles() + ["response"] * len(captured.response_ids[index]))
        mass = np.stack([rows[..., roles == role].sum(-1) for role in ROLES], axis=-1)
        np.testing.assert_allclose(mass[0], captured.last_row[index], atol=1e-5)
        np.testing.assert_allclose(mass[1:], captured.rows[index], atol=1e-5)


def test_choosing_prompts_changes_nothing_else():
    engine, prompts = Engine(tiny("llama"), "interface", LAYERS), family()
    plain = record(engine, prompts, POOLINGS, Decoding(8))
    chosen = record(engine, prompts, POOLINGS, Decoding(8), by_token=CHOSEN)
    assert plain.token_rows == {}
    assert chosen.response_ids == plain.response_ids
    np.testing.assert_array_equal(chosen.last_row, plain.last_row)
    for name in POOLINGS:
        np.testing.assert_array_equal(chosen.embeddings[name], plain.embeddings[name])


def test_an_end_token_ends_a_response_and_counts_as_part_of_it():
    engine, prompts = Engine(tiny("llama"), "interface", LAYERS), random_prompts((12, 9))
    free = record(engine, prompts, ["last"], Decoding(6)).response_ids
    ended = record(engine, prompts, ["last"], Decoding(6, end_tokens=frozenset([free[0][2]]))).response_ids
    assert ended[0] == free[0][: free[0].index(free[0][2]) + 1]
    assert all(ids for ids in ended)


def test_a_response_ends_when_the_caller_says_so():
    engine, prompts = Engine(tiny("llama"), "interface", LAYERS), random_prompts((12, 9))
    captured = record(engine, prompts, ["last"], Decoding(6, is_finished=lambda prompt, ids: len(ids) == prompt + 1))
    assert [len(ids) for ids in captured.response_ids] == [1, 2]
    assert [len(rows) for rows in captured.rows] == [1, 2]


def test_each_prompt_may_have_a_limit_of_its_own():
    captured = record(Engine(tiny("llama"), "interface", LAYERS), random_prompts((9, 12)), ["last"], Decoding([4, 2]))
    assert [len(ids) for ids in captured.response_ids] == [4, 2]


def test_without_recording_the_same_tokens_are_generated():
    engine, prompts = Engine(tiny("llama"), "interface", LAYERS), family()
    recorded = record(engine, prompts, POOLINGS, Decoding(5))
    plain = engine.capture(prompts, {}, Decoding(5))
    assert plain.response_ids == recorded.response_ids
    assert not any(plain.taken)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_running_out_of_memory_halves_the_batch_and_goes_on(error):
    model, prompts = tiny("llama"), family()
    engine = Engine(model, "interface", LAYERS)
    settings = PlanSettings(4096, 1, pass_tokens=0)
    whole = record(engine, prompts, POOLINGS, Decoding(8, forced=FORCED), settings, by_token=CHOSEN)

    def small_memory(module, arguments, options):
        if options["input_ids"].shape[0] > 2:
            raise error

    model.base_model.register_forward_pre_hook(small_memory, with_kwargs=True)
    halved = record(engine, prompts, POOLINGS, Decoding(8, forced=FORCED), settings, by_token=CHOSEN)
    assert halved.response_ids == whole.response_ids
    for index in CHOSEN:
        np.testing.assert_allclose(halved.token_rows[index], whole.token_rows[index], atol=1e-5)
    np.testing.assert_allclose(halved.embeddings["mean"], whole.embeddings["mean"], rtol=1e-4, atol=1e-5)


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    model = tiny("llama")

    def broken(*arguments):
        raise RuntimeError("shapes do not fit")

    model.base_model.register_forward_pre_hook(broken)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        record(Engine(model, "interface", LAYERS), family(), ["last"], Decoding(2))


def test_a_run_can_be_stopped_between_steps():
    model, prompts, decoding = tiny("llama"), random_prompts((8,)), Decoding(5)
    plan = plan_prompts(prompts, decoding, PlanSettings(4096, 1))
    times = iter(range(9))
    engine = Engine(model, "interface", LAYERS)
    with pytest.raises(Cancelled):
        list(engine.captures(prompts, plan, kept(prompts, ["last"]), decoding, lambda: next(times) == 3))


def test_hooks_masks_and_attention_are_taken_off_again():
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

    model = tiny("llama")
    before = model.config._attn_implementation
    record(Engine(model, "interface", LAYERS), random_prompts((8,)), POOLINGS, Decoding(2))
    assert model.config._attn_implementation == before
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert not ALL_MASK_ATTENTION_FUNCTIONS._local_mapping.keys() & {"sdpa", "eager"}
