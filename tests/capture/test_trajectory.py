from dataclasses import replace

import numpy as np
import pytest
import torch

from iclviz.capture.decoding import Decoding
from iclviz.capture.engine import Engine
from iclviz.capture.plan import PlanSettings
from iclviz.capture.pooling import blocks_of
from iclviz.capture.readout import Readout
from iclviz.capture.recorders.trajectory import RECORDER, telling_tokens
from iclviz.errors import ModelError
from iclviz.models.loading import load
from iclviz.models.locating import LocatedModel
from iclviz.prompts import Prompt, TokenizedPrompt, render, tokenize
from iclviz.spans import Segment, Span
from tests.capture.models import LAYERS, SETTINGS, family, tiny
from tests.oracles.capture import set_eagerly

WAYS = {"falcon": "eager", "falcon_alibi": "alone", "bloom": "eager", "gptj": "eager", "mpt": "alone"}


def lens(model, prompts, way="interface", budget=4096, n_layers=LAYERS, chosen=None):
    """Prompt -> what was read of it."""
    asked = {RECORDER: dict.fromkeys(range(len(prompts)) if chosen is None else chosen, True)}
    captured = Engine(model, way, n_layers).capture(prompts, asked, Decoding(2), PlanSettings(budget, 1, pass_tokens=0))
    return {i: one["trajectory"] for i, one in zip(captured.prompts, captured.taken, strict=True) if one}


def logits_by_layer(model, ids, n_layers, norm, after):
    """(L + 1, V) from plain hooks on one eager pass, by the parts of the model that a reader of its code would take."""
    states = []
    blocks = blocks_of(model, n_layers)
    hooks = [blocks[0].register_forward_pre_hook(lambda m, args, kw: states.append(_first(args, kw)), with_kwargs=True)]
    hooks += [block.register_forward_hook(lambda m, args, output: states.append(_states(output))) for block in blocks]
    with torch.no_grad():
        whole = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
        for hook in hooks:
            hook.remove()
        found = torch.stack([after(model.get_output_embeddings()(norm(one[0, -1]))) for one in states])
    torch.testing.assert_close(found[-1], whole, rtol=0, atol=1e-4)
    return found


def _first(args, kwargs):
    return args[0] if args else kwargs["hidden_states"]


def _states(output):
    return output[0] if isinstance(output, tuple) else output


def plain(model):
    return model.base_model.norm, lambda logits: logits


PARTS = {
    "llama": plain,
    "mistral": plain,
    "gpt2": lambda model: (model.transformer.ln_f, lambda logits: logits),
    "gemma2": lambda model: (model.model.norm, lambda logits: torch.tanh(logits / 30.0) * 30.0),
    "granite": lambda model: (model.model.norm, lambda logits: logits / model.config.logits_scaling),
    "opt": lambda model: (model.model.decoder.final_layer_norm, lambda logits: logits),
    "bloom": lambda model: (model.transformer.ln_f, lambda logits: logits),
    "gpt_neox": lambda model: (model.gpt_neox.final_layer_norm, lambda logits: logits),
    "qwen3_moe": plain,
}


@pytest.mark.parametrize("name", PARTS)
def test_every_layer_is_read_as_by_hand_on_one_prompt(name):
    model = tiny(name)
    if name == "granite":
        model.config.logits_scaling = model.logits_scaling = 4.0
    if name == "gemma2":
        model.lm_head.weight.data *= 40  # so that the soft-cap of 30 bends the logits
    prompts = [with_answers(prompt) for prompt in family() if len(prompt) > 2]
    for budget in (30, 4096):
        found = lens(model, prompts, WAYS.get(name, "interface"), budget)
        for index, prompt in enumerate(prompts):
            logits = logits_by_layer(model, prompt.ids, LAYERS, *PARTS[name](model))
            logprobs = torch.log_softmax(logits, -1).numpy()
            one = found[index]
            np.testing.assert_allclose(one.logprobs[:, :2], logprobs[:, [11, 12]], atol=1e-4)
            assert np.isnan(one.logprobs[:, 2:]).all()
            np.testing.assert_allclose(one.entropy, -(np.exp(logprobs) * logprobs).sum(-1), atol=1e-4)
            kl = (np.exp(logprobs[-1]) * (logprobs[-1] - logprobs)).sum(-1)
            np.testing.assert_allclose(one.divergence, kl, atol=1e-4)
            largest = (logits > logits[:, 11:12]).sum(-1).numpy() + 1
            assert np.abs(one.rank - largest).max() <= 1  # two logits may be equal but for rounding
            assert one.divergence[-1] < 1e-6


def with_answers(prompt):
    """The prompt with candidates: two that their next token tells, two alike in it, one that changes the prompt."""
    following = [[11, 5], [12], [13, 4], [13, 6]]
    changed = [*prompt.ids[:-1], (prompt.ids[-1] + 1) % 100, 14]
    return replace(prompt, candidates=[*([*prompt.ids, *ids] for ids in following), changed])


@pytest.mark.parametrize("name", SETTINGS)
def test_the_last_layer_is_the_models_own_output(name):
    model, prompts = tiny(name), [with_answers(prompt) for prompt in family()[:5]]
    found = lens(model, prompts, WAYS.get(name, "interface"))
    set_eagerly(model, "eager")
    for index, prompt in enumerate(prompts):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([prompt.ids]), use_cache=False).logits[0, -1]
        logprobs = torch.log_softmax(logits.float(), -1)[[11, 12]].numpy()
        np.testing.assert_allclose(found[index].logprobs[-1, :2], logprobs, atol=1e-4)
        assert found[index].logprobs.shape == (LAYERS + 1, 5)


def test_layers_are_told_apart():
    found = lens(tiny("llama"), [with_answers(family()[0])])[0]
    assert len(np.unique(found.logprobs[:, 0])) == LAYERS + 1


def test_only_the_prompts_that_ask_for_it_are_read():
    prompts = family()
    assert set(lens(tiny("llama"), prompts, chosen=[1, 8])) == {1, 8}
    whole = lens(tiny("llama"), prompts)
    np.testing.assert_allclose(lens(tiny("llama"), prompts, chosen=[8])[8].entropy, whole[8].entropy, atol=1e-5)


def test_without_candidates_entropy_and_divergence_alone_are_there():
    one = lens(tiny("llama"), [replace(family()[0], candidates=[])])[0]
    assert one.logprobs.shape == (LAYERS + 1, 0)
    assert np.isnan(one.rank).all()
    assert np.isfinite(one.entropy).all()


def test_a_model_that_reads_more_than_its_last_blocks_states_is_refused():
    model = tiny("llama")
    first = {}
    model.model.layers[0].register_forward_hook(lambda m, args, output: first.update(states=output))
    model.model.norm.register_forward_pre_hook(lambda m, args: (args[0] + first["states"],))
    with pytest.raises(ModelError, match="LlamaForCausalLM does not make its logits of its last block's states alone"):
        lens(model, family()[:2])


def test_the_model_is_as_it_was_afterwards():
    model = tiny("bloom")
    before = [dict(block.__dict__) for block in blocks_of(model, LAYERS)]
    lens(model, family()[:3], "eager")
    assert [dict(block.__dict__).keys() for block in blocks_of(model, LAYERS)] == [one.keys() for one in before]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_candidates_are_told_by_the_token_right_after_the_prompt():
    prompt = TokenizedPrompt(
        [1, 2], ["", ""], [Span("question", 0, 2)], 0, [[1, 2, 3], [1, 2, 4, 3], [1, 2, 4], [1, 3]]
    )
    assert telling_tokens(prompt) == [3, None, None, None]
    assert telling_tokens(replace(prompt, candidates=[])) == []


def test_the_text_of_the_telling_token_is_kept(tokenizer):
    query = (Segment("question", "Q: What is Mary doing?\nA:"),)
    prompt = tokenize(render(Prompt((), query, (" reading", " cooking")), "plain", tokenizer), tokenizer)
    for ids, piece in zip(prompt.candidates, prompt.candidate_pieces, strict=True):
        assert piece
        assert tokenizer.decode(ids[len(prompt) : len(prompt) + 1]) == piece


def test_the_eiffel_tower_is_found_late(demo_model):
    loaded = load(LocatedModel("demo", "folder", demo_model), "float32")
    query = (Segment("question", "The Eiffel Tower is in the city of"),)
    prompt = tokenize(render(Prompt((), query, (" Paris", " London")), "plain"), loaded.tokenizer)
    found = lens(loaded.model, [prompt], n_layers=loaded.facts.n_layers)[0]
    assert list(prompt.candidate_pieces) == [" Paris", " London"]
    assert (found.rank[29:] == 1).all()
    assert (found.rank[:29] > 1).all()


def test_a_readout_of_the_models_own_states_gives_its_logits_in_half_precision():
    model = tiny("llama").to(torch.bfloat16)
    found = lens(model, [with_answers(prompt) for prompt in family()[:3]])
    assert all(np.isfinite(one.entropy).all() for one in found.values())
    assert Readout(model, LAYERS).logits(torch.randn(2, 32).to(torch.bfloat16)).dtype == torch.float32
