import pytest
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from iclviz.models.reach import reach_of
from tests.capture.models import LAYERS, SHAPE, WINDOWS

NEO = {"vocab_size": 200, "num_layers": 4, "window_size": 32, "attention_types": [[["global", "local"], 2]]}
FULL = [{}] * LAYERS


@pytest.mark.parametrize(
    ("name", "settings", "reach"),
    [
        ("llama", {}, FULL),
        ("mistral", {"sliding_window": 7}, [{"window": 7}] * LAYERS),
        ("mistral", {"sliding_window": None}, FULL),
        ("qwen2", {"sliding_window": 7, "use_sliding_window": False}, FULL),
        ("gemma3_text", WINDOWS, [{"window": 5}, {}, {"window": 5}]),
        (
            "llama4_text",
            {"attention_chunk_size": 32, "layer_types": ["chunked_attention", "full_attention", "chunked_attention"]},
            [{"chunk": 32}, {}, {"chunk": 32}],
        ),
        ("bloom", {}, FULL),
    ],
)
def test_a_configuration_says_how_far_each_block_reaches(name, settings, reach):
    assert reach_of(CONFIG_MAPPING[name](**{**SHAPE, **settings}), LAYERS) == reach


def test_blocks_of_gpt_neo_are_global_and_local_in_turn():
    assert reach_of(CONFIG_MAPPING["gpt_neo"](**NEO), 4) == [{}, {"window": 32}] * 2
