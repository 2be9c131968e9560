"""How many tokens' keys and values may live at the same time, from the memory that is free."""

import os
from typing import Any

import psutil
import torch

from iclviz.errors import UserError
from iclviz.models.completing import shape
from iclviz.models.configuration import facts_from
from iclviz.models.ranks import ranks_of

MOST_TOKENS = {"cpu": 8192, "cuda": 65536}
"""More would be no faster, and a run shows and keeps its results group by group."""

LEAST_TOKENS = 256
USED_SHARE = 0.5
"""Share of the free memory that a budget may fill; the rest is for activations of other shapes and fragments."""


def token_budget(model: Any) -> int:
    """The largest power of two whose keys, values and activations take at most half of the free memory of every device
    that holds a part of the model, within the bounds above; of several processes that share it, of the one with least
    room. A power of two, so that the same machine gives the same plan again.
    """
    ranks = ranks_of(model)
    # Weights on the disk are on no device; what they compute is in memory all the same.
    found = {parameter.device for parameter in model.parameters()}
    devices = {torch.device("cpu") if device.type == "meta" else device for device in found}
    kind = "cuda" if any(device.type == "cuda" for device in devices) else "cpu"
    sharing = ranks.n_here if kind == "cpu" else 1
    per_token = bytes_per_token(model, ranks.n_shares) / len(devices)
    return ranks.least(budget_of(min(map(free_memory, devices)) // sharing, per_token, kind))


def budget_of(free: int, per_token: float, kind: str) -> int:
    """`token_budget` of devices of a kind, each with so many bytes free and so many taken by a token."""
    fitting = int(USED_SHARE * free / per_token)
    return int(2 ** (max(LEAST_TOKENS, min(MOST_TOKENS[kind], fitting)).bit_length() - 1))


def named_budget() -> int | None:
    """What `$ICLVIZ_TOKEN_BUDGET` says, None where it says nothing.

    Raises
    ------
    UserError: it is not a positive whole number.
    """
    named = os.environ.get("ICLVIZ_TOKEN_BUDGET")
    if not named:
        return None
    if not named.isdecimal() or int(named) == 0:
        raise UserError(f"ICLVIZ_TOKEN_BUDGET = {named!r} is not a number of tokens.", "Set it to 4096, say.")
    return int(named)


def bytes_per_token(model: Any, n_shares: int = 1) -> int:
    """Keys and values of all layers, and the activations of one block in float32, of one token; for one of several
    processes that share heads and inner units, and have the whole stream each.
    """
    config = model.config.get_text_config()
    facts = facts_from(shape(model.config))
    key_heads = getattr(config, "num_key_value_heads", None) or facts.n_heads
    size = getattr(config, "head_dim", None) or facts.d_model // facts.n_heads
    inner = getattr(config, "intermediate_size", None) or 4 * facts.d_model
    shared = 2 * facts.n_layers * key_heads * size * model.dtype.itemsize + 4 * 3 * inner
    return int(shared // n_shares + 4 * 8 * facts.d_model)


def free_memory(device: torch.device) -> int:
    """Bytes that a process may still take on a device."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + unused)
    return int(psutil.virtual_memory().available)
