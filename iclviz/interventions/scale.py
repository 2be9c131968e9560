"""Scale attention: weights on a place are multiplied after the softmax and not renormalised (Wang et al. 2023,
arXiv:2305.14160, re-weighting).
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iclviz.errors import SpecError
from iclviz.intervening import At, OnAttention, Part, place_words

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Scale(OnAttention):
    """to: the place whose weights are multiplied; by: exp(by) is the factor, 0 leaves them."""

    kind = "scale"
    title = "Attention scaled"
    example = "scale to=answer:* by=0.7"
    by: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.by, bool) or not isinstance(self.by, int | float) or not math.isfinite(self.by):
            raise SpecError(f"by = {self.by!r} is no number.", "Give the logarithm of the factor, such as by=0.7.")
        object.__setattr__(self, "by", float(self.by))

    @property
    def part(self) -> Part:
        """Weights."""
        return "weights"

    def change(self, values: "torch.Tensor", at: At) -> "torch.Tensor":
        """Times exp(by) at those keys."""
        assert at.columns is not None
        return values.where(~at.columns, values * math.exp(self.by))

    @property
    def short(self) -> str:
        """What is multiplied."""
        return f"attention to {place_words(self.to)} × {math.exp(self.by):.3g}, {self.where()}"

    def sentence(self) -> str:
        """What is multiplied by how much."""
        factor = f"{math.exp(self.by):.3g}"
        return f"attention from {place_words(self.rows)} to {place_words(self.to)} times {factor} in {self.where()}"


INTERVENTION = Scale
