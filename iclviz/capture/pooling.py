"""Hidden states, taken by hooks, and pooled while the prompt is read: nothing of size T x d is kept.

Layer 0 is what enters the first block, layer l the output of block l, before any final norm. Padding and `special`
tokens stay out of every pool; only `last`, the prompt's very last token, may be markup.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from iclviz.errors import SpecError
from iclviz.prompts import TokenizedPrompt
from iclviz.spans import ROLES

Array = NDArray[Any]


def role_numbers(prompt: TokenizedPrompt) -> Array:
    """(T,) place of each token's role in `ROLES`."""
    return np.array([ROLES.index(role) for role in prompt.roles()])


def pool_masks(names: Sequence[str], prompt: TokenizedPrompt) -> dict[str, Array]:
    """Which prompt tokens each pooling takes: name -> (T,) boolean."""
    roles = role_numbers(prompt)
    position = np.arange(len(prompt))
    content = roles != ROLES.index("special")
    query = content & (position >= prompt.query_start)
    last = position == len(prompt) - 1
    masks = {"query_mean": query, "query_max": query, "last": last, "mean": content, "max": content}
    masks |= {f"{role}_mean": roles == index for index, role in enumerate(ROLES)}
    return {name: masks[name] for name in names}


@dataclass(frozen=True)
class Pooled:
    """Hidden states of one batch's rows, reduced over the masks of its prompts.

    A mask that several prompts or poolings have in common is reduced once. Number 0 is the empty mask.

    Attributes
    ----------
    numbers: (prompt, pooling) -> row and number of its mask in that row.
    sums, highest: (L + 1, B, M, d) float32, sums for poolings that average and maxima for the others.
    """

    numbers: dict[tuple[int, str], tuple[int, int]]
    sums: torch.Tensor
    highest: torch.Tensor

    def no_number(self) -> tuple[int, int] | None:
        """Layer and row of the first state that is no number, None where all are numbers.

        The empty mask multiplies every state of its row by 0, whose sum is 0 unless one is NaN or infinite.
        """
        wrong = (~self.sums[:, :, 0].isfinite().all(-1)).nonzero()
        return (int(wrong[0, 0]), int(wrong[0, 1])) if len(wrong) else None

    def of(self, prompts: Sequence[int], pooling: str) -> torch.Tensor:
        """(L + 1, n, d) sums or maxima of that pooling over the prompts' tokens in these rows."""
        rows, masks = zip(*(self.numbers.get((prompt, pooling), (0, 0)) for prompt in prompts), strict=True)
        return (self.highest if is_maximum(pooling) else self.sums)[:, list(rows), list(masks)]


def is_maximum(pooling: str) -> bool:
    """Whether a pooling takes maxima; the others average."""
    return pooling.endswith("max")


class HiddenPooling:
    """Reduces every layer's hidden states over masks while one forward pass runs."""

    def __init__(self, rows: Sequence[dict[tuple[int, str], Array]], width: int, device: torch.device) -> None:
        """rows: for each row (prompt, pooling) -> (tokens of the row,) boolean; width: columns that are read."""
        self._device = device
        self._numbers: dict[tuple[int, str], tuple[int, int]] = {}
        self._averaged = self._distinct([_kept_by(row, maximum=False) for row in rows], width)
        maximised = self._distinct([_kept_by(row, maximum=True) for row in rows], width)
        self._windows = [_window(maximised[:, number]) for number in range(1, maximised.shape[1])]
        self._sums: dict[int, torch.Tensor] = {}
        self._highest: dict[int, torch.Tensor] = {}

    def _distinct(self, rows: Sequence[dict[tuple[int, str], Array]], width: int) -> torch.Tensor:
        """(B, M, width) boolean, every different mask once; its first is empty."""
        found: list[list[Array]] = []
        for number, row in enumerate(rows):
            places = {b"": 0}
            masks = [np.zeros(width, dtype=bool)]
            for entry, mask in row.items():
                text = mask.tobytes() if mask.any() else b""
                if text not in places:
                    places[text] = len(masks)
                    masks.append(np.pad(mask, (0, width - len(mask))))
                self._numbers[entry] = (number, places[text])
            found.append(masks)
        most = max(len(masks) for masks in found)
        even = [np.stack(masks + masks[:1] * (most - len(masks))) for masks in found]
        return torch.from_numpy(np.stack(even)).to(self._device)

    def pooled(self) -> Pooled:
        """What was read, on the CPU."""
        return Pooled(self._numbers, _stacked(self._sums), _stacked(self._highest))

    def states(self, layer: int, hidden: torch.Tensor) -> None:
        """Reduce hidden states (B, t, d) of one layer."""
        hidden = hidden.float()
        masks = self._averaged.to(hidden.device)
        self._sums[layer] = torch.bmm(masks.to(hidden.dtype), hidden)
        empty = torch.full_like(hidden[:, 0], -torch.inf)
        highest = [_highest(hidden[:, window], mask) for window, mask in self._windows]
        self._highest[layer] = torch.stack([empty, *highest], dim=1)


def _kept_by(row: dict[tuple[int, str], Array], maximum: bool) -> dict[tuple[int, str], Array]:
    return {entry: mask for entry, mask in row.items() if is_maximum(entry[1]) == maximum}


def _window(mask: torch.Tensor) -> tuple[slice, torch.Tensor | None]:
    """The columns in which a mask (B, t) takes anything, and the mask there; None where it takes all of them."""
    columns = mask.any(0).nonzero()
    window = slice(int(columns[0]), int(columns[-1]) + 1)
    return window, None if mask[:, window].all() else mask[:, window]


def _highest(hidden: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """(B, d) maxima of hidden states (B, t, d) where a mask (B, t) allows."""
    return (hidden if mask is None else hidden.masked_fill(~mask[..., None].to(hidden.device), -torch.inf)).amax(1)


@contextmanager
def reading_states(blocks: Sequence[torch.nn.Module], take: Callable[[int, torch.Tensor], None]) -> Iterator[None]:
    """Hooks that hand on every layer's hidden states (B, t, d) of the forward passes inside."""

    def before_first(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        take(0, args[0] if args else kwargs["hidden_states"])

    def after(layer: int) -> Any:
        def hand_on(module: Any, args: Any, output: Any) -> None:
            take(layer, output[0] if isinstance(output, tuple) else output)

        return hand_on

    hooks = [blocks[0].register_forward_pre_hook(before_first, with_kwargs=True)]
    hooks += [block.register_forward_hook(after(index + 1)) for index, block in enumerate(blocks)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def beginning_at(blocks: Sequence[torch.nn.Module], block: int, states: torch.Tensor) -> Iterator[None]:
    """Forward passes inside begin at a block, counted from 1, with the states (B, t, d) that enter it; blocks before it
    do nothing.
    """

    def enter(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return ((states, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": states})

    def passing(hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        return hidden_states

    skipped = blocks[: block - 1]
    before = [one.__dict__.get("forward") for one in skipped]
    hook = blocks[block - 1].register_forward_pre_hook(enter, with_kwargs=True)
    try:
        for one in skipped:
            one.forward = passing
        yield
    finally:
        hook.remove()
        for one, own in zip(skipped, before, strict=True):
            del one.forward
            if own is not None:
                one.forward = own


def _stacked(layers: dict[int, torch.Tensor]) -> torch.Tensor:
    device = layers[0].device
    return torch.stack([layers[layer].to(device) for layer in sorted(layers)]).cpu()


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
