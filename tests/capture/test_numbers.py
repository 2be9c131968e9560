"""A number that is none stops a batch, wherever it arises and whatever of it is kept."""

import pytest
import torch

from iclviz.capture.decoding import Decoding
from iclviz.capture.engine import Engine
from iclviz.capture.numbers import NoNumberError
from iclviz.capture.plan import PlanSettings
from tests.capture.models import LAYERS, family, random_prompts, tiny
from tests.capture.recording import record

BAD = float("inf")


def overflowing(name, block, token, value=BAD):
    """A model in which a block's output is none at a token of that id, and the counts of how often it was read."""
    model = tiny(name)
    read = {}

    def remember(module, arguments, options):
        read["ids"] = options["input_ids"]

    def spoil(module, arguments, output):
        hidden = output[0] if isinstance(output, tuple) else output
        hidden[read["ids"] == token] = value
        return output

    model.base_model.register_forward_pre_hook(remember, with_kwargs=True)
    blocks = model.model.layers if hasattr(model, "model") else model.transformer.h
    blocks[block - 1].register_forward_hook(spoil)
    return Engine(model, "interface", LAYERS)


def without(token, prompts):
    """The prompts, none of which has that token."""
    for prompt in prompts:
        prompt.ids[:] = [2 if one == token else one for one in prompt.ids]
        prompt.candidates[:] = [[2 if one == token else one for one in whole] for whole in prompt.candidates]
    return prompts


@pytest.mark.parametrize("name", ["llama", "gpt2"])
@pytest.mark.parametrize("value", [BAD, -BAD, float("nan")])
@pytest.mark.parametrize("block", [1, LAYERS])
@pytest.mark.parametrize("poolings", [("last",), ("query_max",), ("query_mean", "max")])
def test_a_state_of_any_token_of_the_prompt_stops_the_batch(name, value, block, poolings):
    """Also of a token that no pooling takes, and of one whose infinity a maximum passes over."""
    prompts = without(199, random_prompts((12, 30, 8)))
    prompts[1].ids[1] = 199
    engine = overflowing(name, block, 199, value)
    with pytest.raises(NoNumberError, match=f"a state of layer {block} of {LAYERS}") as error:
        record(engine, prompts, poolings, Decoding(3))
    assert error.value.prompt == 1


def test_a_state_that_prompts_share_is_told_of_one_of_them():
    prompts = family()
    with pytest.raises(NoNumberError, match=f"a state of layer 2 of {LAYERS}") as error:
        record(
            overflowing("llama", 2, prompts[0].ids[0]), prompts, ("last",), Decoding(2), PlanSettings(4096, 1, True, 0)
        )
    assert prompts[error.value.prompt].ids[0] == prompts[0].ids[0]


def test_a_state_of_the_response_is_found_in_the_attention_that_it_makes():
    prompts = without(199, random_prompts((12, 9)))
    forced = [[5, 6, 7], [5, 199, 7]]
    with pytest.raises(NoNumberError, match=f"the attention of block 3 of {LAYERS}") as error:
        record(overflowing("llama", 2, 199), prompts, ("last",), Decoding(3, forced=forced))
    assert error.value.prompt == 1
    last = [[5, 6, 7], [5, 7, 199]]
    with pytest.raises(NoNumberError, match=f"the attention of block 3 of {LAYERS}"):
        record(overflowing("llama", 2, 199), prompts, ("last",), Decoding(3, forced=last))
    with pytest.raises(NoNumberError, match="the logits"):
        record(overflowing("llama", LAYERS, 199), prompts, ("last",), Decoding(3, forced=forced))


def test_what_is_read_after_a_response_has_ended_is_nobodys_number():
    prompts = without(199, random_prompts((12, 9)))
    forced = [[5, 6, 7, 8], [5, 199]]
    engine = overflowing("llama", LAYERS, 199)
    captured = record(engine, prompts, ("last",), Decoding(3, forced=forced))
    assert [len(ids) for ids in captured.response_ids] == [4, 2]


def test_padding_is_nobodys_token():
    """Id 0 would fill up shorter rows of a pass, and its state is none here."""
    prompts = without(0, random_prompts((30, 26, 24)))
    captured = record(overflowing("llama", 1, 0), prompts, ("mean",), Decoding(2))
    assert all(torch.isfinite(torch.from_numpy(values)).all() for values in captured.embeddings.values())


def test_a_candidate_that_is_no_number_stops_the_batch():
    prompts = without(199, random_prompts((12, 9)))
    prompts[1].candidates[0] = [*prompts[1].ids, 199, 6]
    with pytest.raises(NoNumberError, match="the log-probability of candidate 1") as error:
        record(overflowing("llama", 1, 199), prompts, ("last",), Decoding(3, forced=[[5], [5]]))
    assert error.value.prompt == 1
