"""Following one text through a model: full attention matrices, and gradients with respect to them, block by block.

Gradients go backward one block at a time: each block is run again on the states that entered it, so that no matrix of a
block outlives it. Weights are those after the softmax, and a gradient is taken with respect to them as a node.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache

from iclviz.capture.attention import Way, attention_way, eagerly, reading, tracing_weights
from iclviz.capture.pooling import blocks_of
from iclviz.errors import SpecError
from iclviz.intervening import Part
from iclviz.prompts import Tokenizer


@dataclass(frozen=True, eq=False)
class Traced:
    """A loaded model that is followed."""

    model: Any
    tokenizer: Tokenizer
    n_layers: int
    n_heads: int
    device: torch.device
    way: Way

    def attention(self, ids: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        """L tensors (B, H, T, T), the attention weights of texts of one length."""
        with torch.inference_mode(), eagerly(self.model):
            found = self.model(
                input_ids=torch.tensor(ids, device=self.device),
                use_cache=False,
                output_attentions=True,
                logits_to_keep=1,
            ).attentions
        if len(found) != self.n_layers or any(one is None for one in found):
            raise SpecError(
                f"{type(self.model).__name__} hands on no attention weights of some blocks.", "Take another model."
            )
        return list(found)

    def states(self, ids: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """(L + 1, P, d) the states of some tokens of a text; layer L before the final norm."""
        blocks, given = blocks_of(self.model, self.n_layers), torch.tensor([list(ids)], device=self.device)
        with torch.no_grad(), _entering(blocks) as entered, _leaving(blocks[-1]) as last:
            self.model(input_ids=given, use_cache=False, logits_to_keep=1)
        every = [*(entered[layer][0][0] for layer in range(self.n_layers)), last[0]]
        return torch.stack([one[0, list(positions)].detach().to(self.device) for one in every])

    def last_token(self, ids: Sequence[int]) -> Callable[[torch.Tensor], torch.Tensor]:
        """What reads the last token of a text of two or more, on kept keys and values of all before it: the logits
        (B, V) while its attention weights are multiplied by factors (B, L, H, T), with the graph from these.

        Raises
        ------
        SpecError: the model cannot be differentiated.
        """
        self.check_differentiable()
        tokens = torch.tensor([list(ids)], device=self.device)
        cache = DynamicCache()
        with torch.no_grad(), attention_way(self.model, "interface", decoding=False):
            before = {"input_ids": tokens[:, :-1], "attention_mask": torch.ones_like(tokens[:, :-1])}
            self.model(**before, past_key_values=cache, use_cache=True, logits_to_keep=1)
        kept = [(layer.keys, layer.values) for layer in cache.layers]

        def read(factors: torch.Tensor) -> torch.Tensor:
            before, rows = DynamicCache(), len(factors)
            for layer, each in enumerate(kept):
                before.update(*(one.expand(rows, -1, -1, -1) for one in each), layer)
            whole = {"attention_mask": torch.ones_like(tokens).expand(rows, -1), "past_key_values": before}
            with (
                attention_way(self.model, "interface", decoding=True),
                _frozen(self.model),
                torch.enable_grad(),
                reading((), edits=_Multiplied(factors)),
            ):
                last = tokens[:, -1:].expand(rows, -1)
                logits: torch.Tensor = self.model(input_ids=last, **whole, use_cache=True, logits_to_keep=1).logits
            return logits[:, -1].float()

        return read

    def check_differentiable(self) -> None:
        """Refuse a model through which no gradient can be followed.

        Raises
        ------
        SpecError: so.
        """
        if self.way != "interface":
            raise SpecError(
                f"The attention of {type(self.model).__name__} runs in its own code alone, so no gradient can be taken "
                "with respect to its weights.",
                "Take another model.",
            )
        if not all(one.dtype.is_floating_point for one in self.model.parameters()):
            raise SpecError("A quantised model cannot be differentiated here.", "Take the model as it was trained.")

    def backward(
        self,
        ids: Sequence[int],
        loss: Callable[[torch.Tensor], torch.Tensor],
        take: Callable[[int, torch.Tensor, torch.Tensor], None],
        states: Callable[[int, torch.Tensor, torch.Tensor], None] = lambda layer, state, gradient: None,
    ) -> float:
        """Follow the gradient of a loss of the last token's logits (V,) back through every block; the loss.

        take: told of each block, from 0, the weights (H, T, T) and the gradient with respect to them, the last first.
        states: told of each layer the states (T, d) and the gradient with respect to them, L first.

        Raises
        ------
        SpecError: the model cannot be differentiated.
        """
        self.check_differentiable()
        blocks = blocks_of(self.model, self.n_layers)
        tokens = torch.tensor([list(ids)], device=self.device)
        with attention_way(self.model, "interface", decoding=False), _frozen(self.model), torch.enable_grad():
            with _entering(blocks) as entered, _leaving(blocks[-1]) as last:
                given = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
                value = loss(self.model(**given, use_cache=False, logits_to_keep=1).logits[0, -1].float())
            (gradient,) = torch.autograd.grad(value, last)
            after = last[0].detach()
            for layer in reversed(range(self.n_layers)):
                states(layer + 1, after[0], gradient[0])
                args, kwargs = entered[layer]
                before = args[0].detach().requires_grad_()
                with tracing_weights() as weights:
                    out = _first(blocks[layer](before, *args[1:], **kwargs))
                found = weights.get(layer)
                gradients = torch.autograd.grad(
                    out, [before] if found is None else [before, found], gradient, allow_unused=True
                )
                gradient, after = gradients[0], before.detach()
                if found is not None and gradients[1] is not None:
                    take(layer, found.detach()[0], gradients[1][0])
            states(0, after[0], gradient[0])
        return float(value.detach())


@dataclass(frozen=True, eq=False)
class _Multiplied:
    """Attention weights times factors (B, L, H, T), or of one block (B, H, T)."""

    factors: torch.Tensor

    def of(self, layer: int) -> "_Multiplied":
        """Those of one block, counted from 0."""
        return _Multiplied(self.factors[:, layer])

    def apply(self, part: Part, values: torch.Tensor, rows: slice = slice(None)) -> torch.Tensor:
        """Weights (B, H, q, T), multiplied; what else there is stays."""
        if part != "weights":
            return values
        return values * self.factors[:, : values.shape[1], None].to(values)


def _first(output: Any) -> torch.Tensor:
    """The states that a block hands on."""
    found: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return found


@contextmanager
def _frozen(model: Any) -> Iterator[None]:
    """No gradient is taken with respect to weights of the model inside."""
    wanted = [one for one in model.parameters() if one.requires_grad]
    try:
        for one in wanted:
            one.requires_grad_(False)
        yield
    finally:
        for one in wanted:
            one.requires_grad_(True)


@contextmanager
def _entering(blocks: Sequence[torch.nn.Module]) -> Iterator[dict[int, Any]]:
    """Of each block, from 0, the arguments of its pass, states first, and those by name."""
    found: dict[int, Any] = {}

    def before(layer: int) -> Any:
        def keep(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            rest = {name: value for name, value in kwargs.items() if args or name != "hidden_states"}
            found[layer] = (args or (kwargs["hidden_states"],), rest)

        return keep

    hooks = [block.register_forward_pre_hook(before(layer), with_kwargs=True) for layer, block in enumerate(blocks)]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _leaving(block: torch.nn.Module) -> Iterator[list[torch.Tensor]]:
    """What leaves a block, as a leaf of the graph."""
    found: list[torch.Tensor] = []

    def give(module: Any, args: Any, output: Any) -> Any:
        found.append(_first(output).detach().requires_grad_())
        return (found[0], *output[1:]) if isinstance(output, tuple) else found[0]

    hook = block.register_forward_hook(give)
    try:
        yield found
    finally:
        hook.remove()
