"""What numbers hold: differences that rounding makes are none, and values closer than that are ties before ranks.

1. A number in a type of floating point is right to half its unit in the last place. Items of a layer are the same where
   their root mean squared distance from their mean is at most ten times what rounding in the type that keeps them
   adds, or 32 units of float32 (2^-18) of their root mean squared norm: some hundred roundings of a forward pass add up
   to that.
2. What is made of embeddings (an RSM, an item's own alignment) holds ten times as much as rounding moves it, which is
   measured: every embedding is moved by up to half a unit and the measure is made again.
3. A log-probability, and so the logarithm of attention, is right to 1e-4 in float32; in 16 bits, to a unit in the last
   place of a logit of 16 to 32.
"""

from collections.abc import Callable

import numpy as np

from iclviz.recording import Array

TIMES = 10
"""How many times as large as rounding a difference has to be."""

UNITS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
"""The unit in the last place of 1, by type."""

NATS = {"float64": 1e-4, "float32": 1e-4, "float16": 2.0**-6, "bfloat16": 2.0**-3}
"""The least difference of two log-probabilities, by the type that a model computes in."""

SAME_ITEMS = 32 * UNITS["float32"]

SAME_PAIRS = 4 * UNITS["float32"]
"""The range of an RSM's pairs, as a share of the largest, up to which they are all the same."""


def _unit(x: Array) -> float:
    return UNITS.get(str(x.dtype), UNITS["float64"])


def only_rounding(x: Array) -> bool:
    """Whether rounding alone, in the type of x, keeps its items (n, d) apart."""
    if not len(x):
        return True
    wide, _ = _scaled(x)
    return bool(((wide - wide.mean(axis=0)) ** 2).sum() <= _by_rounding(wide, _unit(x)))


def same_layers(a: Array, b: Array) -> Array:
    """(K,) whether rounding alone, in the type of a, tells embeddings b (n, K, d) of a layer from a."""
    return np.array([_is_same(a[:, layer], b[:, layer]) for layer in range(a.shape[1])], dtype=bool)


def _is_same(a: Array, b: Array) -> bool:
    wide, largest = _scaled(a)
    distance = ((wide - np.asarray(b, dtype=np.float64) / largest) ** 2).sum()
    return bool(distance <= 2 * _by_rounding(wide, _unit(a)))


def _scaled(x: Array) -> tuple[Array, float]:
    """Numbers of which the largest is 1, so that their squares are finite, and what they were divided by."""
    wide = np.asarray(x, dtype=np.float64)
    largest = float(np.abs(wide).max(initial=0.0)) or 1.0
    return wide / largest, largest


def _by_rounding(x: Array, unit: float) -> float:
    """The sum of squares that rounding may add to x (n, d)."""
    rounding = (_last_place(x, unit) ** 2).sum() / 12
    return float(max(TIMES**2 * rounding, SAME_ITEMS**2 * (x**2).sum()))


def _last_place(x: Array, unit: float) -> Array:
    """The unit in the last place of each number."""
    return np.asarray(np.ldexp(unit, np.frexp(x)[1] - 1))


def missing_layers(x: Array) -> dict[int, str]:
    """Layer -> why embeddings (n, L + 1, d) give no value there."""
    reasons = {}
    for layer in range(x.shape[1]):
        if not np.isfinite(x[:, layer]).all():
            reasons[layer] = "an embedding is not finite"
        elif only_rounding(x[:, layer]):
            reasons[layer] = "all items have the same embedding, but for rounding"
    return reasons


def resolution(of: Callable[[Array], Array], x: Array, value: Array | None = None, seed: int = 0) -> Array:
    """(K,) ten times what rounding x in its type moves a measure of it, in each column: root mean squared.

    Parameters
    ----------
    of: the measure of embeddings in float64, (..., K).
    value: what it is of x, where that is known; None = it is made as well.
    seed: draws by how much of half a unit in the last place each number is moved.
    """
    wide = np.asarray(x, dtype=np.float64)
    by = np.random.default_rng(seed).uniform(-0.5, 0.5, size=wide.shape)
    squares = (of(wide + by * _last_place(wide, _unit(x))) - (of(wide) if value is None else value)) ** 2
    known, rows = np.isfinite(squares), tuple(range(squares.ndim - 1))
    sums = np.where(known, squares, 0.0).sum(axis=rows)
    return np.asarray(TIMES * np.sqrt(sums / np.maximum(known.sum(axis=rows), 1)))


def settled(values: Array, least: Array | float) -> Array:
    """Differences, 0 where they are not larger than the least that is one."""
    return np.where(np.abs(values) <= least, 0.0, values)


def tied(values: Array, least: Array | float) -> Array:
    """Values (..., m) of which those closer than `least` (...) are the same: from the smallest on, each takes the first
    that is as near. NaN stays.
    """
    values = np.asarray(values, dtype=np.float64)
    rows, apart = values.reshape(-1, values.shape[-1]), np.broadcast_to(least, values.shape[:-1]).ravel()
    return np.stack([_tied(row, float(one)) for row, one in zip(rows, apart, strict=True)]).reshape(values.shape)


def _tied(row: Array, least: float) -> Array:
    order = np.argsort(row)
    known = order[: int(np.isfinite(row).sum())]
    ordered = row[known]
    borders = np.flatnonzero(np.diff(ordered) > least) + 1
    starts, ends = np.append(0, borders), np.append(borders, len(ordered))
    close = (ends - starts > 1) & (ordered[starts] < ordered[ends - 1]) if len(ordered) else np.zeros(1, dtype=bool)
    if not close.any():
        return row
    for start, end in zip(starts[close], ends[close], strict=True):
        while start < end:
            stop = int(np.searchsorted(ordered[:end], ordered[start] + least, side="right"))
            ordered[start:stop] = ordered[start]
            start = stop
    found = row.copy()
    found[known] = ordered
    return found


def held(matrices: Array) -> Array:
    """Symmetric matrices (..., n, n) in float64; pairs that differ by less than ten units in the last place of the
    largest, in the type that holds them, are ties.
    """
    kept = np.asarray(matrices)
    wide = kept.astype(np.float64)
    if kept.dtype not in (np.float16, np.float32):
        return wide
    rows, columns = np.triu_indices(kept.shape[-1], 1)
    pairs = wide[..., rows, columns]
    least = TIMES * _unit(kept) * np.abs(np.nan_to_num(pairs)).max(axis=-1, initial=0.0)
    wide[..., rows, columns] = wide[..., columns, rows] = tied(pairs, least)
    return wide
