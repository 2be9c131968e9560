"""Keys and values of a batch whose rows go on from prefixes that were read before them.

A prefix is kept once, however many rows go on from it, and is never changed. Each batch has columns of its own behind
it, padded on the right. A row's tokens are thus scattered over the columns; their order is that of the columns, and
their positions are counted over the valid ones alone (`iclviz.capture.attention.mask_by_position`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import Cache
from transformers.cache_utils import CacheLayerMixin

GROWTH = 16
"""Columns that are added at once when a batch's own are full."""

MOST_EMPTY = 2
"""Slots for each row, above which rows get copies of their parents."""


@dataclass
class Prefix:
    """What one batch of shared rows left for those that go on from it.

    Attributes
    ----------
    keys, values: for each layer (U, G, P, D) of U rows, G key heads and P columns.
    lengths: tokens of each row; columns from there on are padding.
    """

    keys: list[torch.Tensor]
    values: list[torch.Tensor]
    lengths: list[int]

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.keys[0].shape[2])


class SharedPrefix:
    """Which rows of a prefix the B rows of a batch go on from; brings rows of one parent together, so that the keys of
    their parent need not be copied for each.

    Of the B rows, N go on from the prefix. R parents lie side by side, each with as many slots as the one with most
    rows; where most slots would stay empty, or there is one for each, every row has its parent to itself.
    """

    def __init__(self, prefix: Prefix, index: Sequence[int | None]) -> None:
        """index: for each row of the batch its row of the prefix, or None; at least one has one."""
        self.prefix = prefix
        self._n_rows = len(index)
        self._rows = _Take([row for row, parent in enumerate(index) if parent is not None])
        parents = [parent for parent in index if parent is not None]
        self._index = parents
        self._everywhere = _Take([parent or 0 for parent in index])
        first, last = min(parents), max(parents)
        self._per_parent = max(Counter(parents).values())
        if (last + 1 - first) * self._per_parent > MOST_EMPTY * len(parents):
            self._per_parent = 1
        self._parents = _Take(parents if self._per_parent == 1 else list(range(first, last + 1)))
        if self._per_parent > 1:
            self._places, self._slots = self._slots_of([parent - first for parent in parents])

    def _slots_of(self, parents: list[int]) -> tuple["_Take", "_Take"]:
        """The slot of each row, and the row of each slot; that of an empty slot is any."""
        taken: Counter[int] = Counter()
        places = []
        for parent in parents:
            places.append(parent * self._per_parent + taken[parent])
            taken[parent] += 1
        slots = [0] * ((max(parents) + 1) * self._per_parent)
        for row, place in enumerate(places):
            slots[place] = row
        return _Take(places), _Take(slots)

    def lengths(self) -> list[int]:
        """Tokens that each row of the batch has in the prefix."""
        lengths = [0] * self._n_rows
        for row, parent in zip(self._rows.numbers, self._index, strict=True):
            lengths[row] = self.prefix.lengths[parent]
        return lengths

    def parents(self, rows: torch.Tensor) -> torch.Tensor:
        """(U, ...) of the prefix -> (R, ...)."""
        return self._parents.of(rows)

    def gathered(self, rows: torch.Tensor) -> torch.Tensor:
        """(U, ...) of the prefix -> (B, ...); a row of the batch that has nothing there gets any."""
        return self._everywhere.of(rows)

    def together(self, batch: torch.Tensor) -> torch.Tensor:
        """(B, G, r, D) -> (R, G, slots * r, D), the queries of one parent's rows side by side."""
        _, heads, repeats, size = batch.shape
        own = self._rows.of(batch)
        if self._per_parent == 1:
            return own
        joined = self._slots.of(own).reshape(-1, self._per_parent, heads, repeats, size).transpose(1, 2)
        return joined.reshape(-1, heads, self._per_parent * repeats, size)

    def apart(self, joined: torch.Tensor) -> torch.Tensor:
        """The way back from `together`: (R, G, slots * r, X) -> (B, G, r, X), zero for rows without a slot."""
        parents, heads, rows, size = joined.shape
        own = joined
        if self._per_parent > 1:
            apart = joined.reshape(parents, heads, self._per_parent, rows // self._per_parent, size).transpose(1, 2)
            own = self._places.of(apart.flatten(0, 1))
        if len(self._rows) == self._n_rows:
            return own
        whole = own.new_zeros(self._n_rows, *own.shape[1:])
        self._rows.put(whole, own)
        return whole


class _Take:
    """Rows by their numbers; without copying where they lie side by side."""

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers
        side_by_side = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        self._slice = slice(numbers[0], numbers[0] + len(numbers)) if side_by_side else None
        self._is_one = len(set(numbers)) == 1
        self._tensors: dict[torch.device, torch.Tensor] = {}

    def __len__(self) -> int:
        return len(self.numbers)

    def of(self, rows: torch.Tensor) -> torch.Tensor:
        """The rows of those numbers."""
        if self._is_one:
            return rows[self.numbers[0]].expand(len(self.numbers), *rows.shape[1:])
        return rows[self._key(rows.device)]

    def put(self, whole: torch.Tensor, rows: torch.Tensor) -> None:
        """Write rows where their numbers say."""
        whole[self._key(rows.device)] = rows

    def _key(self, device: torch.device) -> Any:
        if self._slice is not None:
            return self._slice
        if device not in self._tensors:
            self._tensors[device] = torch.tensor(self.numbers, device=device)
        return self._tensors[device]


class OwnColumns(CacheLayerMixin):  # type: ignore[misc]
    """One layer's keys and values of a batch: its own columns, and the number of columns before them.

    A model that reads whole caches (`whole=True`) finds the prefixes copied in front of its own columns.
    """

    is_sliding = False

    def __init__(self, path: Sequence[SharedPrefix], layer: int, capacity: int, whole: bool) -> None:
        super().__init__()
        self._path, self._layer, self._capacity, self._whole = path, layer, capacity, whole
        self._before = sum(shared.prefix.width for shared in path)
        self._used = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Make room, and copy the prefixes where the model reads whole caches."""
        before = self._path if self._whole else ()
        keys = [shared.gathered(shared.prefix.keys[self._layer]) for shared in before]
        values = [shared.gathered(shared.prefix.values[self._layer]) for shared in before]
        self.keys = self._room(keys, key_states)
        self.values = self._room(values, value_states)
        self._used = self._before if self._whole else 0
        self.is_initialized = True

    def _room(self, parts: list[torch.Tensor], like: torch.Tensor) -> torch.Tensor:
        empty = like.new_zeros(*like.shape[:2], self._capacity, like.shape[3])
        return torch.cat([*parts, empty], dim=2) if parts else empty

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append columns; all that the model's attention is handed."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        assert self.keys is not None
        assert self.values is not None
        end = self._used + key_states.shape[2]
        if end > self.keys.shape[2]:
            more = (0, 0, 0, end - self.keys.shape[2] + GROWTH)
            self.keys = torch.nn.functional.pad(self.keys, more)
            self.values = torch.nn.functional.pad(self.values, more)
        self.keys[:, :, self._used : end] = key_states
        self.values[:, :, self._used : end] = value_states
        self._used = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def own(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of the batch's own columns, in memory of their own."""
        assert self.keys is not None
        assert self.values is not None
        start = self._before if self._whole else 0
        keys, values = (part[:, :, start : self._used] for part in (self.keys, self.values))
        return (keys.clone(), values.clone()) if self._whole else (keys, values)

    def cut(self, columns: int) -> None:
        """Forget the batch's own columns from there on."""
        if self.is_initialized:
            self._used = columns + (self._before if self._whole else 0)

    def get_seq_length(self) -> int:
        """Columns so far, those before the batch's own included."""
        return self._used if self._whole and self.is_initialized else self._before + self._used

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Columns that the mask has when as many more are read, and where it begins."""
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        """There is no largest length."""
        return -1


class PathCache(Cache):  # type: ignore[misc]
    """The cache of one batch: the prefixes before it, and its own columns."""

    def __init__(self, path: Sequence[SharedPrefix], n_layers: int, capacity: int, whole: bool) -> None:
        """path: one shared prefix for each batch before; capacity: own columns that are surely needed."""
        self.path = path
        super().__init__(layers=[OwnColumns(path, layer, capacity, whole) for layer in range(n_layers)])

    def prefix(self, lengths: Sequence[int]) -> Prefix:
        """The batch's own columns, for the batches that go on from it; lengths: tokens of each row."""
        last = self.layers[-1].own()
        nothing = tuple(part.new_zeros(()).expand(part.shape) for part in last)
        # A batch that began at a later block has nothing of its own in those before, nor has whoever goes on from it.
        parts = [layer.own() if layer.is_initialized else nothing for layer in self.layers]
        return Prefix([keys for keys, _ in parts], [values for _, values in parts], list(lengths))

    def cut(self, columns: int) -> None:
        """Forget the batch's own columns from there on."""
        for layer in self.layers:
            layer.cut(columns)
