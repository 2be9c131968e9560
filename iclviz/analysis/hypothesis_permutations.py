"""Arrangements: in which unit a hypothesis may be permuted, and what each item is said to be in each permutation.

Permuting single items when whole groups are alike would count one group's likeness many times, and call noise
significant. So the hypothesis itself says what may trade places, see `arrangement`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from iclviz.analysis.statistics import permutations, unit_codes
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
            predictions = block[off_diagonal[np.ix_(rows, columns)]] if block.size > 1 else block.ravel()
            if not np.array_equal(predictions, np.full_like(predictions, predictions[0]), equal_nan=True):
                return None
            levels[g, h] = levels[h, g] = predictions[0]
    return levels


def _within_groups(matrix: Array, codes: Array, units: Array) -> Arrangement:
    """What trades places within groups: units among those of as many items; items within units where the hypothesis
    tells copies of one unit apart.
    """
    members = [np.flatnonzero(units == unit) for unit in range(int(units.max()) + 1)]
    here = np.arange(len(matrix))
    if not all(_are_copies(matrix, rows) for rows in members):
        return Arrangement("items within units", matrix, [here[[i]] for i in here], units, here, _n_several(units))
    of_units = np.array([[codes[rows[0]], len(rows)] for rows in members])
    strata = np.unique(of_units, axis=0, return_inverse=True)[1].ravel()
    name = "items within groups" if len(members) == len(here) else "units within groups"
    return Arrangement(name, matrix, members, strata, here, _n_several(of_units[:, 0]))


def _are_copies(matrix: Array, rows: Array) -> bool:
    """Whether a hypothesis says the same of these items, towards all others."""
    others = np.setdiff1d(np.arange(len(matrix)), rows)
    predictions = matrix[np.ix_(rows, others)]
    return np.array_equal(predictions, np.broadcast_to(predictions[:1], predictions.shape), equal_nan=True)


def _n_several(groups: Array) -> int:
    """How many groups have more than one member."""
    return int((np.bincount(unit_codes(groups, len(groups))) > 1).sum())


def arrangement(hypothesis: Array, codes: Array, units: Array | None = None) -> Arrangement:
    """The unit that the hypothesis is about.

    Whole groups where the hypothesis is constant within and between groups; else whole groups among those of equal
    size, their items in order; else, where that changes nothing (every document has the same versions), items within
    their group, or, where units (n,) tell which items are copies of one thing, units within their group.
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
    return _within_groups(pairs_only, codes, here if units is None else unit_codes(units, n))
