"""Re-weighting: attention from the last prompt token to the demonstrations' answers, times a factor for each head that
is learned (Wang et al. 2023, arXiv:2305.14160, section 4.1).

A weight A on an answer's token becomes exp(b) A, not renormalised, with one b for each head of each block. Starting
from 0, Adam lowers the right answer's loss over items of one half of the groups, one item at a time in a drawn order;
what is learned is judged on the other half. Beside it stands the same learned for as many random tokens that are in no
answer.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from iclviz.capture.first_tokens import loss_of, margin_of
from iclviz.capture.sites import halves_of
from iclviz.capture.tracers.information_flow import answer_tokens, random_tokens
from iclviz.errors import SpecError
from iclviz.grids.dose import WANG
from iclviz.mapping import Texts, Tracer
from iclviz.typed import check_whole

if TYPE_CHECKING:
    import torch

    from iclviz.capture.tracing import Traced
    from iclviz.prompts import TokenizedPrompt

MOST_EPOCHS = 1000


@dataclass(frozen=True, kw_only=True)
class Reweighting(Tracer):
    """epochs: how often every item of the learning half is read; rate: Adam's."""

    kind = "reweighting"
    title = "Answers re-weighted"
    example = "reweighting"
    question = "Which heads should attend more to the demonstrations' answers, and does the answer gain by it?"
    blind = (
        "Factors are learned on half of few items: that a head keeps a factor of 1 does not say that it would not help."
    )
    references = MappingProxyType({"wang2023label": WANG})
    arrays = MappingProxyType({"factor": "LH", "half": "", **dict.fromkeys(("margin", "reweighted", "control"), "")})
    epochs: int = 10
    rate: float = 0.01

    def __post_init__(self) -> None:
        check_whole("epochs", self.epochs, 1, MOST_EPOCHS)
        if isinstance(self.rate, bool) or not isinstance(self.rate, int | float) or not 0 < self.rate < math.inf:
            raise SpecError(f"rate = {self.rate!r} is no learning rate.", "Give a number above 0, such as rate=0.01.")
        object.__setattr__(self, "rate", float(self.rate))

    def sentence(self) -> str:
        """What was learned."""
        return (
            "a factor for each head's attention from the last prompt token to the demonstrations' answers was learned "
            f"on one half of the groups ({self.epochs} epochs) and judged on the other"
        )

    def traced(self, subject: "Traced", texts: Texts, there: frozenset[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Each half of the items with what the other one learned."""
        subject.check_differentiable()
        known = [number for number, prompt in enumerate(texts.prompts) if answer_tokens(prompt)]
        if not known:
            raise SpecError(
                "No prompt of this run has a demonstration whose answer is marked, so there is nothing to attend to.",
                "Take a run with demonstrations.",
            )
        is_first = halves_of(texts.groups)
        missing = [number for number in range(len(texts.prompts)) if number not in there]
        for half in (True, False):
            judged = [number for number in missing if is_first[number] == half]
            learned = [number for number in known if is_first[number] != half]
            if judged:
                yield from self._judged(subject, texts.prompts, learned, judged, half)

    def _judged(
        self, subject: "Traced", prompts: "Sequence[TokenizedPrompt]", learned: list[int], judged: list[int], half: bool
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        import torch

        readers = [_Reader(subject, prompts[number], number) for number in learned]
        shape = (subject.n_layers, subject.n_heads)
        answers, beside = (self._learned([one.read[name] for one in readers], [one.loss for one in readers], shape)
                           for name in ("answers", "beside"))  # fmt: skip
        zero = torch.zeros_like(answers)
        for number in judged:
            if not answer_tokens(prompts[number]):
                nothing = dict.fromkeys(("margin", "reweighted", "control"), np.array(np.nan))
                yield number, {"factor": np.exp(answers.numpy()), "half": np.array(float(half)), **nothing}
                continue
            one = _Reader(subject, prompts[number], number)
            margins = {"margin": ("answers", zero), "reweighted": ("answers", answers), "control": ("beside", beside)}
            with torch.no_grad():
                told = {name: np.array(float(one.margin(one.read[to](b)))) for name, (to, b) in margins.items()}
            yield number, {"factor": np.exp(answers.numpy()), "half": np.array(float(half)), **told}

    def _learned(
        self,
        reads: "Sequence[Callable[[torch.Tensor], torch.Tensor]]",
        losses: "Sequence[Callable[[torch.Tensor], torch.Tensor]]",
        shape: tuple[int, int],
    ) -> "torch.Tensor":
        """(L, H) what is learned of texts as they are read under b; 0 where there are none."""
        import torch

        rng = np.random.default_rng(0)
        with torch.inference_mode(False), torch.enable_grad():
            b = torch.zeros(shape, requires_grad=True)
            adam = torch.optim.Adam([b], lr=self.rate)
            for _ in range(self.epochs):
                for place in rng.permutation(len(reads)):
                    adam.zero_grad()
                    losses[place](reads[place](b)).backward()
                    adam.step()
        return b.detach()


class _Reader:
    """One text: its logits (V,) under b (L, H), of attention to answers and to random tokens; its loss and margin."""

    def __init__(self, subject: "Traced", prompt: "TokenizedPrompt", number: int) -> None:
        answers = answer_tokens(prompt)
        last = subject.last_token(prompt.ids)
        self.read = {
            name: _under(last, marked, len(prompt))
            for name, marked in (("answers", answers), ("beside", random_tokens(prompt, answers, number)))
        }
        self.loss, self.margin = loss_of(prompt), margin_of(prompt)


def _under(
    last: "Callable[[torch.Tensor], torch.Tensor]", marked: Sequence[int], n_tokens: int
) -> "Callable[[torch.Tensor], torch.Tensor]":
    """The logits of a text under b (L, H), of attention to marked tokens."""

    def read(b: "torch.Tensor") -> "torch.Tensor":
        import torch

        is_marked = torch.zeros(n_tokens)
        is_marked[list(marked)] = 1
        return last(torch.exp(b[:, :, None] * is_marked))

    return read


TRACER = Reweighting
