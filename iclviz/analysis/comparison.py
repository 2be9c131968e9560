"""Pairs of recordings, A and B, one for each demonstration seed, joined on item ids."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from iclviz.analysis.behaviour import coarsest_groups
from iclviz.analysis.joining import join
from iclviz.analysis.recordings import embeddings
from iclviz.analysis.resolution import same_layers
from iclviz.errors import AnalysisError
from iclviz.questions.question import Reading
from iclviz.recording import Array, Recording


@dataclass(frozen=True, eq=False)
class Comparison:
    """S pairs of recordings, one for each demonstration seed, over the m items that all of them have.

    Attributes
    ----------
    pairs: (A, B) for each seed.
    item_ids: the m common items, in the first recording's order.
    """

    pairs: tuple[tuple[Recording, Recording], ...]
    item_ids: tuple[str, ...]

    @property
    def n_seeds(self) -> int:
        """Demonstration seeds S."""
        return len(self.pairs)

    @property
    def first(self) -> Recording:
        """A of the first seed."""
        return self.pairs[0][0]

    def side(self, number: int) -> list[Recording]:
        """The recordings of A (0) or of B (1), one for each seed."""
        return [pair[number] for pair in self.pairs]

    def items(self, recording: Recording) -> Array:
        """(m,) where the common items stand in a recording."""
        place = {item: index for index, item in enumerate(recording.item_ids)}
        return np.array([place[item] for item in self.item_ids], dtype=int)

    def of_items(self, values: Array | None) -> Array | None:
        """(m, ...) the common items' values of the first recording's (n, ...)."""
        return None if values is None else np.asarray(values)[self.items(self.first)]

    @cached_property
    def groups(self) -> Array | None:
        """(m,) the coarsest groups of the common items."""
        return self.of_items(coarsest_groups(self.first))

    def only(self, items: Array) -> "Comparison":
        """The same over some of the common items, by their places (m',)."""
        return Comparison(self.pairs, tuple(self.item_ids[item] for item in items))

    @cached_property
    def factors(self) -> dict[str, Array]:
        """Name -> (m,) the design factors of the common items."""
        items = self.items(self.first)
        return {name: np.asarray(values)[items] for name, values in self.first.factors.items()}

    def change(self, of: Callable[[Recording, Array], Array]) -> Array:
        """(S, m, ...) B minus A of what the common items of a recording have: `of` it and their places (m,)."""
        a, b = self.values(of)
        return b - a

    def values(self, of: Callable[[Recording, Array], Array]) -> tuple[Array, Array]:
        """The same of A and of B, each (S, m, ...); a recording that stands for several seeds is asked once."""
        values: dict[int, Array] = {}
        for recording in (one for pair in self.pairs for one in pair):
            if id(recording) not in values:
                values[id(recording)] = np.asarray(of(recording, self.items(recording)), dtype=float)
        a, b = (np.stack([values[id(one)] for one in self.side(number)]) for number in (0, 1))
        return a, b


Side = Recording | Sequence[Recording]


def compare(a: Side, b: Side, *, parsed_in_both: bool = False) -> Comparison:
    """A and B, or several of each, one for each demonstration seed, in the same order.

    Parameters
    ----------
    a, b: one recording, or one for each seed; a single one is compared with every one of the other side.
    parsed_in_both: keep only items whose response could be read in all of them.

    Raises
    ------
    AnalysisError: different numbers of seeds, other models' layers, or no item in common.
    """
    ours, theirs = ([side] if isinstance(side, Recording) else list(side) for side in (a, b))
    n_seeds = max(len(ours), len(theirs))
    if not ours or not theirs or {len(ours), len(theirs)} - {1, n_seeds}:
        raise AnalysisError(f"A has {len(ours)} runs and B {len(theirs)}.", "Give one of each for every seed.")
    pairs = tuple(zip(ours * (n_seeds // len(ours)), theirs * (n_seeds // len(theirs)), strict=True))
    common: list[str] = list(join(ours[0], theirs[0], parsed_in_both).item_ids)
    for first, second in pairs[1:]:
        kept = set(join(first, second, parsed_in_both).item_ids)
        common = [item for item in common if item in kept]
    if not common:
        raise AnalysisError("The runs have no item in common.", "Compare runs with the same items and item seed.")
    return Comparison(pairs, tuple(common))


def check_layers(comparison: Comparison) -> None:
    """Refuse recordings that cannot be compared layer by layer.

    Raises
    ------
    AnalysisError: models with different numbers of layers.
    """
    if len({recording.n_layers for pair in comparison.pairs for recording in pair}) > 1:
        raise AnalysisError("A and B have different numbers of layers.", "Compare runs of one model layer by layer.")


def layers_alike(comparison: Comparison, pooling: str) -> Array:
    """(L + 1,) whether rounding alone tells B's embeddings from A's in a layer, whatever the demonstration seed."""
    pairs = [[embeddings(one, pooling)[comparison.items(one)] for one in pair] for pair in comparison.pairs]
    return np.asarray(np.all([same_layers(a, b) for a, b in pairs], axis=0))


def _compared_in_python(names: Sequence[str]) -> str:
    """The comparison of runs, A and B of each demonstration seed in turn, each side's own ones once."""
    a, b = (f"[{', '.join(dict.fromkeys(names[place::2]))}]" for place in (0, 1))
    return f"analysis.compare({a}, {b})"


of_comparison: Reading[Comparison] = Reading(
    lambda recordings: compare(recordings[::2], recordings[1::2]), _compared_in_python
)
"""Makes an analysis of A against B, whose questions name A and B of each demonstration seed in turn."""
