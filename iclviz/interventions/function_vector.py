"""Add a function vector: what some heads write at the last prompt token, in the mean over items that were shown
demonstrations (Todd et al. 2023, arXiv:2310.15213), is added to the stream.

A head's share is its mean output, over items of other groups, through the output projection, whose bias stays out.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iclviz.errors import SpecError
from iclviz.intervening import MOST_DRAWS, At, Need, Part, UnderDemonstrations, place_words
from iclviz.interventions.patch import random_like
from iclviz.typed import check_whole

if TYPE_CHECKING:
    import torch

    from iclviz.capture.acting import DonorValues, Likes

_SOURCES = re.compile(r"[1-9][0-9]{0,3}:[0-9]{1,4}(,[1-9][0-9]{0,3}:[0-9]{1,4})*")


@dataclass(frozen=True, kw_only=True)
class FunctionVector(UnderDemonstrations):
    """What heads write is added after a block.

    Attributes
    ----------
    sources: the heads, block from 1 and head from 0, such as 12:3,14:0.
    shown, k, seed, order: the demonstrations under which their mean is taken.
    random: the number of a random direction that is added instead, as long as the vector; None = the vector.
    """

    kind = "function_vector"
    title = "Function vector added"
    example = "function_vector sources=12:3,14:0 layers=10 shown=correct k=8"
    sources: str
    random: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.sources, str) or not _SOURCES.fullmatch(self.sources):
            raise SpecError(f"sources = {self.sources!r} are no heads.", "Give block:head, such as 12:3,14:0.")
        object.__setattr__(self, "sources", ",".join(f"{layer}:{head}" for layer, head in self.written))
        if self.random is not None:
            check_whole("random", self.random, 0, MOST_DRAWS)
        if self.rows != "last":
            raise SpecError("A function vector is of the last prompt token.", "Take rows=last.")

    @property
    def written(self) -> tuple[tuple[int, int], ...]:
        """Block and head of each source, in order."""
        pairs = (one.split(":") for one in self.sources.split(","))
        return tuple(sorted({(int(layer), int(head)) for layer, head in pairs}))

    @property
    def part(self) -> Part:
        """The stream."""
        return "state"

    @property
    def needs(self) -> Need:
        """Items of other groups."""
        return "all"

    @property
    def read(self) -> tuple[Part, tuple[int, ...]]:
        """The sources' blocks."""
        return "heads", tuple(sorted({layer for layer, _ in self.written}))

    def donated(self, held: "DonorValues", layer: int, likes: "Likes") -> "torch.Tensor":
        """The vector."""
        return held.written(self.written, likes)

    def change(self, values: "torch.Tensor", at: At) -> "torch.Tensor":
        """The state and the vector, or a random direction."""
        assert at.donor is not None
        vector = at.donor if self.random is None else random_like(at.donor, self.random, at.layer)
        return values + vector.to(values)

    @property
    def short(self) -> str:
        """What is added where."""
        what = "function vector" if self.random is None else "random vector"
        return f"{what} of {len(self.written)} heads, {self.donor}, {self.where()}"

    def sentence(self) -> str:
        """What is added, and of which heads it is."""
        vector = f"what {len(self.written)} heads ({self.sources}) write in the mean over items of other groups"
        if self.random is not None:
            vector = f"a random direction as long as {vector}"
        return f"{vector} with {self.donor}, added at {place_words(self.rows)} in {self.where()}"


INTERVENTION = FunctionVector
