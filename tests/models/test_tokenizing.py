import subprocess
import sys
from pathlib import Path

import pytest

from iclviz.errors import ModelError
from iclviz.models.locating import LocatedModel, locate
from iclviz.models.presets import preset
from iclviz.models.tokenizing import load_tokenizer

ROOT = Path(__file__).parents[2]
VICUNA_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)


def test_pages_tokenise_without_torch(model_folder):
    code = f"""
import sys
from iclviz.models.configuration import model_facts
from iclviz.models.identity import identity
from iclviz.models.locating import locate, on_disk
from iclviz.models.tokenizing import load_tokenizer
located = locate({str(model_folder)!r})
print(load_tokenizer(located)("the cat"), identity(located), model_facts(located), on_disk("qwen3-8b"))
sys.exit("torch" in sys.modules or "streamlit" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_locating_imports_neither_torch_nor_transformers(model_folder):
    code = f"""
import sys
from iclviz.models.locating import locate
locate({str(model_folder)!r})
sys.exit("transformers" in sys.modules or "torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_tokenizer_gives_offsets(model_folder):
    encoded = load_tokenizer(locate(str(model_folder)))("the cat", return_offsets_mapping=True)
    assert encoded["offset_mapping"][-1][1] == len("the cat")


@pytest.mark.parametrize("content", ['{"model": 3', "{}", '{"model": 3, "added_tokens": []}', "[]", ""])
def test_a_damaged_tokenizer_gets_a_sentence(model_folder, content):
    (model_folder / "tokenizer.json").write_text(content)
    with pytest.raises(
        ModelError, match=r"tiny cannot be read: its files are damaged.*Fetch or copy the model again\."
    ):
        load_tokenizer(locate(str(model_folder)))


def test_a_tokenizer_that_is_not_converted_yet_says_when(gguf_file):
    with pytest.raises(ModelError, match="Token counts come after the model's first run"):
        load_tokenizer(locate(str(gguf_file)))


def test_a_model_that_is_not_on_disk_says_when():
    with pytest.raises(ModelError, match="after the model's first run"):
        load_tokenizer(LocatedModel("org/name", "hub", None, "org/name", "abc"))


def test_vicuna_gets_the_template_it_does_not_ship(model_folder):
    vicuna = preset("vicuna-13b-v1.3")
    located = LocatedModel(vicuna.name, "hub", model_folder, vicuna.source, "abc", vicuna)
    tokenizer = load_tokenizer(located)
    turns = [
        {"role": "user", "content": "Hello!"},
        {"role": "assistant", "content": "Hi!"},
        {"role": "user", "content": "How are you?"},
    ]
    one = tokenizer.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True)
    assert one == f"<s>{VICUNA_SYSTEM} USER: Hello! ASSISTANT:"
    three = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert three == f"<s>{VICUNA_SYSTEM} USER: Hello! ASSISTANT: Hi!</s>USER: How are you? ASSISTANT:"
    own = [{"role": "system", "content": "Be brief."}, *turns[:1]]
    assert tokenizer.apply_chat_template(own, tokenize=False) == "<s>Be brief. USER: Hello! "
    with pytest.raises(Exception, match="must alternate"):
        tokenizer.apply_chat_template(turns[1:2], tokenize=False)


def test_a_models_own_template_comes_first(model_folder):
    (model_folder / "chat_template.jinja").write_text("own")
    vicuna = preset("vicuna-13b-v1.3")
    located = LocatedModel(vicuna.name, "hub", model_folder, vicuna.source, "abc", vicuna)
    assert load_tokenizer(located).chat_template == "own"
