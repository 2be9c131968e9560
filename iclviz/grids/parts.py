"""Every block's attention and MLP ablated, one at a time: their outputs, bias and all."""

from collections.abc import Mapping
from dataclasses import dataclass

from iclviz.grids.heads import Ablating
from iclviz.intervening import place_words
from iclviz.interventions.ablate import SET, Ablate
from iclviz.mapping import Axis, Shape, Site


@dataclass(frozen=True, kw_only=True)
class Parts(Ablating):
    """Each half of each block by itself; the fields are of `Ablating`."""

    kind = "parts"
    title = "Attention and MLP ablated"
    example = "parts"
    question = "Which blocks does the answer need, and which half of each?"
    blind = (
        "A block that is set to zero leaves the model with states it never saw: what breaks then need not be what the "
        "block is for."
    )
    ready = (("Every attention and MLP", "parts"),)

    def axes(self, shape: Shape) -> tuple[Axis, Axis]:
        """Both halves, and blocks."""
        return Axis("part", ("attention", "mlp")), shape.blocks

    def site(self, first: str, second: int, shape: Shape, draw: int = 0) -> Site:
        """One half of a block is gone."""
        return (Ablate(of=first, to=self.to, draw=draw, rows=self.rows, layers=(second,)),)  # type: ignore[arg-type]

    def names(self) -> Mapping[str, str]:
        """As people write them."""
        return {"mlp": "MLP"}

    def sentence(self) -> str:
        """What is gone, and where."""
        return f"each block's attention and each block's MLP were {SET[self.to]} at {place_words(self.rows)}"


GRID = Parts
