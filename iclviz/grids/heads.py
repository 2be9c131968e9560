"""Every head ablated, one at a time: its slice of the output projection's input."""

from dataclasses import dataclass

from iclviz.intervening import place_words
from iclviz.interventions.ablate import Ablate
from iclviz.mapping import Axis, Grid, Shape, Site


@dataclass(frozen=True, kw_only=True)
class Heads(Grid):
    """rows: where heads are ablated."""

    kind = "heads"
    title = "Heads ablated"
    example = "heads"
    question = "Which heads does the answer need?"
    blind = (
        "Heads that work inside the demonstrations cannot show in what is done at the last prompt token; heads that "
        "others make up for show less than they do."
    )
    ready = (("Every head", "heads"),)
    rows: str = "last"

    def __post_init__(self) -> None:
        self.site(0, 1, Shape(1, 1, 0, ()))

    def axes(self, shape: Shape) -> tuple[Axis, Axis]:
        """Heads and blocks."""
        return Axis("head", tuple(range(shape.n_heads))), shape.blocks

    def site(self, first: int, second: int, shape: Shape) -> Site:
        """One head is gone."""
        return (Ablate(of="head", rows=self.rows, layers=(second,), heads=(first,)),)

    def sentence(self) -> str:
        """What is gone, and where."""
        return f"each head's output was set to zero at {place_words(self.rows)}"


GRID = Heads
