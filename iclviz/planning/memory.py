"""Bytes of a run: weights, keys and values, what a pass holds, what is recorded, and what a map keeps."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from iclviz.planning.dry_run import ModelCounts
from iclviz.planning.reading import Reading
from iclviz.recorders import ArraySchema, Recorder, recorders
from iclviz.spec import RunSpec

TEXT_BYTES = 16
"""Of a text in an array of texts: a token."""

POOLS = 4
"""States of each layer that a row of a pass leaves until its prompts are done: sums and maxima, with an empty one of
each (`iclviz.capture.pooling`).
"""

BITS = {"8bit": 8.0, "4bit": 4.5}
"""Bits of a packed weight with its scales: 4 bit has a float32 for 64 weights."""


@dataclass(frozen=True)
class Memory:
    """Bytes of a run at its worst moment, and what it leaves on the disk.

    Attributes
    ----------
    weights: of the model.
    caches: keys and values.
    activations: of a pass, a step or candidates' logits, whichever is most.
    recording: what recorders hold until the run is sealed.
    disk: the recording's arrays.
    """

    weights: int
    caches: int
    activations: int
    recording: int
    disk: int

    @property
    def total(self) -> int:
        """In memory."""
        return self.weights + self.caches + self.activations + self.recording


def memory(counts: ModelCounts, reading: Reading, spec: RunSpec) -> Memory:
    """A run's bytes: the most of each part, since what one part lets go is hardly ever given back at once."""
    caches, activations = (max(part) for part in zip(*_moments(counts, reading), strict=True))
    return Memory(
        weights=counts.weight_bytes,
        caches=caches,
        activations=activations,
        recording=recorded_bytes(counts, reading, spec, in_memory=True),
        disk=recorded_bytes(counts, reading, spec),
    )


def held_bytes(counts: ModelCounts, reading: Reading) -> int:
    """Bytes at the worst moment of a reading, without what is recorded of it."""
    return counts.weight_bytes + sum(int(max(part)) for part in zip(*_moments(counts, reading), strict=True))


def _moments(counts: ModelCounts, reading: Reading) -> list[tuple[int, int]]:
    """Caches and activations at each moment of the run."""
    found = []
    pools = POOLS * 4 * (counts.n_layers + 1) * counts.width
    for one in reading.passes:
        copied = one.rows * one.before * counts.key_bytes // counts.n_layers
        alive = int(one.tokens * counts.held) + copied + one.rows * pools + one.tokens * one.columns
        found += [((one.held + one.tokens) * counts.key_bytes, alive)]
        found += [((one.held + 2 * one.tokens) * counts.key_bytes, 2 * one.rows * pools)]  # what is kept is copied
    for each in reading.decoded:
        own = each.rows * each.room
        scores = 3 * 4 * each.rows * (each.before + each.room) * counts.n_heads
        logits = each.rows * counts.vocabulary * counts.itemsize
        alive = int(each.rows * counts.held) + scores + logits + each.rows * pools
        found += [((each.held + own) * counts.key_bytes, alive)]
    for one in reading.candidates:
        # Logits, their float32 copy where they are in another type, and what logsumexp makes of them.
        logits = one.tokens * counts.vocabulary * (counts.itemsize + 4 * (counts.itemsize != 4) + 4)
        found += [((one.held + one.tokens) * counts.key_bytes, int(one.tokens * counts.held) + logits)]
    return found


def packed_bytes(counts: ModelCounts, bits: str) -> int:
    """Weights with those of linear layers in so many bits, a name in `BITS`; all others keep their type."""
    kept = counts.parameters - counts.packable
    return int(kept * counts.itemsize + counts.packable * BITS[bits] / 8)


def recorded_bytes(counts: ModelCounts, reading: Reading, spec: RunSpec, in_memory: bool = False) -> int:
    """Bytes of the arrays that a run's recorders declare, as they lie on the disk; in memory numbers are float32 at
    least.
    """
    sizes = {
        "item": spec.n_items,
        "layer": counts.n_layers + 1,
        "block": counts.n_layers,
        "head": counts.n_heads,
        "width": counts.width,
        "token": reading.longest + reading.steps,
        "candidate": reading.most_candidates,
        "demonstration": spec.demonstrations.k,
        "intervention": len(spec.interventions),
    }
    return sum(
        _array_bytes(schema, sizes, recorder, spec, in_memory)
        for recorder in recorders().values()
        if any(recorder.asked(spec, item) is not None for item in range(spec.n_items))
        for schema in recorder.arrays
        if schema.is_kept or in_memory
    )


def _array_bytes(schema: ArraySchema, sizes: dict[str, int], recorder: Recorder, spec: RunSpec, in_memory: bool) -> int:
    number = TEXT_BYTES if schema.dtype == "text" else np.dtype(schema.dtype).itemsize
    if in_memory and schema.dtype == "float16":
        number = 4
    tables = len(recorder.names(spec)) if schema.by else 1
    return number * tables * prod(sizes.get(axis, 1) for axis in schema.axes)


def map_bytes(sizes: Sequence[int], n_draws: int, n_controls: int, n_items: int, n_candidates: int) -> int:
    """Bytes of a map's arrays, as `iclviz.maps.EffectMap` has them: sites of that many values on each axis."""
    sites = prod(sizes)
    logprobs = 4 * n_items * n_candidates * (1 + sites * (n_draws + n_controls))
    places = 4 * n_items * sites * (2 * n_draws + n_controls)
    return logprobs + places
