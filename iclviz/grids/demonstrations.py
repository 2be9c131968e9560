"""Each demonstration kept out of sight, one at a time, in every block or in a window of them.

Beside each site stand `draws` controls: as many random tokens of the same prompt as the demonstration has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import get_args

from iclviz.errors import SpecError
from iclviz.grids.attention import GEVA, From
from iclviz.intervening import place_words
from iclviz.interventions.knock_out import KnockOut
from iclviz.mapping import MOST_DRAWS, Axis, Grid, Shape, Site
from iclviz.typed import check_choice, check_whole

WHOLE = "all blocks"


@dataclass(frozen=True, kw_only=True)
class Demonstrations(Grid):
    """rows: from where demonstrations are not seen; windows: how many equal parts the blocks are told apart in, beside
    all of them together; draws: random controls.
    """

    kind = "demonstrations"
    title = "Demonstrations out of sight"
    example = "demonstrations windows=3"
    question = "Which demonstration does it, and in which part of the model is it read?"
    blind = (
        "Demonstrations that say the same make up for each other; later ones still see the one that is cut, and hand "
        "on what they read in it."
    )
    ready = (("Every demonstration", "demonstrations"),)
    references = MappingProxyType({"geva2023dissecting": GEVA})
    rows: From = "query"
    windows: int = 3
    draws: int = 1

    def __post_init__(self) -> None:
        check_choice("rows", self.rows, get_args(From))
        check_whole("windows", self.windows, 0, 100)
        check_whole("draws", self.draws, 0, MOST_DRAWS)

    def axes(self, shape: Shape) -> tuple[Axis, Axis]:
        """Demonstrations by number, and ranges of blocks.

        Raises
        ------
        SpecError: there are none.
        """
        if not shape.k:
            raise SpecError("This run has no demonstrations to keep out of sight.", "Take one with demonstrations.")
        ranges = (f"{first} to {last}" for first, last in self._ranges(shape))
        return Axis("demonstration", tuple(range(1, shape.k + 1))), Axis("blocks", (WHOLE, *ranges))

    def _ranges(self, shape: Shape) -> list[tuple[int, int]]:
        windows = min(self.windows, shape.n_layers) if self.windows > 1 else 0
        ends = [round(part * shape.n_layers / windows) for part in range(windows + 1)] if windows else []
        return [(start + 1, end) for start, end in pairwise(ends)]

    def site(self, first: int, second: str, shape: Shape, draw: int = 0) -> Site:
        """One demonstration is not seen in a range of blocks."""
        return self._without(f"demonstration:{first - 1}", second)

    def _without(self, place: str, blocks: str) -> Site:
        ends = None if blocks == WHOLE else [int(end) for end in blocks.split(" to ")]
        layers = None if ends is None else tuple(range(ends[0], ends[1] + 1))
        return (KnockOut(to=place, rows=self.rows, layers=layers),)

    def controls(self, first: int, second: str, shape: Shape) -> Sequence[Site]:
        """As many random tokens."""
        return [self._without(f"random:{draw}:demonstration:{first - 1}", second) for draw in range(self.draws)]

    def sentence(self) -> str:
        """What is not seen from where."""
        return f"attention from {place_words(self.rows)} to each demonstration was knocked out"


GRID = Demonstrations
