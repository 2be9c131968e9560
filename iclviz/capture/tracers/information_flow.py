"""Information flow: through which pairs of tokens the answer's loss moves, block by block (Wang et al. 2023,
arXiv:2305.14160).

1. L is the cross-entropy of the right answer's first token that tells it from the others, over all candidates' tokens
   where these are told apart so, else over the vocabulary.
2. I = |sum over heads of A dL/dA|, with A the weights after the softmax: a node, whatever made them. With
   `absolute=heads` the absolute value is taken of each head, before the sum.
3. With p the tokens of the demonstrations' answers, q the last prompt token: wp is the mean of I over pairs from each p
   to every token before it, pq that from q to each p, ww that over all other pairs of a token and one before it.

The gradient goes back one block at a time, so that no block's matrix outlives it. Beside wp and pq stand the same of as
many random tokens that are in no answer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from iclviz.capture.first_tokens import loss_of
from iclviz.errors import SpecError
from iclviz.grids.dose import WANG
from iclviz.mapping import Texts, Tracer
from iclviz.spans import ANSWER
from iclviz.typed import check_choice

if TYPE_CHECKING:
    import torch

    from iclviz.capture.tracing import Traced
    from iclviz.prompts import TokenizedPrompt

PAIRS = ("wp", "pq", "ww")


@dataclass(frozen=True, kw_only=True)
class InformationFlow(Tracer):
    """absolute: of the sum over heads, or inside of it, of each head."""

    kind = "information_flow"
    title = "Information flow"
    example = "information_flow"
    question = "In which blocks do the demonstrations' answers gather what was read, and hand it on?"
    blind = (
        "Nothing flows back through the scores of a head whose attention is saturated: it hides what feeds it, however "
        "much the answer needs that."
    )
    references = MappingProxyType({"wang2023label": WANG})
    arrays = MappingProxyType({"flow": "LP", "control": "LP", "loss": ""})
    absolute: str = "sum"

    def __post_init__(self) -> None:
        check_choice("absolute", self.absolute, ("sum", "heads"))

    def sentence(self) -> str:
        """What was followed."""
        return (
            "the gradient of the right answer's loss was followed back to every attention weight between the "
            "demonstrations' answers, the last prompt token and all other text"
        )

    def traced(self, subject: "Traced", texts: Texts, there: frozenset[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Every item by itself."""
        subject.check_differentiable()
        if not any(answer_tokens(prompt) for prompt in texts.prompts):
            raise SpecError(
                "No prompt of this run has a demonstration whose answer is marked, so no flow goes through one.",
                "Take a run with demonstrations.",
            )
        for number, prompt in enumerate(texts.prompts):
            if number not in there:
                yield number, self._of_prompt(subject, prompt, number)

    def _of_prompt(self, subject: "Traced", prompt: "TokenizedPrompt", number: int) -> dict[str, Any]:
        answers = answer_tokens(prompt)
        flow, control = (np.full((subject.n_layers, len(PAIRS)), np.nan) for _ in range(2))
        if not answers:
            return {"flow": flow, "control": control, "loss": np.array(np.nan)}
        beside = random_tokens(prompt, answers, number)

        def take(layer: int, weights: "torch.Tensor", gradient: "torch.Tensor") -> None:
            product = weights.double() * gradient.double()
            saliency = product.sum(0).abs() if self.absolute == "sum" else product.abs().sum(0)
            flow[layer] = mean_flow(saliency.cpu().numpy(), answers)
            control[layer] = mean_flow(saliency.cpu().numpy(), beside)

        loss = subject.backward(prompt.ids, loss_of(prompt), take)
        return {"flow": flow, "control": control, "loss": np.array(loss)}


def answer_tokens(prompt: "TokenizedPrompt") -> list[int]:
    """Positions of the tokens of the demonstrations' answers."""
    marks = [mark for mark in prompt.marks if mark.name.startswith(f"{ANSWER}:")]
    return sorted({at for mark in marks for at in range(mark.start, mark.end)})


def random_tokens(prompt: "TokenizedPrompt", answers: Sequence[int], number: int) -> list[int]:
    """As many positions that are neither of answers, nor special, nor the last one."""
    roles = prompt.roles()
    others = [at for at in range(len(prompt) - 1) if at not in set(answers) and roles[at] != "special"]
    n = min(len(answers), len(others))
    return sorted(np.random.default_rng([number, len(prompt)]).choice(others, n, replace=False).tolist())


def mean_flow(saliency: "np.ndarray[Any, Any]", marked: Sequence[int]) -> "np.ndarray[Any, Any]":
    """(3,) the mean of I (T, T) over pairs wp, pq and ww; NaN where there is no such pair.

    Rows are tokens that look, columns those that are looked at, the last row is that of q.
    """
    lower = np.tril(saliency, -1)
    p, q = np.asarray(marked, dtype=int), len(saliency) - 1
    p = p[p < q]
    wp, pq = lower[p].sum(), lower[q, p].sum()
    counts = np.array([p.sum(), len(p), q * (q + 1) / 2 - p.sum() - len(p)], dtype=float)
    sums = np.array([wp, pq, lower.sum() - wp - pq])
    return np.asarray(np.divide(sums, counts, out=np.full(3, np.nan), where=counts > 0))


TRACER = InformationFlow
