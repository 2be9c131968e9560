import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import DynamicCache, Gemma2Config, LlamaConfig, Qwen3Config, Qwen3MoeConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from iclviz.errors import ModelError
from iclviz.planning.dry_run import Heads, counted
from tests.capture.models import SETTINGS, tiny

EXPERTS = ("mixtral", "qwen3_moe", "gpt_oss")
SHAPE = {"vocab_size": 100, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}


def config_of(name):
    values = dict(SETTINGS[name])
    return CONFIG_MAPPING[values.pop("model_type", name)](**values)


@pytest.mark.parametrize("name", SETTINGS)
def test_parameters_and_keys_are_those_of_the_real_model(name):
    counts, model, cache = counted(config_of(name)), tiny(name), DynamicCache()
    assert counts.parameters == sum(one.numel() for one in model.parameters())
    with torch.no_grad():
        model(torch.tensor([[2, 3, 4]]), past_key_values=cache)
    left = sum(layer.keys.numel() + layer.values.numel() for layer in cache.layers)
    assert counts.key_bytes == left / 3 * 4


@pytest.mark.parametrize("name", [name for name in SETTINGS if name not in EXPERTS])
def test_operations_are_those_of_the_real_model(name):
    counts, model = counted(config_of(name)), tiny(name)
    if model._can_set_attn_implementation():
        model.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as seen, torch.no_grad():
        model(torch.arange(2, 18)[None])
    tokens = 16
    mine = tokens * (counts.pass_.flops_per_token + counts.head_flops) + tokens**2 * counts.pair_flops
    assert mine == pytest.approx(seen.get_total_flops(), rel=1e-3)


def test_the_output_layer_multiplies_and_adds():
    counts = counted(LlamaConfig(**SHAPE, num_attention_heads=4))
    assert counts.head_flops == 2 * 100 * 32


def test_grouped_keys_and_explicit_head_width_are_the_models_own():
    grouped = counted(LlamaConfig(**SHAPE, num_attention_heads=4, num_key_value_heads=2))
    assert grouped.blocks == (Heads(4, 2, 8, 8),) * 2
    wide = counted(Qwen3Config(**SHAPE, num_attention_heads=4, num_key_value_heads=2, head_dim=16))
    assert wide.blocks == (Heads(4, 2, 16, 16),) * 2
    assert wide.key_bytes == 2 * 2 * 2 * 16 * 4
    gemma = counted(Gemma2Config(**SHAPE, num_attention_heads=4, num_key_value_heads=1, head_dim=24))
    assert gemma.pair_flops == 2 * 4 * 4 * 24


def test_tied_embeddings_are_counted_once():
    apart, tied = (
        counted(LlamaConfig(**SHAPE, num_attention_heads=4, tie_word_embeddings=tie)) for tie in (False, True)
    )
    assert apart.parameters - tied.parameters == 100 * 32
    assert apart.head_flops == tied.head_flops


def test_a_token_is_given_to_some_experts_alone():
    size = {"num_experts": 8, "moe_intermediate_size": 16}
    few, all_ = (
        counted(Qwen3MoeConfig(**SHAPE, **size, num_attention_heads=4, head_dim=8, num_experts_per_tok=n))
        for n in (2, 8)
    )
    of_experts = 2 * 8 * 3 * 32 * 16
    assert few.parameters == all_.parameters == all_.active
    assert few.parameters - few.active == of_experts * 6 / 8
    assert all_.pass_.flops_per_token - few.pass_.flops_per_token == 2 * of_experts * 6 / 8
    read = [float((few.pass_.times * few.pass_.weights_read(tokens)).sum()) for tokens in (1, 1000)]
    assert read[1] - read[0] == pytest.approx(4 * of_experts * 6 / 8)


def test_half_as_many_bytes_in_half_as_many_bits():
    whole, half = (counted(LlamaConfig(**SHAPE, num_attention_heads=4), dtype) for dtype in ("float32", "bfloat16"))
    assert (whole.weight_bytes, whole.key_bytes) == (2 * half.weight_bytes, 2 * half.key_bytes)
    assert whole.held > 1.5 * half.held


def test_a_model_of_billions_needs_no_memory():
    config = LlamaConfig(
        vocab_size=32000, hidden_size=8192, intermediate_size=28672, num_hidden_layers=2, num_attention_heads=64,
        num_key_value_heads=8,
    )  # fmt: skip
    block = 2 * 8192 * 8192 + 2 * 8192 * 1024 + 3 * 8192 * 28672 + 2 * 8192
    assert counted(config, "float16").parameters == 2 * 32000 * 8192 + 2 * block + 8192


def test_what_cannot_be_run_without_numbers_is_told():
    with pytest.raises(ModelError, match="cannot be planned"):
        counted(CONFIG_MAPPING["t5"]())
