"""What items share: groups, and the factors that a task's design makes different between the items of a group.

Items that differ in a factor (the place of the relevant statement, the version of a document) are not exchangeable:
the factor moves the measure and the score alike. So whatever compares items of a group takes factors out and moves
only what is left alike:

1. A factor of names whose every level belongs to one group only (the documents that share a wording) is nested: its
   levels are *blocks*, the smallest things that items share. Without any, blocks are the groups.
2. Factors of names that recur over groups are crossed, and their combinations are *cells*. Values are centred by block
   and by each crossed factor.
3. A factor of numbers (x within a line) is taken out as a line and a bend over its ranks.
4. Items trade places within a block and cell. Where each block holds every cell once, nothing could: then a group's
   values move as a whole to other groups of the same make-up, cell by cell. Where hardly two groups have the same
   make-up, what factors leave of items trades places within blocks (Freedman and Lane 1983).
5. Items that are copies of one *unit* (one word, asked twice) are alike in measure and score: they count as one, whose
   values are their means.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import orth
from scipy.stats import rankdata

from iclviz.analysis.statistics import permutations, quotient, unit_codes
from iclviz.contrasts import UNIT
from iclviz.errors import AnalysisError
from iclviz.recording import Array

_VARIES = 1e-9


@dataclass(frozen=True, eq=False)
class Design:
    """Of n items: codes (n,) of groups, blocks and cells, from 0, and columns (n, C) of what factors may explain.

    Cells are single where no factor is crossed.
    """

    groups: Array
    blocks: Array
    cells: Array
    columns: Array

    @classmethod
    def of(
        cls,
        n: int,
        groups: Array | Sequence[object] | None = None,
        factors: Mapping[str, Array] | None = None,
    ) -> "Design":
        """The design of n items with groups (n,), None = single items, and factors, name -> (n,).

        Raises
        ------
        AnalysisError: there is not one group for each item.
        """
        codes = unit_codes(groups, n)
        values = [np.asarray(factor) for name, factor in (factors or {}).items() if name != UNIT]
        numbers = [value.astype(float) for value in values if value.dtype.kind == "f"]
        names = [unit_codes(value, n) for value in values if value.dtype.kind != "f"]
        nested = [name for name in names if _is_nested(name, codes)]
        crossed = [name for name in names if not _is_nested(name, codes)]
        dummies = [np.eye(int(name.max()) + 1)[name] for name in crossed]
        columns = [*dummies, *map(_bent, numbers)]
        return cls(
            groups=codes,
            blocks=_combined([codes, *nested], n),
            cells=_combined(crossed, n),
            columns=np.hstack(columns) if columns else np.empty((n, 0)),
        )

    @property
    def n_groups(self) -> int:
        """Independent groups."""
        return int(self.groups.max(initial=-1)) + 1

    @property
    def has_factors(self) -> bool:
        """Whether the design makes items of a group differ."""
        return bool(self.columns.shape[1]) or self.has_blocks

    @property
    def has_blocks(self) -> bool:
        """Whether groups fall into smaller things that items share."""
        return int(self.blocks.max(initial=-1)) + 1 > self.n_groups

    def take(self, items: Array) -> "Design":
        """The design of some items, in their order."""
        n = len(items)
        groups, blocks, cells = (unit_codes(codes[items], n) for codes in (self.groups, self.blocks, self.cells))
        return Design(groups, blocks, cells, self.columns[items])

    def without_cells(self) -> "Design":
        """The same with all items of a block in one cell; columns still take factors out."""
        return replace(self, cells=np.zeros_like(self.cells))

    def drawn(self, groups: Array) -> tuple[Array, "Design"]:
        """The items of drawn groups, and their design, in which each copy of a group is a group of its own."""
        members = [self.members[group] for group in groups]
        items = np.concatenate(members)
        copies = np.repeat(np.arange(len(groups)), [len(rows) for rows in members])
        blocks = _combined([copies, self.blocks[items]], len(items))
        return items, Design(copies, blocks, self.cells[items], self.columns[items])

    @cached_property
    def members(self) -> list[Array]:
        """The items of each group, ordered by block and cell."""
        order = np.lexsort((self.cells, self.blocks, self.groups))
        borders = np.cumsum(np.bincount(self.groups))[:-1]
        return np.split(order, borders)

    @cached_property
    def make_up(self) -> Array:
        """(G,) a code of which cells each group holds in which blocks: groups of one code compare item by item."""
        found: dict[tuple[tuple[int, ...], ...], int] = {}
        codes = []
        for rows in self.members:
            blocks = [tuple(self.cells[rows[self.blocks[rows] == block]]) for block in np.unique(self.blocks[rows])]
            codes.append(found.setdefault(tuple(blocks), len(found)))
        return np.array(codes, dtype=int)

    def without_factors(self, values: Array, within: bool) -> Array:
        """Values less what blocks and crossed factors explain: of items (..., n), or, between, of groups (..., G)."""
        if within:
            centred = values - group_means(values, self.blocks)[..., self.blocks]
        else:
            centred = values - values.mean(axis=-1, keepdims=True)
        return without(centred, self.explained(within))

    def explained(self, within: bool) -> Array:
        """The basis (n, r), or (G, r) between, of what crossed factors explain around the means."""
        columns = self.columns.T
        if not len(columns):
            return np.zeros((len(self.groups) if within else self.n_groups, 0))
        if within:
            return basis(columns - group_means(columns, self.blocks)[:, self.blocks])
        means = group_means(columns, self.groups)
        return basis(means - means.mean(axis=1, keepdims=True))

    def moves_items(self, values: Array, least: int) -> bool:
        """Whether items trade places within blocks and cells: in at least so many groups, or because nothing else
        could.
        """
        return not self.has_factors or self.n_movable(values) >= least

    def n_movable(self, values: Array) -> int:
        """Groups in which two items of one block and cell have different values (S, n)."""
        strata = self.strata
        varied = [
            len(np.unique(values[:, strata == stratum], axis=1).T) > 1 for stratum in range(int(strata.max()) + 1)
        ]
        firsts = np.unique(strata, return_index=True)[1]
        return len(np.unique(self.groups[firsts[np.array(varied)]]))

    @cached_property
    def strata(self) -> Array:
        """(n,) codes of block and cell."""
        return _combined([self.blocks, self.cells], len(self.groups))

    def items_moved(self, values: Array, n_permutations: int, rng: np.random.Generator) -> Array:
        """(B, n) the item from which each value of (S, n) comes, within blocks and cells."""
        return permutations(kinds(values), self.strata, n_permutations, rng)

    def n_exchangeable(self) -> int:
        """Groups that have another of the same make-up."""
        return int((np.bincount(self.make_up)[self.make_up] > 1).sum())

    def groups_moved(self, values: Array, n_permutations: int, rng: np.random.Generator) -> Array:
        """(B, n) the item from which each value of (S, n) comes, groups moving as a whole to those of one make-up."""
        contents = np.empty(self.n_groups, dtype=int)
        for code in np.unique(self.make_up):
            alike = np.flatnonzero(self.make_up == code)
            contents[alike] = kinds(np.stack([values[:, self.members[group]].ravel() for group in alike], axis=1))
        moved = permutations(contents, self.make_up, n_permutations, rng)
        places = np.empty((len(moved), len(self.groups)), dtype=np.intp)
        for group, rows in enumerate(self.members):
            for source in np.unique(moved[:, group]):
                places[np.ix_(moved[:, group] == source, rows)] = self.members[source]
        return places


@dataclass(frozen=True, eq=False)
class Units:
    """What n items are copies of: (n,) the number of each item's unit, from 0."""

    codes: Array

    @classmethod
    def of(cls, factors: Mapping[str, Array] | None, groups: Array, n: int) -> "Units | None":
        """The units that factors, name -> (n,), tell of items in groups (n,); None where every item is its own.

        Raises
        ------
        AnalysisError: a unit has items in two groups.
        """
        if UNIT not in (factors or {}):
            return None
        codes = unit_codes((factors or {})[UNIT], n)
        if not _is_nested(codes, groups):
            raise AnalysisError("A unit has items in two groups.", "Give all copies of one thing the same group.")
        return cls(codes) if int(codes.max(initial=-1)) + 1 < n else None

    @property
    def firsts(self) -> Array:
        """(U,) the place of each unit's first item."""
        return np.asarray(np.unique(self.codes, return_index=True)[1])

    def means(self, values: Array) -> Array:
        """(..., U) of values (..., n), NaN left out."""
        one_hot, known = np.eye(len(self.firsts))[self.codes], np.isfinite(values)
        return quotient(np.where(known, values, 0.0) @ one_hot, known @ one_hot)

    def factor(self, values: Array) -> Array:
        """(U,) a factor's levels: of numbers the mean, of names all that the unit's items have."""
        values = np.asarray(values)
        if values.dtype.kind == "f":
            return self.means(values)
        of_units = [sorted(set(values[self.codes == code].astype(str))) for code in range(len(self.firsts))]
        return np.array([" + ".join(names) for names in of_units])


def group_means(values: Array, codes: Array) -> Array:
    """(..., G) means over each group's items of values (..., n)."""
    one_hot = np.eye(int(codes.max()) + 1)[codes]
    return np.asarray(values @ (one_hot / one_hot.sum(axis=0)))


def basis(columns: Array) -> Array:
    """(u, r) an orthonormal basis of what columns (C, u) span; one that does not vary adds nothing."""
    lengths = np.linalg.norm(columns, axis=1)
    varied = columns[lengths > _VARIES] / lengths[lengths > _VARIES, None]
    return np.asarray(orth(varied.T)) if len(varied) else np.zeros((columns.shape[1], 0))


def without(values: Array, q: Array) -> Array:
    """Values (..., u) less what a basis q (u, r) explains of them."""
    return np.asarray(values - (values @ q) @ q.T)


def _combined(parts: Sequence[Array], n: int) -> Array:
    """(n,) one code for each combination of codes."""
    codes = np.zeros(n, dtype=int)
    for part in parts:
        codes = np.unique(codes * (int(part.max(initial=-1)) + 1) + part, return_inverse=True)[1]
    return codes


def _is_nested(factor: Array, groups: Array) -> bool:
    """Whether every level of a factor belongs to one group."""
    pairs = np.unique(np.column_stack([factor, groups]), axis=0)
    return len(pairs) == len(np.unique(factor))


def _bent(numbers: Array) -> Array:
    """(n, 2) a line and a bend over the ranks of numbers, missing ones in the middle."""
    known = np.isfinite(numbers)
    ranks = np.zeros(len(numbers))
    if known.any():
        ranks[known] = rankdata(numbers[known])
        ranks[known] = 2 * (ranks[known] - ranks[known].mean()) / max(known.sum(), 1)
    return np.column_stack([ranks, ranks**2])


def kinds(values: Array) -> Array:
    """(n,) items of one code have the same values (S, n)."""
    return np.asarray(np.unique(values, axis=1, return_inverse=True)[1].ravel())
