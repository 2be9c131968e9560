"""Ablate a head, a block's attention or MLP, or what a block adds to the stream: to zero, to the mean over items of
other groups, or to what another item of another group has there.

A head is its slice of the output projection's input, so that the projection's bias stays; attention and MLP are their
outputs, bias and all.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from iclviz.errors import SpecError
from iclviz.intervening import MOST_DRAWS, At, Intervention, Need, Part, place_words
from iclviz.typed import check_choice, check_whole

if TYPE_CHECKING:
    import torch

Of = Literal["head", "attention", "mlp", "block"]
To = Literal["zero", "mean", "resample"]
_NEEDS: dict[To, Need | None] = {"zero": None, "mean": "all", "resample": "another"}
SET = {
    "zero": "set to zero",
    "mean": "set to the mean over items of other groups",
    "resample": "set to that of another item",
}
_PARTS: dict[Of, Part] = {"head": "heads", "attention": "attention", "mlp": "mlp", "block": "block"}
_SHORT = {"head": "heads", "attention": "attention", "mlp": "MLP", "block": "addition to the stream"}
_WORDS = {"head": "the heads' outputs", "attention": "the attention's output", "mlp": "the MLP's output",
          "block": "what is added to the stream"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Ablate(Intervention):
    """of: what is ablated; to: what stands in its place; draw: which other item's, where it is one's."""

    kind = "ablate"
    title = "Ablated"
    example = "ablate of=head layers=20 heads=3"
    of: Of = "head"
    to: To = "zero"
    draw: int = 0

    def __post_init__(self) -> None:
        check_choice("of", self.of, get_args(Of))
        check_choice("to", self.to, get_args(To))
        check_whole("draw", self.draw, 0, MOST_DRAWS)
        super().__post_init__()
        if self.needs is not None and self.rows in ("response", "all"):
            raise SpecError(
                f"At {place_words(self.rows)} no other item has what could stand in place.",
                "Take rows=last or rows=query, a mark, or to=zero.",
            )

    @property
    def needs(self) -> Need | None:
        """Other items, unless it is set to zero."""
        return _NEEDS[self.to]

    @property
    def part(self) -> Part:
        """As `of` says."""
        return _PARTS[self.of]

    def change(self, values: "torch.Tensor", at: At) -> "torch.Tensor":
        """Nothing, or what donors have."""
        return values.new_zeros(values.shape) if at.donor is None else at.donor

    @property
    def short(self) -> str:
        """What is gone."""
        what = f"{'output of ' if self.heads is not None else ''}{_SHORT[self.of]} in {self.where()}"
        return f"no {what}" if self.to == "zero" else f"{self.to} {what}"

    def sentence(self) -> str:
        """What is set to zero, and where."""
        return f"{_WORDS[self.of]} {SET[self.to]} at {place_words(self.rows)} in {self.where()}"


INTERVENTION = Ablate
