"""How far back the attention of each block reaches: all the way, through a sliding window, or within a chunk.

A configuration says it block by block (`layer_types`, or `attention_layers` of GPT-Neo), or by one window for all.
"""

from collections.abc import Mapping
from typing import Any

Reach = dict[str, int]
"""{"window": w}: a token attends to the w tokens that end with it; {"chunk": c}: to those of its own chunk of c; {}: to
all before it.
"""

_BY_KIND: Mapping[str, tuple[str, str]] = {
    "sliding_attention": ("window", "sliding_window"),
    "chunked_attention": ("chunk", "attention_chunk_size"),
    "local": ("window", "window_size"),
}
"""Kind of a block's attention -> what bounds it, and the configuration's name of its size."""


def reach_of(config: Any, n_layers: int) -> list[Reach]:
    """The reach of each block of a model with that configuration."""
    text = config.get_text_config(decoder=True)
    kinds = getattr(text, "layer_types", None) or getattr(text, "attention_layers", None)
    if not kinds:
        kinds = ["sliding_attention"] * n_layers
    return [_reach(text, kind) for kind in kinds[:n_layers]]


def _reach(text: Any, kind: str) -> Reach:
    what, name = _BY_KIND.get(kind, ("", ""))
    size = getattr(text, name, None) if name else None
    return {what: int(size)} if size else {}
