"""Function vectors: what the heads with the largest effect by their means write is added after each block (Todd et al.
2023, arXiv:2310.15213).

Heads are ranked by `head_means` under shuffled demonstrations, on the other half of the groups. Beside each site stand
`draws` controls: random directions as long as the vector; beside the vectors stands that of the same heads' means under
shuffled demonstrations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from iclviz.grids.head_means import TODD, HeadMeans
from iclviz.interventions.function_vector import FunctionVector
from iclviz.mapping import MOST_DRAWS, Axis, FromDemonstrations, MapSpec, Shape, Site
from iclviz.spec import Demonstrations, RunSpec
from iclviz.typed import check_whole

PARTS = (8, 4, 2, 1)
"""The most heads are taken, and as many parts of them."""

WRONG, WRONG_PART = "shuffled", 4
"""The kind of demonstrations beside whose vector they stand, and that vector's part of the most heads."""


@dataclass(frozen=True, kw_only=True)
class FunctionVectors(FromDemonstrations):
    """shown, k, seed, order: the demonstrations that the vector is of; most: heads at most; draws: random controls."""

    kind = "function_vector"
    title = "Function vectors"
    example = "function_vector shown=correct k=8"
    version = 2
    question = "How much of what demonstrations do comes back with the mean outputs of a few heads?"
    blind = (
        "Only heads at the last prompt token are in the vector, as their mean over items; what they would write beside "
        "an item's own query is not."
    )
    ready = ()
    references = MappingProxyType({"todd2024function": TODD})
    most: int = 40
    draws: int = 1

    def __post_init__(self) -> None:
        check_whole("most", self.most, 1, 10_000)
        check_whole("draws", self.draws, 0, MOST_DRAWS)
        self._vector("1:0", 1)

    def prior(self, run: RunSpec) -> MapSpec:
        """What each head's mean does under shuffled demonstrations."""
        shuffled = run.with_(demonstrations=Demonstrations("shuffled", self.k, self.seed, order=self.order))
        return MapSpec(shuffled, HeadMeans(shown=self.shown, **self.drawn))

    def axes(self, shape: Shape) -> tuple[Axis, Axis]:
        """Numbers of heads, and blocks."""
        most = min(self.most, shape.n_heads * shape.n_layers)
        numbers: list[int | str] = [*sorted({max(most // part, 1) for part in PARTS})]
        is_apart = WRONG in shape.kinds and self.shown != WRONG
        return Axis("heads", (*numbers, *([WRONG] if is_apart else []))), shape.blocks

    def _vector(self, sources: str, layer: int, random: int | None = None, shown: str = "") -> Site:
        shown = shown or self.shown
        return (FunctionVector(sources=sources, shown=shown, layers=(layer,), random=random, **self.drawn),)

    def site(self, first: int | str, second: int, shape: Shape, draw: int = 0) -> Site:
        """The best heads' vector is added."""
        return self._vector(self._sources(first, shape), second, shown=WRONG if first == WRONG else "")

    def controls(self, first: int | str, second: int, shape: Shape) -> Sequence[Site]:
        """Random directions."""
        return [self._vector(self._sources(first, shape), second, random) for random in range(self.draws)]

    def _sources(self, first: int | str, shape: Shape) -> str:
        n = self._n_of_wrong if isinstance(first, str) else first
        return ",".join(f"{layer}:{head}" for layer, head in shape.ranked[:n])

    @property
    def _n_of_wrong(self) -> int:
        return max(self.most // WRONG_PART, 1)

    def names(self) -> Mapping[str, str]:
        """The vector of shuffled demonstrations."""
        return {WRONG: f"{self._n_of_wrong} heads, shuffled"}

    def sentence(self) -> str:
        """What was added."""
        return (
            f"what the heads with the largest effect write, in the mean over items of other groups with {self.donor}, "
            "was added after one block at the last prompt token"
        )


GRID = FunctionVectors
