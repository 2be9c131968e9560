import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertLMHeadModel,
    MambaConfig,
    MambaForCausalLM,
    RwkvConfig,
    RwkvForCausalLM,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from iclviz.capture import choosing
from iclviz.capture.attention import Kernel
from iclviz.capture.choosing import borders, choose_way, trials
from iclviz.errors import ModelError
from tests.capture.models import LAYERS, SETTINGS, SHAPE, WINDOWS, tiny

SURE = {"falcon": "eager", "falcon_alibi": "alone", "bloom": "eager", "gptj": "eager", "mpt": "alone"}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_fastest_exact_way_is_taken(name):
    assert choose_way(tiny(name), LAYERS).way == SURE.get(name, "interface")


def test_a_registered_function_that_gives_other_rows_is_not_believed(monkeypatch):
    def wrong(self, scores, mask):
        return torch.rand_like(scores)

    monkeypatch.setattr("iclviz.capture.attention.Kernel.weights", wrong)
    assert choose_way(tiny("llama"), LAYERS).way == "eager"


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


def longrope(switch):
    """A model whose rotary positions are scaled anew from some length on."""
    scaling = {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [4.0] * 4, "rope_theta": 10000.0}
    settings = {**SHAPE, "original_max_position_embeddings": switch}
    config = CONFIG_MAPPING["phi3"](**settings, rope_parameters={**scaling, "original_max_position_embeddings": switch})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config).eval()


def test_beyond_a_switch_of_positions_prompts_are_read_alone():
    model = longrope(120)
    assert choose_way(model, LAYERS, None, trials(model.config, [(60, 4)])).way == "interface"
    assert choose_way(model, LAYERS, None, trials(model.config, [(140, 4), (60, 4)])).way == "alone"


def test_responses_that_cross_a_switch_are_refused_with_a_sentence():
    model = longrope(120)
    with pytest.raises(ModelError, match="for responses that cross 120 tokens, from where it reads otherwise"):
        choose_way(model, LAYERS, None, trials(model.config, [(118, 8)]))


def test_where_matrices_are_too_large_prompts_beyond_a_switch_are_read_alone(monkeypatch):
    monkeypatch.setattr(choosing, "MOST_BYTES", 0)
    model = longrope(120)
    assert choose_way(model, LAYERS, None, trials(model.config, [(140, 4)])).way == "alone"
    with pytest.raises(ModelError, match="responses that cross 120 tokens"):
        choose_way(model, LAYERS, None, trials(model.config, [(118, 8)]))


@pytest.mark.parametrize(
    ("name", "settings", "border"),
    [("mistral", {"sliding_window": 40}, 40), ("llama4_text", {"attention_chunk_size": 32, "head_dim": 8}, 32),
     ("gemma3_text", {**WINDOWS, "sliding_window": 24, "head_dim": 8}, 24)],
)  # fmt: skip
def test_windows_and_chunks_are_tried_beyond_their_length(name, settings, border):
    config = CONFIG_MAPPING[name](**{**SHAPE, **settings})
    assert borders(config).keys() >= {border}
    beyond = [one for one in trials(config, [(border + 20, 4)]) if one.border == border]
    assert [one.shared < border for one in beyond] == [True, False]
    assert all(min(one.prompts) > border for one in beyond)
    assert trials(config, [(border - 10, 4)]) == (choosing.USUAL,)


def test_a_window_that_is_not_kept_is_found_beyond_its_length_alone(monkeypatch):
    model = tiny("mistral")
    model.config.sliding_window = 40
    tried = trials(model.config, [(60, 4)])
    monkeypatch.setattr(choosing, "_difference", lambda engine, texts, *rest: float(len(texts[0]) > 40))
    with pytest.raises(ModelError, match=r"for prompts longer than 40 tokens, from where it reads otherwise"):
        choose_way(model, LAYERS, None, tried)


def test_a_hybrid_whose_other_blocks_give_no_matrices_is_one_sentence():
    kinds = ["linear_attention", "full_attention", "linear_attention"]
    settings = {**SHAPE, "layer_types": kinds, "num_local_experts": 2, "head_dim": 8, "block_size": 4}
    model = AutoModelForCausalLM.from_config(CONFIG_MAPPING["minimax"](**settings)).eval()
    with pytest.raises(ModelError, match="MiniMaxForCausalLM has attention in 1 of its 3 blocks, and all are needed"):
        choose_way(model, LAYERS)


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


def ill_conditioned(scale=40.0):
    """A model of many blocks whose weights make of rounding in float32 a visible difference of attention."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(CONFIG_MAPPING["llama"](**{**SHAPE, "num_hidden_layers": 8})).eval()
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(scale if weights.dim() > 1 else 1)
    return model


def test_exact_ways_that_rounding_alone_keeps_apart_are_compared_in_float64():
    model = ill_conditioned()
    found = choose_way(model, 8)
    assert found.way == "interface"
    assert choosing.TOLERANCES[torch.float32] < found.difference < 0.01
    assert model.dtype == torch.float32
    assert choose_way(tiny("llama"), LAYERS).difference < 1e-5


def test_another_computation_is_no_rounding_whatever_the_weights(monkeypatch):
    exact = Kernel.weights

    def wrong(self, scores, mask):
        return exact(self, scores * 1.01, mask)

    monkeypatch.setattr("iclviz.capture.attention.Kernel.weights", wrong)
    assert choose_way(ill_conditioned(), 8).way == "eager"


def test_where_float64_has_no_room_the_refusal_says_that_it_may_be_rounding(monkeypatch):
    monkeypatch.setattr(choosing, "free_memory", lambda device: 0)
    with pytest.raises(ModelError, match="there is no room to compare in float64 whether that is rounding"):
        choose_way(ill_conditioned(), 8)


@pytest.mark.parametrize("positions", [6, 9, 15])
def test_a_model_of_few_positions_is_tried_within_them(positions):
    settings = {**SETTINGS["gpt2"], "n_positions": positions}
    model = AutoModelForCausalLM.from_config(CONFIG_MAPPING["gpt2"](**settings)).eval()
    assert choose_way(model, LAYERS).way == "interface"


def test_a_window_near_the_end_of_the_positions_is_tried_within_them():
    model = AutoModelForCausalLM.from_config(
        CONFIG_MAPPING["gpt_neo"](
            vocab_size=200, hidden_size=32, num_layers=2, num_heads=4, max_position_embeddings=40, window_size=32,
            attention_types=[[["global", "local"], 1]],
        )
    ).eval()  # fmt: skip
    assert choose_way(model, 2, None, trials(model.config, [(36, 4)])).way in choosing.WAYS


def test_whatever_a_model_raises_when_it_is_tried_is_one_sentence():
    model = tiny("llama")

    def broken(*given):
        raise ZeroDivisionError("of its own")

    model.model.layers[1].register_forward_pre_hook(broken)
    with pytest.raises(ModelError, match=r"LlamaForCausalLM does not run as it has to.*ZeroDivisionError: of its own"):
        choose_way(model, LAYERS)


def test_states_of_a_recurrent_model_are_not_taken_for_attention():
    """Its states are as many numbers wide as the text that it is tried on is long."""
    width = max(choosing.USUAL.prompts) + choosing.RESPONSE_TOKENS
    config = RwkvConfig(vocab_size=100, hidden_size=width, attention_hidden_size=width, num_hidden_layers=2)
    with pytest.raises(ModelError, match="RwkvForCausalLM has attention in 0 of its 2 blocks"):
        choose_way(RwkvForCausalLM(config).eval(), 2)


def test_a_model_that_runs_in_none_of_the_ways_says_what_it_said():
    config = CONFIG_MAPPING["openai-gpt"](vocab_size=100, n_embd=32, n_layer=2, n_head=4)
    with pytest.raises(ModelError, match=r"OpenAIGPTLMHeadModel runs in none of the ways .*\(\w+Error: .+\)"):
        choose_way(AutoModelForCausalLM.from_config(config).eval(), 2)
