"""Attribution patching: the first look at what patching every state would do, by one gradient (Nanda 2023; Syed et al.
2023, arXiv:2310.10348).

The effect of putting another run's state in place of an item's own is foretold as the gradient of the margin with
respect to the state, times the difference of both states, summed over a place's tokens. The margin is that of the
candidates' first tokens at the last prompt token. It is the tangent of the true effect: where the model is saturated or
bends, it is wrong, and a true patch has to say.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from iclviz.capture.first_tokens import margin_of
from iclviz.capture.sites import matched
from iclviz.grids.patch import PLACES
from iclviz.intervening import shown_words
from iclviz.mapping import Texts, Tracer
from iclviz.spec import Demonstrations

if TYPE_CHECKING:
    import torch

    from iclviz.capture.tracing import Traced
    from iclviz.prompts import TokenizedPrompt

SYED = r"""@article{syed2023attribution,
  title   = {Attribution Patching Outperforms Automated Circuit Discovery},
  author  = {Syed, Aaquib and Rager, Can and Conmy, Arthur},
  journal = {arXiv:2310.10348},
  year    = {2023}
}"""


@dataclass(frozen=True, kw_only=True)
class AttributionPatching(Tracer):
    """shown, k, seed, order: the demonstrations whose states would be put in place."""

    kind = "attribution_patching"
    title = "Patches foretold"
    example = "attribution_patching shown=none k=0"
    question = "Which states would move the answer, as far as one gradient tells?"
    blind = "A gradient is the tangent at the model's own states: where these are saturated, it foretells too little."
    references = MappingProxyType({"syed2023attribution": SYED})
    arrays = MappingProxyType({"effect": "AL", "margin": ""})
    shown: str
    k: int = 8
    seed: int = 0
    order: int = 0

    def __post_init__(self) -> None:
        self.other.canonical()

    @property
    def other(self) -> Demonstrations:
        """These demonstrations."""
        return Demonstrations(self.shown, self.k, self.seed, order=self.order)

    def sentence(self) -> str:
        """What was followed."""
        return (
            "the gradient of the margin with respect to every state was taken times the difference from what the same "
            f"item has with {shown_words(self.shown, self.k, self.seed, self.order)}"
        )

    def traced(self, subject: "Traced", texts: Texts, there: frozenset[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Every item by itself."""
        subject.check_differentiable()
        for number, (prompt, other) in enumerate(zip(texts.prompts, texts.others, strict=True)):
            if number not in there:
                yield number, self._of_prompt(subject, prompt, other)

    def _of_prompt(self, subject: "Traced", prompt: "TokenizedPrompt", other: "TokenizedPrompt") -> dict[str, Any]:
        pairs = [matched(prompt, len(prompt), other, place) for place in PLACES]
        own = sorted({at for of_place in pairs for at in of_place})
        like = {at: there for of_place in pairs for at, there in of_place.items()}
        theirs = subject.states(other.ids, [like[at] for at in own])
        effect = np.full((len(PLACES), subject.n_layers), np.nan)

        def take(layer: int, states: "torch.Tensor", gradient: "torch.Tensor") -> None:
            moved = (theirs[layer].to(states) - states[own]).double() * gradient[own].double()
            by_token = dict(zip(own, moved.sum(-1).tolist(), strict=True))
            for place, of_place in enumerate(pairs if layer else ()):
                effect[place, layer - 1] = sum(by_token[at] for at in of_place) if of_place else np.nan

        margin = subject.backward(prompt.ids, margin_of(prompt), lambda *told: None, take)
        return {"effect": effect, "margin": np.array(margin)}


TRACER = AttributionPatching
