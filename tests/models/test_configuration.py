import json
import subprocess
import sys
from pathlib import Path

import pytest

from iclviz.errors import ModelError
from iclviz.models.configuration import ModelFacts, facts_of, model_facts
from iclviz.models.locating import LocatedModel, locate

ROOT = Path(__file__).parents[2]


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


def test_what_a_configuration_leaves_out_is_its_class_s_default():
    facts = facts_of({"model_type": "gemma3", "text_config": {"hidden_size": 2560, "num_hidden_layers": 34}})
    assert facts == ModelFacts("gemma3", 34, 8, 2560, 131072, 262208, "float32")
    facts = facts_of({"model_type": "xglm", "num_layers": 24, "attention_heads": 16, "d_model": 1024})
    assert facts == ModelFacts("xglm", 24, 16, 1024, 2048, 256008, "float32")


def test_pages_read_it_in_a_process_of_its_own_and_once(model_folder, own_cache):
    (model_folder / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_layer": 3}))
    code = (
        "import subprocess, sys; asked = []; run = subprocess.run\n"
        "subprocess.run = lambda *given, **named: asked.append(given) or run(*given, **named)\n"
        "from iclviz.models.configuration import model_facts; from iclviz.models.locating import locate\n"
        f"located = locate({str(model_folder)!r})\n"
        "assert model_facts(located) == model_facts(located)\n"
        "print(model_facts(located).n_layers, model_facts(located).vocab, len(asked), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["3", "50257", "1", "False"], done.stderr
    assert len(list((own_cache / "configurations").iterdir())) == 1


def test_a_config_without_shape_gets_a_sentence(model_folder):
    (model_folder / "config.json").write_text(json.dumps({"model_type": "mamba"}))
    with pytest.raises(ModelError, match="does not tell n_heads"):
        model_facts(locate(str(model_folder)))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "architecture unknown, which is not known"),
        ({"model_type": "brandnew"}, "architecture brandnew, which is not known"),
        ({"model_type": "own", "auto_map": {"AutoConfig": "x.Y"}}, "only usable with code that it brings along"),
        ({"model_type": "llama", "num_hidden_layers": "many"}, "cannot be read"),
    ],
)
def test_a_configuration_that_no_class_reads_gets_a_sentence(config, said):
    with pytest.raises(ModelError, match=said):
        facts_of(config)


def test_a_model_that_is_not_on_disk_gets_a_sentence():
    with pytest.raises(ModelError, match="not on disk"):
        model_facts(LocatedModel("org/name", "hub", None, "org/name", "abc"))
