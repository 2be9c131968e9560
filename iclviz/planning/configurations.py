"""A model's configuration and counts, by its name; of a `.gguf` file also the bytes of its packed weights."""

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

from iclviz.models.completing import config_of
from iclviz.models.folders import read_json
from iclviz.models.gguf_header import read_header
from iclviz.models.locating import LocatedModel
from iclviz.planning.dry_run import ModelCounts, counted


@lru_cache(maxsize=16)
def counts_of(located: LocatedModel, dtype: str, trusted: bool = False) -> ModelCounts:
    """A model's counts with weights of a type; located: with its configuration on this disk.

    Raises
    ------
    ModelError: the configuration cannot be read, or no model can be made of it.
    """
    return counted(configuration(located, trusted), dtype, trusted)


def configuration(located: LocatedModel, trusted: bool = False) -> Any:
    """The library's object of a model's configuration.

    Raises
    ------
    ModelError: it cannot be read.
    """
    assert located.path is not None
    if located.kind == "gguf":
        from transformers import AutoConfig

        return AutoConfig.from_pretrained(str(located.path.parent), gguf_file=located.path.name)
    return config_of(read_json(located.path / "config.json"), located.name, located.path, trusted)


@dataclass(frozen=True)
class Packed:
    """A `.gguf` file: its parameters, and the bytes that they take as they lie there."""

    parameters: int
    size: int


def packed(located: LocatedModel) -> Packed | None:
    """What a `.gguf` file holds, None of any other model. A run unpacks its weights."""
    if located.kind != "gguf" or located.path is None:
        return None
    header = read_header(located.path)
    parameters = sum(prod(tensor.shape) for tensor in header.tensors)
    return Packed(parameters, located.path.stat().st_size - header.data_start)
