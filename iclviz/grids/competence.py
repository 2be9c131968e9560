"""Competence: the label that the answer is moved to the class of another candidate, and a label that the task does not
ask for moved to another class (Davies et al. 2023, arXiv:2303.00333).

A model that answers as the task says follows the first and leaves the second alone. Beside each site stand `random`
controls: as far in a random direction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from iclviz.errors import SpecError
from iclviz.grids.attention import From
from iclviz.intervening import place_words
from iclviz.interventions.move import Move
from iclviz.mapping import MOST_DRAWS, Axis, Grid, Shape, Site
from iclviz.typed import check_choice, check_whole

DAVIES = r"""@article{davies2023competence,
  title   = {Competence-Based Analysis of Language Models},
  author  = {Davies, Adam and Jiang, Jize and Zhai, ChengXiang},
  journal = {arXiv:2303.00333},
  year    = {2023}
}"""


@dataclass(frozen=True, kw_only=True)
class Competence(Grid):
    """label: that the answer is; control: one that the task does not ask for; rows: where; every: a block of so many.

    draws: other candidates, and other classes, to which each item is moved; random: directions.
    """

    kind = "competence"
    title = "Label moved"
    example = "competence label=answer control=name"
    question = "Does the answer follow its label, and stay when another one is moved?"
    blind = (
        "A label that the answer does not follow may be written elsewhere, or not linearly; a control is one only as "
        "far as the task does not ask for it."
    )
    ready = (("A label moved to another class", "competence label={label} control={control}"),)
    references = MappingProxyType({"davies2023competence": DAVIES})
    label: str
    control: str
    rows: From = "last"
    every: int = 3
    draws: int = 1
    random: int = 3

    def __post_init__(self) -> None:
        check_choice("rows", self.rows, get_args(From))
        check_whole("every", self.every, 1, 10_000)
        check_whole("draws", self.draws, 1, MOST_DRAWS)
        check_whole("random", self.random, 0, MOST_DRAWS)
        if not self.control:
            raise SpecError("Competence needs a second label as control.", "Take a task that has another label.")
        if self.control == self.label:
            raise SpecError("The control is the label itself.", "Name another label as control.")
        for one in (self.label, self.control):
            self._moved(one, 1, 0)

    @property
    def n_draws(self) -> int:
        """As many other classes."""
        return self.draws

    def axes(self, shape: Shape) -> tuple[Axis, Axis]:
        """Both labels, and some blocks."""
        blocks = tuple(range(self.every, shape.n_layers + 1, self.every))
        return Axis("label", (self.label, self.control)), Axis("block", blocks)

    def _moved(self, label: str, layer: int, draw: int, random: int | None = None) -> Site:
        other: Literal["candidate", "class"] = "candidate" if label == self.label else "class"
        return (Move(label=label, other=other, draw=draw, rows=self.rows, layers=(layer,), random=random),)

    def site(self, first: str, second: int, shape: Shape, draw: int = 0) -> Site:
        """One label is moved in one block."""
        return self._moved(first, second, draw)

    def controls(self, first: str, second: int, shape: Shape) -> Sequence[Site]:
        """As far at random."""
        return [self._moved(first, second, 0, random) for random in range(self.random)]

    def names(self) -> Mapping[str, str]:
        """Which one the answer is to follow."""
        return {self.label: f"{self.label} (the answer’s)", self.control: f"{self.control} (control)"}

    def sentence(self) -> str:
        """What is moved where."""
        return (
            f"the label {self.label} of the states after each block at {place_words(self.rows)} was moved to the class "
            f"of another candidate, and the label {self.control} to another class"
        )


GRID = Competence
