"""Task vectors, block by block: the state at the last prompt token of another item with demonstrations, put in place of
an item's own without them (Hendel et al. 2023, arXiv:2310.15916).

Beside it stand the same of wrong demonstrations, and a random direction as long.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from iclviz.intervening import shown_words
from iclviz.interventions.patch import Patch, Whose
from iclviz.mapping import MOST_DRAWS, Axis, FromDemonstrations, Shape, Site
from iclviz.typed import check_whole

HENDEL = r"""@inproceedings{hendel2023incontext,
  title     = {In-Context Learning Creates Task Vectors},
  author    = {Hendel, Roee and Geva, Mor and Globerson, Amir},
  booktitle = {Findings of EMNLP},
  year      = {2023},
  note      = {arXiv:2310.15916}
}"""

VECTOR, WRONG, RANDOM = "demonstrations", "shuffled", "random"


@dataclass(frozen=True, kw_only=True)
class TaskVectors(FromDemonstrations):
    """shown, k, seed, order: the demonstrations that the vector is of; draws: other items."""

    kind = "task_vector"
    title = "Task vectors"
    example = "task_vector shown=correct k=8"
    question = "How much of what demonstrations do comes back with one state of another item?"
    blind = (
        "A vector that brings little may have met a model that computed all else without it; what the item's own query "
        "adds to a task cannot be in another item's state."
    )
    ready = ()
    references = MappingProxyType({"hendel2023incontext": HENDEL})
    draws: int = 3

    def __post_init__(self) -> None:
        check_whole("draws", self.draws, 1, MOST_DRAWS)
        self.site(VECTOR, 1, Shape(1, 1, 0, ()))

    @property
    def n_draws(self) -> int:
        """Other items."""
        return self.draws

    def axes(self, shape: Shape) -> tuple[Axis, Axis]:
        """What is put in place, and blocks."""
        is_apart = WRONG in shape.kinds and self.shown != WRONG
        return Axis("vector", (VECTOR, WRONG, RANDOM) if is_apart else (VECTOR, RANDOM)), shape.blocks

    def site(self, first: str, second: int, shape: Shape, draw: int = 0) -> Site:
        """One state is another item's."""
        shown, item = (WRONG, "another") if first == WRONG else (self.shown, "another" if first == VECTOR else RANDOM)
        whose: Whose = item  # type: ignore[assignment]
        return (Patch(shown=shown, item=whose, draw=draw, layers=(second,), **self.drawn),)

    def names(self) -> Mapping[str, str]:
        """What is put in place, in words."""
        return {
            VECTOR: self.donor,
            WRONG: shown_words(WRONG, self.k, order=self.order),
            RANDOM: "random direction",
        }

    def sentence(self) -> str:
        """What was put in place of what."""
        return f"the state after each block at the last prompt token was set to another item's with {self.donor}"


GRID = TaskVectors
