"""A model's shape, read from its `config.json` or `.gguf` header: no weights, and no torch in this process.

Families name the same things differently, leave defaults out, and nest the language part of models that also see
images; `iclviz.models.completing` has the library's own classes tell.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iclviz.errors import ModelError
from iclviz.models.completing import NAMES, completed
from iclviz.models.folders import read_json
from iclviz.models.gguf_header import GgufHeader, read_header
from iclviz.models.locating import LocatedModel

_NAMES = dict(zip(("n_layers", "n_heads", "d_model", "context_length", "vocab"), NAMES, strict=True))
"""Fact -> what the library calls it."""
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


def model_facts(located: LocatedModel, trusted: bool = False) -> ModelFacts:
    """The shape of the model.

    Parameters
    ----------
    trusted: whether code that comes with the model may be run, where nothing else reads its configuration.

    Raises
    ------
    ModelError: the model is not on disk, or its configuration does not tell its shape.
    """
    if located.path is None:
        raise ModelError(f"{located.name} is not on disk, so its size is not known yet.", "Its first run fetches it.")
    if located.kind == "gguf":
        return _gguf_facts(located, read_header(located.path))
    return facts_of(read_json(located.path / "config.json"), located.name, located.path, trusted)


def facts_of(
    config: Mapping[str, Any], name: str = "The model", folder: Path | None = None, trusted: bool = False
) -> ModelFacts:
    """The shape that a `config.json` describes; `folder` is where it lies.

    Raises
    ------
    ModelError: the number of blocks, heads or units, or the vocabulary's size, is not there.
    """
    return facts_from(completed(config, name, folder, trusted), name)


def facts_from(whole: Mapping[str, Any], name: str = "The model") -> ModelFacts:
    """The shape that a completed configuration tells.

    Raises
    ------
    ModelError: the number of blocks, heads or units, or the vocabulary's size, is not there.
    """
    architectures = whole.get("architectures") or [whole.get("model_type") or "unknown"]
    dtype = whole.get("dtype") or whole.get("torch_dtype") or "float32"
    found = {fact: whole.get(attribute) for fact, attribute in _NAMES.items()}
    return _facts(name, str(architectures[0]), found, str(dtype).removeprefix("torch."))


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
    if (numbers["context_length"] or 0) < 1:  # what XLNet says of no limit
        numbers["context_length"] = None
    return ModelFacts(architecture=architecture, dtype=dtype, **numbers)
