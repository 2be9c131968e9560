"""Knock out attention: rows do not see a place (Geva et al. 2023, arXiv:2304.14767).

Minus infinity before the softmax, so that the rest renormalises. A token always keeps its own key.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from iclviz.intervening import At, OnAttention, Part, place_words

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class KnockOut(OnAttention):
    """to: the place whose keys are not seen."""

    kind = "knock_out"
    title = "Attention knocked out"
    example = "knock_out to=relevant layers=12-14"

    @property
    def part(self) -> Part:
        """Scores."""
        return "scores"

    def change(self, values: "torch.Tensor", at: At) -> "torch.Tensor":
        """Minus infinity at those keys."""
        assert at.columns is not None
        return values.masked_fill(at.columns, -float("inf"))

    @property
    def short(self) -> str:
        """What is not seen."""
        return f"{place_words(self.rows)} blind to {place_words(self.to)}, {self.where()}"

    def sentence(self) -> str:
        """What is not seen from where."""
        return f"attention from {place_words(self.rows)} to {place_words(self.to)} knocked out in {self.where()}"


INTERVENTION = KnockOut
