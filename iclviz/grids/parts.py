"""Every block's attention and MLP ablated, one at a time: their outputs, bias and all."""

from collections.abc import Mapping
from dataclasses import dataclass

from iclviz.intervening import place_words
from iclviz.interventions.ablate import Ablate
from iclviz.mapping import Axis, Grid, Shape, Site


@dataclass(frozen=True, kw_only=True)
class Parts(Grid):
    """rows: where they are ablated."""

    kind = "parts"
    title = "Attention and MLP ablated"
    example = "parts"
    question = "Which blocks does the answer need, and which half of each?"
    blind = (
        "A block that is set to zero leaves the model with states it never saw: what breaks then need not be what the "
        "block is for."
    )
    ready = (("Every attention and MLP", "parts"),)
    rows: str = "last"

    def __post_init__(self) -> None:
        self.site("mlp", 1, Shape(1, 1, 0, ()))

    def axes(self, shape: Shape) -> tuple[Axis, Axis]:
        """Both halves, and blocks."""
        return Axis("part", ("attention", "mlp")), shape.blocks

    def site(self, first: str, second: int, shape: Shape) -> Site:
        """One half of a block is gone."""
        return (Ablate(of=first, rows=self.rows, layers=(second,)),)  # type: ignore[arg-type]

    def names(self) -> Mapping[str, str]:
        """As people write them."""
        return {"mlp": "MLP"}

    def sentence(self) -> str:
        """What is gone, and where."""
        return f"each block's attention and each block's MLP were set to zero at {place_words(self.rows)}"


GRID = Parts
