"""Attention to a place made stronger or weaker, by several doses, in each block: a dose-response (Wang et al. 2023,
arXiv:2305.14160, re-weighting).
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import get_args

from iclviz.grids.attention import From
from iclviz.intervening import check_place, place_words
from iclviz.interventions.scale import Scale
from iclviz.mapping import Axis, Grid, Shape, Site
from iclviz.typed import check_choice, check_whole

MOST_STEPS = 20
WANG = r"""@inproceedings{wang2023label,
  title     = {Label Words are Anchors: An Information Flow Perspective for Understanding In-Context Learning},
  author    = {Wang, Lean and Li, Lei and Dai, Damai and Chen, Deli and Zhou, Hao and Meng, Fandong and Zhou, Jie and Sun, Xu},
  booktitle = {Proceedings of EMNLP},
  year      = {2023},
  note      = {arXiv:2305.14160}
}"""  # noqa: E501


@dataclass(frozen=True, kw_only=True)
class Dose(Grid):
    """to: the place whose weights are multiplied; rows: from where; steps: doses on either side of nothing, whole
    numbers of which exp is the factor.
    """

    kind = "dose"
    title = "Attention by doses"
    example = "dose to=relevant"
    question = "Does the answer follow how strongly the model attends to this text?"
    blind = "Weights are not renormalised, so that a large dose also makes the head's output large."
    ready = (("Attention to relevant text, by doses", "dose"),)
    references = MappingProxyType({"wang2023label": WANG})
    to: str = "relevant"
    rows: From = "last"
    steps: int = 3

    def __post_init__(self) -> None:
        check_place(self.to)
        check_choice("rows", self.rows, get_args(From))
        check_whole("steps", self.steps, 1, MOST_STEPS)

    def axes(self, shape: Shape) -> tuple[Axis, Axis]:
        """Doses, the strongest first, and blocks."""
        doses = [dose for dose in range(self.steps, -self.steps - 1, -1) if dose]
        return Axis("dose", tuple(doses)), shape.blocks

    def site(self, first: int, second: int, shape: Shape, draw: int = 0) -> Site:
        """One dose in one block."""
        return (Scale(to=self.to, by=float(first), rows=self.rows, layers=(second,)),)

    def sentence(self) -> str:
        """What is multiplied."""
        return (
            f"attention from {place_words(self.rows)} to {place_words(self.to)} was multiplied by exp(dose) in one "
            "block at a time"
        )


GRID = Dose
