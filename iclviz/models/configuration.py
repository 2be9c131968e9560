"""A model's shape, read from its `config.json` or `.gguf` header as plain values: no weights, no torch.

Families name the same things differently (`n_layer`, `num_hidden_layers`, `num_layers`), and models that also see
images nest their language part in `text_config`; the tables below list the names that are tried.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from iclviz.errors import ModelError
from iclviz.models.folders import read_json
from iclviz.models.gguf_header import GgufHeader, read_header
from iclviz.models.locating import LocatedModel

_NAMES = {
    "n_layers": ("num_hidden_layers", "n_layer", "num_layers", "n_layers"),
    "n_heads": ("num_attention_heads", "n_head", "num_heads", "n_heads"),
    "d_model": ("hidden_size", "n_embd", "d_model", "dim"),
    "context_length": (
        "max_position_embeddings",
        "n_positions",
        "n_ctx",
        "max_sequence_length",
        "max_seq_len",
        "seq_length",
    ),
    "vocab": ("vocab_size", "padded_vocab_size"),
}
_GGUF_NAMES = {
    "n_layers": "block_count",
    "n_heads": "attention.head_count",
    "d_model": "embedding_length",
    "context_length": "context_length",
    "vocab": "vocab_size",
}
_GGUF_DTYPES = {0: "float32", 1: "float16", 30: "bfloat16"}


@dataclass(frozen=True)
class ModelFacts:
    """A model's shape.

    Attributes
    ----------
    architecture: the class's or the family's name, such as "LlamaForCausalLM".
    n_layers: L, blocks.
    n_heads: H, query heads of a block (the most, where blocks differ).
    d_model: d, width of the residual stream.
    context_length: tokens that the model reads; None where its positions know no limit (ALiBi).
    vocab: entries of the token embedding.
    dtype: what the weights are stored in; "float16" for quantised ones.
    """

    architecture: str
    n_layers: int
    n_heads: int
    d_model: int
    context_length: int | None
    vocab: int
    dtype: str


def model_facts(located: LocatedModel) -> ModelFacts:
    """The shape of the model.

    Raises
    ------
    ModelError: the model is not on disk, or its configuration does not tell its shape.
    """
    if located.path is None:
        raise ModelError(f"{located.name} is not on disk, so its size is not known yet.", "Its first run fetches it.")
    if located.kind == "gguf":
        return _gguf_facts(located, read_header(located.path))
    return facts_of(read_json(located.path / "config.json"), located.name)


def facts_of(config: Mapping[str, Any], name: str = "The model") -> ModelFacts:
    """The shape that a `config.json` describes.

    Raises
    ------
    ModelError: the number of blocks, heads or units, or the vocabulary's size, is not there.
    """
    text = config.get("text_config") or config
    places = (text, config)
    found = {fact: _first(places, names) for fact, names in _NAMES.items()}
    architectures = config.get("architectures") or [config.get("model_type") or "unknown"]
    dtype = _first(places, ("dtype", "torch_dtype"))
    return _facts(name, str(architectures[0]), found, str(dtype or "float32").removeprefix("torch."))


def _first(places: Iterable[Mapping[str, Any]], names: Iterable[str]) -> Any:
    return next((place[name] for place in places for name in names if place.get(name) is not None), None)


def _gguf_facts(located: LocatedModel, header: GgufHeader) -> ModelFacts:
    found = {fact: header.get(name) for fact, name in _GGUF_NAMES.items()}
    found["vocab"] = found["vocab"] or header.metadata.get("tokenizer.ggml.tokens")
    # Norms stay in float32 beside matrices of any type.
    kinds = {tensor.kind for tensor in header.tensors if len(tensor.shape) > 1}
    dtype = _GGUF_DTYPES.get(next(iter(kinds)), "float16") if len(kinds) == 1 else "float16"
    return _facts(located.name, header.architecture, found, dtype)


def _facts(name: str, architecture: str, found: Mapping[str, Any], dtype: str) -> ModelFacts:
    missing = [fact for fact, value in found.items() if value is None and fact != "context_length"]
    if missing:
        raise ModelError(
            f"The configuration of {name} does not tell {', '.join(missing)}.", "Take a language model's folder."
        )
    numbers = {fact: max(value) if isinstance(value, list) else value for fact, value in found.items()}
    return ModelFacts(architecture=architecture, dtype=dtype, **numbers)
