import numpy as np
import pytest
import torch

from iclviz.capture.engine import Decoding, Engine
from iclviz.errors import Cancelled
from iclviz.models.loading import load
from iclviz.models.locating import LocatedModel
from iclviz.prompts import render, tokenize
from iclviz.spans import ROLES
from iclviz.spec import POOLINGS, Demonstrations
from iclviz.tasks import task
from tests.capture.models import HEADS, LAYERS, random_prompts, tiny
from tests.oracles.capture import candidate_logprob_slowly, record_slowly

LENGTHS = (24, 17, 2, 31, 9)
FORCED = [[5, 9, 3], [7, 1, 8, 4, 4], [12], [3, 3, 3, 2], [11, 6]]
EXACT = [("llama", way) for way in ("interface", "eager")]
EXACT += [("qwen2", "interface"), ("gpt2", "interface"), ("gpt2", "eager"), ("mistral", "interface")]
EXACT += [("mistral", "eager"), ("gemma2", "eager"), ("bloom", "eager")]


def check_against_oracle(model, prompts, forced, captured, n_layers):
    for index, prompt in enumerate(prompts):
        slow = record_slowly(model, prompt, forced[index], n_layers)
        for name, values in captured.embeddings.items():
            if name in slow.embeddings:
                expected = slow.embeddings[name]
                assert np.abs(values[index] - expected).max() <= 1e-5 * np.abs(expected).max(), name
            else:
                assert np.isnan(values[index]).all(), name
        np.testing.assert_allclose(captured.last_row[index], slow.last_row, atol=1e-5)
        np.testing.assert_allclose(captured.rows[index], slow.rows, atol=1e-5)


@pytest.mark.parametrize(("name", "way"), EXACT)
def test_states_and_attention_equal_the_slow_way(name, way):
    model, prompts = tiny(name), random_prompts(LENGTHS)
    captured = Engine(model, way, LAYERS).capture(prompts, POOLINGS, Decoding(8, forced=FORCED))
    assert captured.response_ids == FORCED
    check_against_oracle(model, prompts, FORCED, captured, LAYERS)


@pytest.mark.parametrize("name", ["llama", "mistral", "gpt2"])
def test_candidates_are_scored_as_one_text_with_the_prompt(name):
    model, prompts = tiny(name), random_prompts(LENGTHS)
    captured = Engine(model, "interface", LAYERS).capture(prompts, ["last"], Decoding(8, forced=FORCED))
    for prompt, scores in zip(prompts, captured.candidate_logprobs, strict=True):
        n = len(prompt)
        assert scores[0] == pytest.approx(candidate_logprob_slowly(model, prompt.candidates[0], n), abs=1e-4)
        assert scores[1] == pytest.approx(candidate_logprob_slowly(model, prompt.candidates[1], n - 1), abs=1e-4)


def test_the_demo_model_equals_the_slow_way(demo_model):
    loaded = load(LocatedModel("demo", "folder", demo_model), "float32")
    of = task("reading_comprehension")
    options = of.resolve_options({}, "plain")
    asked = of.prompts(of.data(3, 0, options), Demonstrations("correct", 1), options)
    prompts = [tokenize(render(prompt, "plain"), loaded.tokenizer) for prompt in asked]
    engine = Engine(loaded.model, "interface", loaded.facts.n_layers)
    captured = engine.capture(prompts, POOLINGS, Decoding(4))
    check_against_oracle(loaded.model, prompts, captured.response_ids, captured, loaded.facts.n_layers)


def test_generation_is_the_librarys_own_greedy_decoding():
    model, prompts = tiny("llama"), random_prompts((12, 12))
    captured = Engine(model, "interface", LAYERS).capture(prompts, ["last"], Decoding(6))
    ids = torch.tensor([prompt.ids for prompt in prompts])
    expected = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False, eos_token_id=-1
    )
    assert captured.response_ids == expected[:, 12:].tolist()


def test_a_prompt_gives_the_same_alone_and_in_any_batch():
    engine, prompts = Engine(tiny("llama"), "interface", LAYERS), random_prompts(LENGTHS)
    together = engine.capture(prompts, POOLINGS, Decoding(8, forced=FORCED))
    backwards = engine.capture(prompts[::-1], POOLINGS, Decoding(8, forced=FORCED[::-1]))
    for index, prompt in enumerate(prompts):
        alone = engine.capture([prompt], POOLINGS, Decoding(8, forced=[FORCED[index]]))
        for other, place in ((together, index), (backwards, len(prompts) - 1 - index)):
            np.testing.assert_allclose(other.rows[place], alone.rows[0], atol=1e-5)
            for name in POOLINGS:
                np.testing.assert_allclose(
                    other.embeddings[name][place], alone.embeddings[name][0], rtol=1e-4, atol=1e-5
                )


def test_mass_over_all_roles_is_one():
    captured = Engine(tiny("llama"), "interface", LAYERS).capture(random_prompts(LENGTHS), ["last"], Decoding(3))
    for rows in [captured.last_row, *captured.rows]:
        assert rows.shape[-3:] == (LAYERS, HEADS, len(ROLES))
        np.testing.assert_allclose(rows.sum(-1), 1, atol=1e-5)


def test_an_end_token_ends_a_response_and_counts_as_part_of_it():
    engine, prompts = Engine(tiny("llama"), "interface", LAYERS), random_prompts((12, 9))
    free = engine.capture(prompts, ["last"], Decoding(6)).response_ids
    ended = engine.capture(prompts, ["last"], Decoding(6, end_tokens=frozenset([free[0][2]]))).response_ids
    assert ended[0] == free[0][: free[0].index(free[0][2]) + 1]
    assert all(ids for ids in ended)


def test_a_response_ends_when_the_caller_says_so():
    engine, prompts = Engine(tiny("llama"), "interface", LAYERS), random_prompts((12, 9))
    captured = engine.capture(prompts, ["last"], Decoding(6, is_finished=lambda row, ids: len(ids) == row + 1))
    assert [len(ids) for ids in captured.response_ids] == [1, 2]
    assert [len(rows) for rows in captured.rows] == [1, 2]


def test_without_recording_the_same_tokens_are_generated():
    engine, prompts = Engine(tiny("llama"), "interface", LAYERS), random_prompts(LENGTHS)
    recorded = engine.capture(prompts, POOLINGS, Decoding(5))
    plain = engine.capture(prompts, POOLINGS, Decoding(5), recording=False)
    assert plain.response_ids == recorded.response_ids
    assert plain.embeddings == {}


def test_running_out_of_memory_halves_the_batch_and_goes_on(monkeypatch):
    model, prompts = tiny("llama"), random_prompts(LENGTHS)
    engine = Engine(model, "interface", LAYERS)
    whole = engine.capture(prompts, POOLINGS, Decoding(8, forced=FORCED))
    forward = model.forward

    def small_memory(*args, **kwargs):
        if kwargs["input_ids"].shape[0] > 2:
            raise torch.OutOfMemoryError
        return forward(*args, **kwargs)

    monkeypatch.setattr(model, "forward", small_memory)
    halved = engine.capture(prompts, POOLINGS, Decoding(8, forced=FORCED))
    assert halved.response_ids == whole.response_ids
    np.testing.assert_allclose(halved.embeddings["mean"], whole.embeddings["mean"], rtol=1e-4, atol=1e-5)


def test_a_run_can_be_stopped_between_steps():
    with pytest.raises(Cancelled):
        Engine(tiny("llama"), "interface", LAYERS).capture(random_prompts((8,)), ["last"], Decoding(5), lambda: True)


def test_hooks_and_attention_are_taken_off_again():
    model = tiny("llama")
    before = model.config._attn_implementation
    Engine(model, "interface", LAYERS).capture(random_prompts((8,)), POOLINGS, Decoding(2))
    assert model.config._attn_implementation == before
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
