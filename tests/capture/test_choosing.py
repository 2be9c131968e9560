import pytest
import torch
from transformers import BertConfig, BertLMHeadModel, MambaConfig, MambaForCausalLM

from iclviz.capture import choosing
from iclviz.capture.choosing import choose_way
from iclviz.errors import ModelError
from tests.capture.models import LAYERS, SETTINGS, tiny

SURE = {"falcon": "eager", "falcon_alibi": "alone", "bloom": "eager", "gptj": "eager", "mpt": "alone"}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_fastest_exact_way_is_taken(name):
    assert choose_way(tiny(name), LAYERS) == SURE.get(name, "interface")


def test_a_registered_function_that_gives_other_rows_is_not_believed(monkeypatch):
    def wrong(self, scores, mask):
        return torch.rand_like(scores)

    monkeypatch.setattr("iclviz.capture.attention.Kernel.weights", wrong)
    assert choose_way(tiny("llama"), LAYERS) == "eager"


def test_a_model_that_no_way_records_exactly_is_refused_with_what_each_way_gave(monkeypatch):
    monkeypatch.setattr(choosing, "_difference", lambda engine, *rest: 0.5 if engine.way == "alone" else float("inf"))
    reason = r"LlamaForCausalLM cannot be recorded exactly.*interface: it does not run so, .*alone: 0\.5"
    with pytest.raises(ModelError, match=reason):
        choose_way(tiny("llama"), LAYERS)


def test_a_model_that_reads_both_ways_is_known_by_its_attention():
    config = BertConfig(
        vocab_size=100, hidden_size=32, intermediate_size=64, num_hidden_layers=LAYERS, num_attention_heads=4
    )
    with pytest.raises(ModelError, match=r"BertLMHeadModel reads later tokens too.*Take a causal language model"):
        choose_way(BertLMHeadModel(config).eval(), LAYERS)


def test_blocks_without_attention_are_refused():
    config = MambaConfig(vocab_size=100, hidden_size=32, num_hidden_layers=2, state_size=4)
    with pytest.raises(ModelError, match="MambaForCausalLM has attention in 0 of its 2 blocks"):
        choose_way(MambaForCausalLM(config).eval(), 2)


@pytest.mark.parametrize("part", ["model.layers.1.self_attn.q_proj", "lm_head"])
def test_weights_that_are_no_numbers_are_named_as_the_reason(part):
    model = tiny("llama")
    with torch.no_grad():
        model.get_submodule(part).weight[0, 0] = float("nan")
    with pytest.raises(ModelError, match=r"no numbers in float32: its weights are damaged\. Fetch or save the model"):
        choose_way(model, LAYERS)


def test_a_dtype_that_the_weights_overflow_is_named_as_the_reason():
    model = tiny("llama")
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight *= 1e9
    choose_way(model, LAYERS)
    with pytest.raises(ModelError, match=r"no numbers in float16: its weights are too large.*Take the dtype float32"):
        choose_way(model.half(), LAYERS)
