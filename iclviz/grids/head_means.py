"""The mean output of each head under demonstrations, put in place of its own, one head at a time (Todd et al. 2023,
arXiv:2310.15213): what a head carries of them by itself.
"""

from dataclasses import dataclass
from types import MappingProxyType

from iclviz.interventions.patch import Patch
from iclviz.mapping import Axis, FromDemonstrations, Shape, Site

TODD = r"""@inproceedings{todd2024function,
  title     = {Function Vectors in Large Language Models},
  author    = {Todd, Eric and Li, Millicent L. and Sen Sharma, Arnab and Mueller, Aaron and Wallace, Byron C. and
               Bau, David},
  booktitle = {ICLR},
  year      = {2024},
  note      = {arXiv:2310.15213}
}"""


@dataclass(frozen=True, kw_only=True)
class HeadMeans(FromDemonstrations):
    """shown, k, seed, order: the demonstrations under which heads' means are taken."""

    kind = "head_means"
    title = "Heads' means put in"
    example = "head_means shown=correct k=8"
    question = "Which heads carry what the demonstrations tell, whatever the item?"
    blind = (
        "Heads are put in one at a time: what several carry together shows in none of them, and what is an item's own "
        "in no mean."
    )
    ready = (("Heads’ means of the other condition", "head_means shown={shown} k={k} seed={seed}"),)
    references = MappingProxyType({"todd2024function": TODD})

    def __post_init__(self) -> None:
        self.site(0, 1, Shape(1, 1, 0, ()))

    def axes(self, shape: Shape) -> tuple[Axis, Axis]:
        """Heads and blocks."""
        return Axis("head", tuple(range(shape.n_heads))), shape.blocks

    def site(self, first: int, second: int, shape: Shape, draw: int = 0) -> Site:
        """One head has its mean."""
        return (Patch(of="head", shown=self.shown, item="mean", layers=(second,), heads=(first,), **self.drawn),)

    def sentence(self) -> str:
        """What was put in place of what."""
        return f"each head's output was set to its mean over items of other groups with {self.donor}"


GRID = HeadMeans
