"""Attention knocked out, from where the answer is read or from the query, to each role in each block (Geva et al. 2023,
arXiv:2304.14767).

Beside each site stand `draws` controls: as many random tokens of the same prompt as the role has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from iclviz.intervening import place_words
from iclviz.interventions.knock_out import KnockOut
from iclviz.mapping import MOST_DRAWS, Axis, Grid, Shape, Site
from iclviz.spans import ANSWER
from iclviz.typed import check_choice, check_whole

From = Literal["last", "query"]
GEVA = r"""@inproceedings{geva2023dissecting,
  title     = {Dissecting Recall of Factual Associations in Auto-Regressive Language Models},
  author    = {Geva, Mor and Bastings, Jasmijn and Filippova, Katja and Globerson, Amir},
  booktitle = {Proceedings of EMNLP},
  year      = {2023},
  note      = {arXiv:2304.14767}
}"""


@dataclass(frozen=True, kw_only=True)
class Attention(Grid):
    """rows: from where attention is knocked out; window: blocks at once, around each; draws: random controls."""

    kind = "attention"
    title = "Attention knocked out"
    example = "attention rows=query window=3"
    question = "From where in the prompt does the answer come, and in which blocks?"
    blind = (
        "What is read in several blocks or places may be missed, since each is cut alone; what is cut may be made up "
        "for later."
    )
    ready = (
        ("Attention from the last token", "attention"),
        ("Attention from the query", "attention rows=query"),
    )
    references = MappingProxyType({"geva2023dissecting": GEVA})
    rows: From = "last"
    window: int = 1
    draws: int = 1

    def __post_init__(self) -> None:
        check_choice("rows", self.rows, get_args(From))
        check_whole("window", self.window, 1, 10_000)
        check_whole("draws", self.draws, 0, MOST_DRAWS)

    def axes(self, shape: Shape) -> tuple[Axis, Axis]:
        """Roles and marks, and blocks."""
        return Axis("place", shape.places), shape.blocks

    def site(self, first: str, second: int, shape: Shape, draw: int = 0) -> Site:
        """The place is not seen in the blocks around one."""
        before = (self.window - 1) // 2
        blocks = range(max(second - before, 1), min(second - before + self.window - 1, shape.n_layers) + 1)
        return (KnockOut(to=first, rows=self.rows, layers=tuple(blocks)),)

    def controls(self, first: str, second: int, shape: Shape) -> Sequence[Site]:
        """As many random tokens."""
        return [self.site(f"random:{draw}:{first}", second, shape) for draw in range(self.draws)]

    def names(self) -> Mapping[str, str]:
        """Marks in words."""
        return {f"{ANSWER}:*": "demonstrations’ answers"}

    def sentence(self) -> str:
        """What is not seen from where."""
        blocks = "in one block at a time" if self.window == 1 else f"in {self.window} blocks at a time"
        return f"attention from {place_words(self.rows)} to each kind of text was knocked out {blocks}"


GRID = Attention
