"""Arrangements: in which unit a hypothesis may be permuted, and what each item is said to be in each permutation.

Permuting single items when whole groups are alike would count one group's likeness many times, and call noise
significant. So the hypothesis itself says what may trade places, see `arrangement`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from iclviz.analysis.statistics import permutations
from iclviz.recording import Array


@dataclass(frozen=True, eq=False)
class Arrangement:
    """What may trade places: U units, each a list of rows of `matrix`, within strata.

    `place` (n,) is the row of the matrix at which each item stands; `n_units` the units that a p could rest on.
    """

    unit: str
    matrix: Array
    members: list[Array]
    strata: Array
    place: Array
    n_units: int

    @cached_property
    def kinds(self) -> Array:
        """(U,) the first unit of the same stratum with which each may be exchanged without changing the matrix."""
        kinds = np.arange(len(self.members))
        for unit in range(len(kinds)):
            for first in np.unique(kinds[:unit]):
                if self.strata[first] == self.strata[unit] and self._same(first, unit):
                    kinds[unit] = first
                    break
        return kinds

    @property
    def changes(self) -> bool:
        """Whether any exchange changes the matrix."""
        return len(np.unique(self.kinds)) > len(np.unique(self.strata))

    def _same(self, first: int, second: int) -> bool:
        one, other = self.members[first], self.members[second]
        order = np.arange(len(self.matrix))
        order[one], order[other] = other, one
        return np.array_equal(self.matrix[other][:, order], self.matrix[one], equal_nan=True)

    def places(self, n_permutations: int, rng: np.random.Generator) -> Array:
        """(B, n) the row of the matrix that each item takes in each permutation."""
        units = permutations(self.kinds, self.strata, n_permutations, rng)
        rows = np.empty((len(units), len(self.matrix)), dtype=np.intp)
        for stratum in np.unique(self.strata):
            inside = np.flatnonzero(self.strata == stratum)
            members = np.array([self.members[unit] for unit in inside])
            rows[:, members] = members[np.searchsorted(inside, units[:, inside])]
        return rows[:, self.place]


def _group_matrix(hypothesis: Array, members: list[Array]) -> Array | None:
    """(G, G) what the hypothesis says of two groups, and within one; None where it differs between their items."""
    levels = np.full((len(members), len(members)), np.nan)
    off_diagonal = ~np.eye(len(hypothesis), dtype=bool)
    for g, rows in enumerate(members):
        for h, columns in enumerate(members[: g + 1]):
            block = hypothesis[np.ix_(rows, columns)]
            said = block[off_diagonal[np.ix_(rows, columns)]] if block.size > 1 else block.ravel()
            if not np.array_equal(said, np.full_like(said, said[0]), equal_nan=True):
                return None
            levels[g, h] = levels[h, g] = said[0]
    return levels


def arrangement(hypothesis: Array, codes: Array) -> Arrangement:
    """The unit that the hypothesis is about.

    Whole groups where the hypothesis is constant within and between groups; else whole groups among those of equal
    size, their items in order; else, where that changes nothing (every document has the same versions), items within
    their group.
    """
    n, n_groups = len(hypothesis), int(codes.max()) + 1
    here, items = np.arange(n), [np.array([item]) for item in range(n)]
    pairs_only = hypothesis.copy()
    np.fill_diagonal(pairs_only, np.nan)  # the diagonal is no prediction and must not tell two items apart
    if n_groups == n:
        return Arrangement("items", pairs_only, items, np.zeros(n, dtype=int), here, n)
    members = [np.flatnonzero(codes == code) for code in range(n_groups)]
    if (levels := _group_matrix(hypothesis, members)) is not None:
        return Arrangement("groups", levels, items[:n_groups], np.zeros(n_groups, dtype=int), codes, n_groups)
    sizes = np.array([len(rows) for rows in members])
    most_alike = int(np.bincount(sizes).max())
    blocks = Arrangement("blocks", pairs_only, members, sizes, here, most_alike)
    if blocks.changes or most_alike == 1:
        return blocks
    return Arrangement("items within groups", pairs_only, items, codes, here, int((sizes > 1).sum()))
