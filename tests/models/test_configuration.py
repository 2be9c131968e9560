import json

import pytest

from iclviz.errors import ModelError
from iclviz.models.configuration import ModelFacts, facts_of, model_facts
from iclviz.models.locating import LocatedModel, locate


def test_a_folder_tells_its_shape(model_folder):
    facts = model_facts(locate(str(model_folder)))
    assert facts == ModelFacts("LlamaForCausalLM", 2, 4, 32, 128, facts.vocab, "float32")
    assert facts.vocab > 256


def test_a_gguf_file_tells_the_same(gguf_file):
    facts = model_facts(locate(str(gguf_file)))
    assert facts == ModelFacts("llama", 2, 4, 32, 128, facts.vocab, "float32")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            {"model_type": "gpt2", "n_layer": 12, "n_head": 6, "n_embd": 768, "n_positions": 1024, "vocab_size": 9},
            ModelFacts("gpt2", 12, 6, 768, 1024, 9, "float32"),
        ),
        (
            {
                "architectures": ["Gemma3ForConditionalGeneration"],
                "text_config": {
                    "num_hidden_layers": 34,
                    "num_attention_heads": 8,
                    "hidden_size": 2560,
                    "max_position_embeddings": 131072,
                    "vocab_size": 262208,
                },
                "torch_dtype": "torch.bfloat16",
            },
            ModelFacts("Gemma3ForConditionalGeneration", 34, 8, 2560, 131072, 262208, "bfloat16"),
        ),
        (
            {"architectures": ["BloomForCausalLM"], "n_layer": 24, "n_head": 16, "hidden_size": 1024, "vocab_size": 9},
            ModelFacts("BloomForCausalLM", 24, 16, 1024, None, 9, "float32"),
        ),
    ],
)
def test_families_name_their_shape_differently(config, expected):
    assert facts_of(config) == expected


def test_a_config_without_shape_gets_a_sentence(model_folder):
    (model_folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(ModelError, match="does not tell n_layers, n_heads, d_model, vocab"):
        model_facts(locate(str(model_folder)))


def test_a_model_that_is_not_on_disk_gets_a_sentence():
    with pytest.raises(ModelError, match="not on disk"):
        model_facts(LocatedModel("org/name", "hub", None, "org/name", "abc"))
