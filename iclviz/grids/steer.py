"""A dose of a label: states after some blocks moved along the direction in which a probe reads a class, by several
doses (Turner et al. 2023, arXiv:2308.10248).

Beside each site stand `draws` controls: random directions as long.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import get_args

from iclviz.grids.attention import From
from iclviz.intervening import place_words
from iclviz.interventions.steer import Steer
from iclviz.mapping import MOST_DRAWS, Axis, Grid, Shape, Site
from iclviz.typed import check_choice, check_whole

DOSES = ("-3", "-2", "-1", "1", "2", "3")
TURNER = r"""@article{turner2023steering,
  title   = {Steering Language Models With Activation Engineering},
  author  = {Turner, Alexander Matt and Thiergart, Lisa and Leech, Gavin and Udell, David and Vazquez, Juan J. and
             Mini, Ulisse and MacDiarmid, Monte},
  journal = {arXiv:2308.10248},
  year    = {2023}
}"""


@dataclass(frozen=True, kw_only=True)
class LabelDosed(Grid):
    """label: whose direction it is; to: the class that it leads to; rows: where; every: a block of so many; draws:
    random directions.
    """

    kind = "steer"
    title = "Moved along a label"
    example = "steer label=answer to=reading"
    question = "Does the answer follow how strongly a state says this class?"
    blind = (
        "A direction that a probe reads need not be the one that the model uses; far from its own states a model may "
        "do anything."
    )
    ready = ()
    references = MappingProxyType({"turner2023steering": TURNER})
    label: str
    to: str = ""
    rows: From = "last"
    every: int = 3
    draws: int = 3

    def __post_init__(self) -> None:
        check_choice("rows", self.rows, get_args(From))
        check_whole("every", self.every, 1, 10_000)
        check_whole("draws", self.draws, 0, MOST_DRAWS)
        object.__setattr__(self, "to", str(self.to))
        self._moved("1", 1)

    def axes(self, shape: Shape) -> tuple[Axis, Axis]:
        """Doses, and some blocks."""
        return Axis("dose", DOSES), Axis("block", tuple(range(self.every, shape.n_layers + 1, self.every)))

    def _moved(self, dose: str, layer: int, random: int | None = None) -> Site:
        one = Steer(label=self.label, to=self.to, dose=float(dose), rows=self.rows, layers=(layer,), random=random)
        return (one,)

    def site(self, first: str, second: int, shape: Shape, draw: int = 0) -> Site:
        """One block's states are moved."""
        return self._moved(first, second)

    def controls(self, first: str, second: int, shape: Shape) -> Sequence[Site]:
        """Along random directions, as far."""
        return [self._moved(first, second, random) for random in range(self.draws)]

    def names(self) -> Mapping[str, str]:
        """Doses with their unit."""
        return {dose: f"{dose.replace('-', '−')} sd" for dose in DOSES}

    def sentence(self) -> str:
        """What is moved along what."""
        what = f"{self.label} {self.to}".strip()
        return (
            f"states after each block at {place_words(self.rows)} were moved along a probe's direction of {what}, by "
            "standard deviations of the projection on it"
        )


GRID = LabelDosed
