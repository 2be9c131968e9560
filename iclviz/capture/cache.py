"""Keys and values of a batch whose rows go on from stretches that were read before them.

A stretch is kept once, however many rows go on from it, and is never changed. Each batch has columns of its own behind
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
"""Seats for each row, above which rows get copies of their parents."""


@dataclass
class Stretch:
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


class Fan:
    """Which rows of a stretch the B rows of a batch go on from; brings rows of one parent together, so that the keys of
    their parent need not be copied for each.

    R parents lie side by side, each with as many seats as the one with most rows; where most seats would stay empty,
    each row has a copy of its parent to itself.
    """

    def __init__(self, stretch: Stretch, index: Sequence[int]) -> None:
        """index: B rows of the stretch."""
        self.stretch = stretch
        self._index = list(index)
        self._used: slice | None = slice(min(index), max(index) + 1)
        rows = [parent - min(index) for parent in index]
        self._seats = max(Counter(rows).values())
        if max(rows) * self._seats > MOST_EMPTY * len(rows):
            self._used, rows, self._seats = None, list(range(len(rows))), 1
        taken: Counter[int] = Counter()
        self._places = []
        for parent in rows:
            self._places.append(parent * self._seats + taken[parent])
            taken[parent] += 1
        self._slots = [0] * ((max(rows) + 1) * self._seats)
        for row, place in enumerate(self._places):
            self._slots[place] = row
        self._in_order = self._places == list(range(len(self._slots)))
        self._on_device: dict[torch.device, tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = {}

    def parents(self, rows: torch.Tensor) -> torch.Tensor:
        """(U, ...) of the stretch -> (R, ...)."""
        return self.gathered(rows) if self._used is None else rows[self._used]

    def gathered(self, rows: torch.Tensor) -> torch.Tensor:
        """(U, ...) of the stretch -> (B, ...), a copy for each row that goes on from it."""
        return rows[self._tensors(rows.device)[2]]

    def together(self, batch: torch.Tensor) -> torch.Tensor:
        """(B, G, r, D) -> (R, G, seats * r, D), the queries of one parent's rows side by side."""
        _, heads, repeats, size = batch.shape
        spread = batch if self._in_order else batch[self._tensors(batch.device)[1]]
        seated = spread.reshape(-1, self._seats, heads, repeats, size).transpose(1, 2)
        return seated.reshape(-1, heads, self._seats * repeats, size)

    def apart(self, seated: torch.Tensor) -> torch.Tensor:
        """The way back from `together`: (R, G, seats * r, X) -> (B, G, r, X)."""
        parents, heads, rows, size = seated.shape
        spread = seated.reshape(parents, heads, self._seats, rows // self._seats, size).transpose(1, 2).flatten(0, 1)
        return spread if self._in_order else spread[self._tensors(seated.device)[0]]

    def _tensors(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if device not in self._on_device:
            lists = (self._places, self._slots, self._index)
            places, slots, index = (torch.tensor(numbers, device=device) for numbers in lists)
            self._on_device[device] = (places, slots, index)
        return self._on_device[device]


class OwnColumns(CacheLayerMixin):  # type: ignore[misc]
    """One layer's keys and values of a batch: its own columns, and the number of columns before them.

    A model that reads whole caches (`whole=True`) finds the stretches copied in front of its own columns.
    """

    is_sliding = False

    def __init__(self, path: Sequence[Fan], layer: int, capacity: int, whole: bool) -> None:
        super().__init__()
        self._path, self._layer, self._capacity, self._whole = path, layer, capacity, whole
        self._before = sum(fan.stretch.width for fan in path)
        self._used = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Make room, and copy the stretches where the model reads whole caches."""
        before = self._path if self._whole else ()
        keys = [fan.gathered(fan.stretch.keys[self._layer]) for fan in before]
        values = [fan.gathered(fan.stretch.values[self._layer]) for fan in before]
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
    """The cache of one batch: the stretches before it, and its own columns."""

    def __init__(self, path: Sequence[Fan], n_layers: int, capacity: int, whole: bool) -> None:
        """path: one fan for each batch before; capacity: own columns that are surely needed."""
        self.path = path
        super().__init__(layers=[OwnColumns(path, layer, capacity, whole) for layer in range(n_layers)])

    def stretch(self, lengths: Sequence[int]) -> Stretch:
        """The batch's own columns, for the batches that go on from it; lengths: tokens of each row."""
        parts = [layer.own() for layer in self.layers]
        return Stretch([keys for keys, _ in parts], [values for _, values in parts], list(lengths))

    def cut(self, columns: int) -> None:
        """Forget the batch's own columns from there on."""
        for layer in self.layers:
            layer.cut(columns)
