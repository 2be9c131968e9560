"""Pooled hidden states, taken by hooks while the prompt is read: nothing of size T x d is kept.

Layer 0 is what enters the first block, layer l the output of block l, before any final norm. Padding and `special`
tokens stay out of every pool; only `last`, the prompt's very last token, may be markup.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from iclviz.errors import SpecError
from iclviz.spans import ROLES


def pool_masks(names: Sequence[str], roles: torch.Tensor, query_start: torch.Tensor) -> dict[str, torch.Tensor]:
    """Which prompt positions each pooling takes: name -> (B, T) boolean.

    roles: (B, T) role index, -1 for padding; query_start: (B,) padded position of the query's first token.
    """
    content = (roles >= 0) & (roles != ROLES.index("special"))
    position = torch.arange(roles.shape[1], device=roles.device)
    query = content & (position >= query_start[:, None])
    last = (position == roles.shape[1] - 1).expand_as(roles)
    masks = {"query_mean": query, "query_max": query, "last": last, "mean": content, "max": content}
    masks |= {f"{role}_mean": roles == index for index, role in enumerate(ROLES)}
    return {name: masks[name] for name in names}


class HiddenPooling:
    """Running sums and maxima of every layer's hidden states over the positions of each pooling.

    Each forward pass adds the positions that it reads, from left to right, so a prompt may be read in pieces.
    """

    def __init__(self, masks: dict[str, torch.Tensor]) -> None:
        """masks: name -> (B, T) boolean."""
        self._masks = masks
        self._means = [name for name in masks if not name.endswith("max")]
        self._maxima = [name for name in masks if name.endswith("max")]
        self._sums: dict[int, torch.Tensor] = {}
        self._highest: dict[tuple[str, int], torch.Tensor] = {}
        self._layers: set[int] = set()
        self._first = {name: _first_column(masks[name]) for name in self._maxima}
        self._position = 0

    @contextmanager
    def reading(self, blocks: Sequence[torch.nn.Module], n_tokens: int) -> Iterator[None]:
        """Hooks on the blocks during one forward pass over the next `n_tokens` positions."""

        def before_first(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self._take(0, args[0] if args else kwargs["hidden_states"])

        def after(layer: int) -> Any:
            def take(module: Any, args: Any, output: Any) -> None:
                self._take(layer, output[0] if isinstance(output, tuple) else output)

            return take

        hooks = [blocks[0].register_forward_pre_hook(before_first, with_kwargs=True)]
        hooks += [block.register_forward_hook(after(index + 1)) for index, block in enumerate(blocks)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
        self._position += n_tokens

    def pooled(self) -> dict[str, torch.Tensor]:
        """Every pooling as (B, L + 1, d) float32 on the CPU; NaN where a pooling has no position."""
        layers = sorted(self._layers)
        result = {}
        for row, name in enumerate(self._means):
            count = self._masks[name].sum(1).cpu()
            total = torch.stack([self._sums[layer][:, row].cpu() for layer in layers], dim=1)
            result[name] = total / torch.where(count > 0, count, torch.nan)[:, None, None]
        for name in self._maxima:
            highest = torch.stack([self._highest[name, layer].cpu() for layer in layers], dim=1)
            result[name] = torch.where(torch.isneginf(highest), torch.nan, highest)
        return {name: result[name] for name in self._masks}

    def _take(self, layer: int, hidden: torch.Tensor) -> None:
        """Add hidden states (B, t, d) of the positions being read."""
        hidden = hidden.float()
        self._layers.add(layer)
        window = slice(self._position, self._position + hidden.shape[1])
        if self._means:
            weights = torch.stack([self._masks[name][:, window] for name in self._means], dim=1)
            part = torch.bmm(weights.to(hidden.device, hidden.dtype), hidden)
            self._sums[layer] = self._sums[layer] + part if layer in self._sums else part
        for name in self._maxima:
            self._take_highest(name, layer, hidden, self._masks[name][:, window].to(hidden.device))

    def _take_highest(self, name: str, layer: int, hidden: torch.Tensor, mask: torch.Tensor) -> None:
        start = max(self._first[name] - self._position, 0)
        if start >= mask.shape[1]:
            return
        part = hidden[:, start:].masked_fill(~mask[:, start:, None], -torch.inf).amax(1)
        seen = self._highest.get((name, layer))
        self._highest[name, layer] = part if seen is None else torch.maximum(seen, part)


def _first_column(mask: torch.Tensor) -> int:
    """The first position that any row takes; the width of the mask where none does."""
    columns = mask.any(0).nonzero()
    return int(columns[0]) if len(columns) else mask.shape[1]


def blocks_of(model: Any, n_layers: int) -> Sequence[torch.nn.Module]:
    """The decoder blocks of any causal model: the outermost module list that is as long as the model is deep.

    Raises
    ------
    SpecError: the model has no such list.
    """
    lists = [
        (name.count("."), name, module)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) == n_layers
    ]
    if not lists:
        raise SpecError(
            f"{type(model).__name__} has no list of {n_layers} blocks to record from.", "Take a decoder-only model."
        )
    return list(min(lists, key=lambda entry: entry[:2])[2])
