"""What a configuration says of windows and chunks is what a model's attention does."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

import iclviz
from iclviz.analysis.attention import missing_reasons
from iclviz.analysis.attention_reach import reached
from iclviz.spans import ROLES
from iclviz.spec import Demonstrations
from tests.capture.models import LAYERS, SETTINGS

MODELS = {
    "mistral": {"sliding_window": 30},
    "gemma3_text": {"sliding_window": 24},
    "llama4_text": {
        "attention_chunk_size": 32,
        "head_dim": 8,
        "layer_types": ["chunked_attention", "full_attention", "chunked_attention"],
        "intermediate_size_mlp": 64,
        "num_local_experts": 2,
    },
    "gpt_neo": {
        "num_layers": LAYERS,
        "num_heads": 4,
        "window_size": 20,
        "attention_types": [[["global", "local", "local"], 1]],
    },
}


@pytest.fixture(params=MODELS)
def windowed(request, tokenizer, tmp_path):
    """A recording of a tiny random model whose blocks do not all reach back to the demonstrations."""
    settings = {**SETTINGS.get(request.param, SETTINGS["llama"]), **MODELS[request.param], "vocab_size": len(tokenizer)}
    config = CONFIG_MAPPING[request.param](**settings)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "windowed")
    tokenizer.save_pretrained(tmp_path / "windowed")
    return iclviz.run(
        str(tmp_path / "windowed"), "linear_regression", Demonstrations("correct", 5), 8, 0, {"distractor": True}
    )


@pytest.mark.parametrize("rows", ["response", "last"])
def test_a_text_is_reached_where_some_head_of_a_random_model_has_mass_on_it(windowed, rows):
    masses = {"response": windowed.attention, "last": windowed.attention_last}[rows]
    for role in ROLES:
        mass = np.asarray(masses[role])
        found = reached(windowed, role, rows, 0 * mass)  # by what is recorded of windows alone
        assert found.shape == (8, LAYERS)
        np.testing.assert_array_equal(found, (mass > 0).any(axis=2), err_msg=role)
    found = reached(windowed, "special", rows, 0 * np.asarray(masses["special"]))
    assert not found.all()


def test_a_text_outside_the_window_is_missing_with_its_reason(windowed):
    reasons = missing_reasons(windowed, over="special", under="relevant")
    assert set(reasons) == {"the block's attention does not reach one of the texts"}
