"""Ablate a head, a block's attention or MLP, or what a block adds to the stream.

A head is its slice of the output projection's input, so that the projection's bias stays; attention and MLP are their
outputs, bias and all.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from iclviz.errors import SpecError, unknown
from iclviz.intervening import At, Intervention, Part, place_words

if TYPE_CHECKING:
    import torch

Of = Literal["head", "attention", "mlp", "block"]
_PARTS: dict[Of, Part] = {"head": "heads", "attention": "attention", "mlp": "mlp", "block": "block"}
_SHORT = {"head": "heads", "attention": "attention", "mlp": "MLP", "block": "addition to the stream"}
_WORDS = {"head": "the heads' outputs", "attention": "the attention's output", "mlp": "the MLP's output",
          "block": "what is added to the stream"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Ablate(Intervention):
    """of: what is ablated."""

    kind = "ablate"
    title = "Ablated"
    example = "ablate of=head layers=20 heads=3"
    of: Of = "head"

    def __post_init__(self) -> None:
        if self.of not in get_args(Of):
            raise unknown(SpecError, "part to ablate", self.of, list(get_args(Of)))
        super().__post_init__()

    @property
    def part(self) -> Part:
        """As `of` says."""
        return _PARTS[self.of]

    def change(self, values: "torch.Tensor", at: At) -> "torch.Tensor":
        """Nothing."""
        return values.new_zeros(values.shape)

    @property
    def short(self) -> str:
        """What is gone."""
        return f"no {'output of ' if self.heads is not None else ''}{_SHORT[self.of]} in {self.where()}"

    def sentence(self) -> str:
        """What is set to zero, and where."""
        return f"{_WORDS[self.of]} set to zero at {place_words(self.rows)} in {self.where()}"


INTERVENTION = Ablate
