"""A label erased from the states after each block, and beside it one that the task does not ask for (Belrose et al.
2023, arXiv:2306.03819; Davies et al. 2023, arXiv:2303.00333).

Beside each site stand `draws` controls: permutations of the same label, between groups where it is one in each, which
tell what erasing as many directions does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import get_args

from iclviz.errors import SpecError
from iclviz.grids.attention import From
from iclviz.intervening import place_words
from iclviz.interventions.erase import Erase, Of
from iclviz.mapping import MOST_DRAWS, Axis, Grid, Shape, Site
from iclviz.typed import check_choice, check_whole

BELROSE = r"""@inproceedings{belrose2023leace,
  title     = {{LEACE}: Perfect Linear Concept Erasure in Closed Form},
  author    = {Belrose, Nora and Schneider-Joseph, David and Ravfogel, Shauli and Cotterell, Ryan and Raff, Edward and
               Biderman, Stella},
  booktitle = {NeurIPS},
  year      = {2023},
  note      = {arXiv:2306.03819}
}"""


@dataclass(frozen=True, kw_only=True)
class LabelErased(Grid):
    """label: what is erased; control: another label, "" = none; rows: where; of: from what; every: a block of so many;
    draws: permutations.
    """

    kind = "erase"
    title = "Label erased"
    example = "erase label=answer control=name"
    question = "Does the answer need what a linear reader can tell of a label, and in which blocks?"
    blind = (
        "What no linear reader tells may still be there; a label that goes together with another takes that one along."
    )
    ready = (("A label erased", "erase label={label} control={control}"),)
    references = MappingProxyType({"belrose2023leace": BELROSE})
    label: str
    control: str = ""
    rows: From = "last"
    of: Of = "state"
    every: int = 3
    draws: int = 20

    def __post_init__(self) -> None:
        check_choice("rows", self.rows, get_args(From))
        check_whole("every", self.every, 1, 10_000)
        check_whole("draws", self.draws, 0, MOST_DRAWS)
        if self.control == self.label:
            raise SpecError("The control is the label itself.", "Name another label, or none.")
        for one in self._labels:
            self._erased(one, 1)

    @property
    def _labels(self) -> tuple[str, ...]:
        return (self.label, self.control) if self.control else (self.label,)

    def axes(self, shape: Shape) -> tuple[Axis, Axis]:
        """Labels, and some blocks."""
        return Axis("label", self._labels), Axis("block", tuple(range(self.every, shape.n_layers + 1, self.every)))

    def _erased(self, label: str, layer: int, permuted: int | None = None) -> Site:
        return (Erase(label=label, of=self.of, rows=self.rows, layers=(layer,), permuted=permuted),)

    def site(self, first: str, second: int, shape: Shape, draw: int = 0) -> Site:
        """One label is gone from one block."""
        return self._erased(first, second)

    def controls(self, first: str, second: int, shape: Shape) -> Sequence[Site]:
        """Permutations of it."""
        return [self._erased(first, second, permuted) for permuted in range(self.draws)]

    def sentence(self) -> str:
        """What is erased, and from where."""
        what = {"state": "the states after each block"}.get(self.of, f"the {self.of}'s outputs")
        labels = " and ".join(f"the label {one}" for one in self._labels)
        return f"{labels} {'were each' if self.control else 'was'} erased from {what} at {place_words(self.rows)}"


GRID = LabelErased
