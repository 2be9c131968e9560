"""Re-weighting: attention from the last prompt token to the demonstrations' answers, times a factor for each head that
is learned (Wang et al. 2023, arXiv:2305.14160, section 4.1).

A weight A on an answer's token becomes exp(b) A, not renormalised, with one b for each head of each block. Starting
from 0, Adam lowers the right answer's loss over items of one half of the groups, one item at a time in a drawn order;
what is learned is judged on the other half. Beside it stands the same learned for as many random tokens that are in no
answer.
"""

import math
from collections.abc import Iterator, Sequence
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

        shape = (subject.n_layers, subject.n_heads)
        answers, beside = self._learned([_Text(subject, prompts[number], number) for number in learned], shape)
        nothing = torch.zeros_like(answers)
        for number in judged:
            told = dict.fromkeys(("margin", "reweighted", "control"), np.array(np.nan))
            if answer_tokens(prompts[number]):
                text = _Text(subject, prompts[number], number)
                with torch.no_grad():
                    logits = text.read([(nothing, True), (answers, True), (beside, False)])
                told = {name: np.array(float(text.margin(one))) for name, one in zip(told, logits, strict=True)}
            yield number, {"factor": np.exp(answers.numpy()), "half": np.array(float(half)), **told}

    def _learned(self, texts: "Sequence[_Text]", shape: tuple[int, int]) -> "torch.Tensor":
        """(2, L, H) what is learned of texts for their answers, and for random tokens; 0 where there are no texts."""
        import torch

        rng = np.random.default_rng(0)
        with torch.inference_mode(False), torch.enable_grad():
            b = torch.zeros(2, *shape, requires_grad=True)
            adam = torch.optim.Adam([b], lr=self.rate)
            for _ in range(self.epochs):
                for place in rng.permutation(len(texts)):
                    adam.zero_grad()
                    answers, beside = texts[place].read([(b[0], True), (b[1], False)])
                    (texts[place].loss(answers) + texts[place].loss(beside)).backward()
                    adam.step()
        return b.detach()


class _Text:
    """One text: its last token is read under b (L, H), of attention to its answers or to random tokens."""

    def __init__(self, subject: "Traced", prompt: "TokenizedPrompt", number: int) -> None:
        self._last, self.loss, self.margin = subject.last_token(prompt.ids), loss_of(prompt), margin_of(prompt)
        answers = answer_tokens(prompt)
        self._marked = {True: answers, False: random_tokens(prompt, answers, number)}
        self._n_tokens = len(prompt)

    def read(self, each: "Sequence[tuple[torch.Tensor, bool]]") -> "torch.Tensor":
        """(B, V) the logits under each of B b, of attention to the answers where it says so."""
        import torch

        is_marked = torch.zeros(len(each), self._n_tokens)
        for row, (_, of_answers) in enumerate(each):
            is_marked[row, self._marked[of_answers]] = 1
        b = torch.stack([one for one, _ in each])
        return self._last(torch.exp(b[..., None] * is_marked[:, None, None]))


TRACER = Reweighting
