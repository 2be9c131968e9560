"""What a model would say if it ended at one of its layers: its own code after the last block, on the states of any.

The model runs with its blocks passed over: the last one gives the states in question, the others what they are given.
So the final norm, the unembedding and whatever a model does to its logits (a soft-cap, a scale) are its own, whatever
its architecture.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from iclviz.capture.pooling import blocks_of
from iclviz.errors import ModelError

TOLERANCES = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
"""Largest difference of two ways of computing the same logits, of the largest of them, by dtype."""


class Readout:
    """Reads logits from hidden states."""

    def __init__(self, model: Any, n_layers: int) -> None:
        self._model, self._blocks = model, blocks_of(model, n_layers)
        self._given: list[int] = []
        hooks = [block.register_forward_hook(self._note) for block in self._blocks]
        try:
            with torch.inference_mode():
                self._pass_one_token(1)
        finally:
            for hook in hooks:
                hook.remove()

    def _note(self, block: Any, args: Any, output: Any) -> None:
        """How many values a block gives; 0 where it gives its states alone."""
        self._given.append(len(output) if isinstance(output, tuple) else 0)

    def _pass_one_token(self, n_rows: int) -> torch.Tensor:
        """Logits (B, V) after some token."""
        device = self._model.get_input_embeddings().weight.device
        ids = torch.zeros(n_rows, 1, dtype=torch.long, device=device)
        return self._model(input_ids=ids, use_cache=False).logits[:, -1]

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """(B, V) float32 logits of states (B, d) between blocks, or behind the last one."""
        with self._passing_over(hidden[:, None]):
            return self._pass_one_token(len(hidden)).float()

    def check(self, last: torch.Tensor, logits: torch.Tensor) -> None:
        """Refuse a model whose own logits (B, V) are not those of the states (B, d) that its last block leaves.

        Raises
        ------
        ModelError: so.
        """
        expected = logits.float()
        found = self.logits(last).to(expected.device)
        allowed = TOLERANCES.get(self._model.dtype, 1e-1) * expected.abs().amax(-1).clamp(min=1)
        if ((found - expected).abs().amax(-1) > allowed).any():
            raise ModelError(
                f"{type(self._model).__name__} does not make its logits of its last block's states alone, so no other "
                "layer can be read so.",
                "Record it without the trajectory.",
            )

    @contextmanager
    def _passing_over(self, states: torch.Tensor) -> Iterator[None]:
        """Blocks inside do nothing, and the last one gives these states (B, 1, d)."""
        own = [block.__dict__.get("forward") for block in self._blocks]
        for block, n_values in zip(self._blocks, self._given, strict=True):
            block.forward = _giving(states if block is self._blocks[-1] else None, n_values)
        try:
            yield
        finally:
            for block, forward in zip(self._blocks, own, strict=True):
                if forward is None:
                    del block.forward
                else:
                    block.forward = forward


def _giving(states: torch.Tensor | None, n_values: int) -> Callable[..., Any]:
    """What stands in for a block: it gives these states, or those that it is given."""

    def forward(*args: Any, **kwargs: Any) -> Any:
        hidden = args[0] if args else kwargs["hidden_states"]
        left = hidden if states is None else states
        return (left, *[None] * (n_values - 1)) if n_values else left

    return forward
