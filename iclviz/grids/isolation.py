"""The demonstrations' answers isolated in the first or the last blocks: they see no other text there, or are not seen
from where the answer is read (Wang et al. 2023, arXiv:2305.14160).

Where answers gather what is before them early, isolating them in the first blocks does harm and in the last ones none;
where the answer is read from them late, it is the other way round. Beside each site stand `draws` controls: as many
random tokens of the same prompt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from iclviz.errors import SpecError
from iclviz.grids.dose import WANG
from iclviz.interventions.knock_out import KnockOut
from iclviz.mapping import MOST_DRAWS, Axis, Grid, Shape, Site
from iclviz.spans import ANSWER
from iclviz.typed import check_whole

ANSWERS = f"{ANSWER}:*"
GATHERING, READ = "gathering", "read"


@dataclass(frozen=True, kw_only=True)
class Isolation(Grid):
    """width: as many of the first and of the last blocks; draws: random controls."""

    kind = "isolation"
    title = "Demonstrations' answers isolated"
    example = "isolation"
    question = "Do the demonstrations' answers gather early, and are they read late?"
    blind = (
        "What the answers' tokens gather may be gathered by the tokens after them too, such as a line end, which are "
        "not isolated."
    )
    ready = (("Demonstrations' answers isolated", "isolation"),)
    references = MappingProxyType({"wang2023label": WANG})
    width: int = 5
    draws: int = 3

    def __post_init__(self) -> None:
        check_whole("width", self.width, 1, 10_000)
        check_whole("draws", self.draws, 0, MOST_DRAWS)

    def axes(self, shape: Shape) -> tuple[Axis, Axis]:
        """What the answers are kept from, and the first and the last blocks.

        Raises
        ------
        SpecError: no demonstration's answer is marked.
        """
        if ANSWERS not in shape.places:
            raise SpecError(
                "No demonstration of this run has an answer that is marked.", "Take a run with demonstrations."
            )
        first, last = self._ends(shape)
        return Axis("answers", (GATHERING, READ)), Axis("blocks", tuple(dict.fromkeys((first, last))))

    def _ends(self, shape: Shape) -> tuple[str, str]:
        width = min(self.width, shape.n_layers)
        return f"1 to {width}", f"{shape.n_layers - width + 1} to {shape.n_layers}"

    def _cut(self, first: str, second: str, place: str) -> Site:
        start, end = map(int, second.split(" to "))
        rows, to = (place, "all") if first == GATHERING else ("last", place)
        return (KnockOut(rows=rows, to=to, layers=tuple(range(start, end + 1))),)

    def site(self, first: str, second: str, shape: Shape, draw: int = 0) -> Site:
        """The answers see nothing, or are not seen."""
        return self._cut(first, second, ANSWERS)

    def controls(self, first: str, second: str, shape: Shape) -> Sequence[Site]:
        """As many random tokens."""
        return [self._cut(first, second, f"random:{draw}:{ANSWERS}") for draw in range(self.draws)]

    def names(self) -> Mapping[str, str]:
        """What is cut."""
        return {GATHERING: "see no other text", READ: "not seen by the last token"}

    def sentence(self) -> str:
        """What was cut where."""
        return (
            "the demonstrations' answers were kept from seeing any other text, or from being seen by the last prompt "
            f"token, in the first and in the last {self.width} blocks"
        )


GRID = Isolation
