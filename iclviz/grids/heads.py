"""Every head ablated, one at a time: its slice of the output projection's input."""

from dataclasses import dataclass

from iclviz.intervening import place_words
from iclviz.interventions.ablate import SET, Ablate, To
from iclviz.mapping import MOST_DRAWS, Axis, Grid, Shape, Site
from iclviz.typed import check_whole


@dataclass(frozen=True, kw_only=True)
class Ablating(Grid):
    """rows: where parts are ablated; to: what stands in their place; draws: other items, where it is those'."""

    rows: str = "last"
    to: To = "zero"
    draws: int = 3

    def __post_init__(self) -> None:
        check_whole("draws", self.draws, 1, MOST_DRAWS)
        shape = Shape(1, 1, 0, ())
        self.site(self.axes(shape)[0].values[0], 1, shape)

    @property
    def n_draws(self) -> int:
        """Several where another item's values stand in."""
        return self.draws if self.to == "resample" else 1


@dataclass(frozen=True, kw_only=True)
class Heads(Ablating):
    """Each head of each block by itself; the fields are of `Ablating`."""

    kind = "heads"
    title = "Heads ablated"
    example = "heads"
    question = "Which heads does the answer need?"
    blind = (
        "Heads that work inside the demonstrations cannot show in what is done at the last prompt token; heads that "
        "others make up for show less than they do."
    )
    ready = (("Every head", "heads"),)

    def axes(self, shape: Shape) -> tuple[Axis, Axis]:
        """Heads and blocks."""
        return Axis("head", tuple(range(shape.n_heads))), shape.blocks

    def site(self, first: int, second: int, shape: Shape, draw: int = 0) -> Site:
        """One head is gone."""
        return (Ablate(of="head", to=self.to, draw=draw, rows=self.rows, layers=(second,), heads=(first,)),)

    def sentence(self) -> str:
        """What is gone, and where."""
        return f"each head's output was {SET[self.to]} at {place_words(self.rows)}"


GRID = Heads
