"""What gradients are of: the answer as the logits after a prompt tell it, by the first token that tells each candidate
from the others.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from iclviz.capture.recorders.trajectory import telling_tokens
from iclviz.errors import SpecError

if TYPE_CHECKING:
    import torch

    from iclviz.prompts import TokenizedPrompt


def first_tokens(prompt: "TokenizedPrompt") -> list[int]:
    """The first telling token of each candidate that has one, the right one's first.

    Raises
    ------
    SpecError: the right answer has no token that tells it from the others.
    """
    tokens = telling_tokens(prompt)
    if not tokens or tokens[0] is None:
        raise SpecError(
            "The right answer of an item begins as another candidate does, or changes the prompt's last token, so no "
            "first token tells it.",
            "Take a task whose answers differ in their first token.",
        )
    return [token for token in tokens if token is not None]


def loss_of(prompt: "TokenizedPrompt") -> "Callable[[torch.Tensor], torch.Tensor]":
    """The cross-entropy of the right answer over all candidates, of the logits (V,) after a prompt; over the vocabulary
    where the others are not told apart.

    Raises
    ------
    SpecError: the right answer has no token that tells it from the others.
    """
    known = first_tokens(prompt)

    def loss(logits: "torch.Tensor") -> "torch.Tensor":
        if len(known) > 1:
            logits = logits[known]
            return logits.logsumexp(-1) - logits[0]
        return logits.logsumexp(-1) - logits[known[0]]

    return loss


def margin_of(prompt: "TokenizedPrompt") -> "Callable[[torch.Tensor], torch.Tensor]":
    """The right answer's log-probability over the best other candidate's, of the logits (V,) after a prompt; by itself
    where there is no other.

    Raises
    ------
    SpecError: the right answer has no token that tells it from the others.
    """
    known = first_tokens(prompt)

    def margin(logits: "torch.Tensor") -> "torch.Tensor":
        others = logits[known[1:]].max() if len(known) > 1 else logits.logsumexp(-1)
        return logits[known[0]] - others

    return margin
