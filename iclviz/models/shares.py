"""Which models several processes can share by tensor parallelism: those for which transformers has a plan, and of whose
heads every process gets as many.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from iclviz.errors import ModelError

SPLIT = "colwise"
"""The style of a projection of which each process keeps its part of the output."""

_OF_ATTENTION = re.compile(r"att(n|ention)")
_HEADS = re.compile(r"num_(\w+_)?(attention|key_value)_heads")
_INSTEAD = "Run it in one process, over several GPUs by the model option device_map."


def splits_heads(plan: Mapping[str, str] | None) -> bool:
    """Whether a plan gives each process some of the heads only; others bring projections together before attention."""
    return any(style == SPLIT and _OF_ATTENTION.search(name) for name, style in (plan or {}).items())


def check_shares(name: str, config: Any, n: int) -> None:
    """Refuse a model that n processes cannot share.

    config: as transformers reads it.

    Raises
    ------
    ModelError: it has no plan, or a process would have a part of a head.
    """
    text = config.get_text_config(decoder=True)
    plan = getattr(text, "base_model_tp_plan", None) or getattr(config, "base_model_tp_plan", None)
    if not plan:
        raise ModelError(
            f"{name} cannot be shared by {n} processes: transformers has no plan of tensor parallelism for "
            f"{type(text).__name__.removesuffix('Config')} models.",
            _INSTEAD,
        )
    if not splits_heads(plan):
        return
    numbers = list(_numbers_of_heads(text))
    for what, number in numbers:
        if number % n:
            raise ModelError(
                f"{name} has {number} {what}, which {n} processes cannot share evenly.",
                _fitting(int(np.gcd.reduce([number for _, number in numbers]))),
            )


def _numbers_of_heads(config: Any) -> Iterator[tuple[str, int]]:
    """What a configuration calls its heads, and how many there are; of one that differs by block each number."""
    for attribute, value in config.to_dict().items():
        if _HEADS.fullmatch(attribute) and value:
            for number in np.unique(value).tolist():
                yield attribute.removeprefix("num_").replace("_", " "), int(number)


def _fitting(most: int) -> str:
    """What to do with a model of whose heads so many processes may have as many."""
    numbers = [str(n) for n in range(2, most + 1) if most % n == 0]
    return f"Start {' or '.join(numbers)} processes." if numbers else _INSTEAD
