"""Tiny random models in every form that a user may bring, and a machine of the tests' own: home, cache, hub cache."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter
from huggingface_hub import constants
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from iclviz import places

TEXT = ["the cat is sleeping.", "Q: what is 12 + 34?\nA: 46", "x = 3, y = 19", "Anna is reading a book.", "hello world"]
WIDTH, LAYERS, HEADS, INNER, CONTEXT = 32, 2, 4, 64, 128


@pytest.fixture(autouse=True)
def own_machine(tmp_path, monkeypatch):
    """Nothing outside the test's folder is read or written, and no checkout is around."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("ICLVIZ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(places, "checkout", lambda: None)
    return home


def train_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory) -> Path:
    """A tiny Llama-shaped model as `save_pretrained` writes it, in several shards."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("saved") / "tiny"
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=train_tokenizer(), bos_token="<s>", eos_token="</s>")
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(folder, max_shard_size="40KB")
    tokenizer.save_pretrained(folder)
    assert len(list(folder.glob("*.safetensors"))) > 1
    return folder


@pytest.fixture
def model_folder(saved_model, tmp_path) -> Path:
    """A copy of the tiny model that a test may damage."""
    return Path(shutil.copytree(saved_model, tmp_path / "tiny"))


@pytest.fixture(scope="session")
def saved_gguf(tmp_path_factory) -> Path:
    """A tiny Llama-shaped model with a byte-level tokenizer that splits digits, as one `.gguf` file."""
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    described = json.loads(train_tokenizer().to_str())["model"]
    vocab = sorted(described["vocab"], key=described["vocab"].get)
    merges = [" ".join(pair) for pair in described["merges"]]
    writer = GGUFWriter(path, "llama")
    _write_metadata(writer, vocab, merges)
    _write_tensors(writer, len(vocab), np.random.default_rng(0))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_metadata(writer: GGUFWriter, vocab: list[str], merges: list[str]) -> None:
    writer.add_block_count(LAYERS)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(vocab))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(vocab)
    writer.add_token_types([3, 3] + [1] * (len(vocab) - 2))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_chat_template("{% for m in messages %}{{ m.content }}{% endfor %}")


def _write_tensors(writer: GGUFWriter, n_vocab: int, rng: np.random.Generator) -> None:
    half = WIDTH // 2
    block = {
        "attn_norm": (WIDTH,),
        "attn_q": (WIDTH, WIDTH),
        "attn_k": (half, WIDTH),
        "attn_v": (half, WIDTH),
        "attn_output": (WIDTH, WIDTH),
        "ffn_norm": (WIDTH,),
        "ffn_gate": (INNER, WIDTH),
        "ffn_up": (INNER, WIDTH),
        "ffn_down": (WIDTH, INNER),
    }
    shapes = {"token_embd": (n_vocab, WIDTH), "output_norm": (WIDTH,), "output": (n_vocab, WIDTH)}
    shapes |= {f"blk.{layer}.{name}": shape for layer in range(LAYERS) for name, shape in block.items()}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", rng.normal(size=shape).astype(np.float32))


@pytest.fixture
def gguf_file(saved_gguf, tmp_path) -> Path:
    """A copy of the tiny `.gguf` file that a test may damage."""
    return Path(shutil.copy(saved_gguf, tmp_path / "tiny.gguf"))
