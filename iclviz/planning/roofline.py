"""Seconds of a run on a device by a roofline (arXiv:2402.16363): each operation takes what its arithmetic takes at the
device's speed, or what its bytes take at its bandwidth, whichever is longer.
"""

from dataclasses import dataclass

import numpy as np

from iclviz.planning.devices import Device
from iclviz.planning.dry_run import ModelCounts
from iclviz.planning.reading import Decoded, Pass, Reading

HOOKS, PREFIX_CALLS = 25, 40
"""Calls of torch in each block that attention and recording add to a pass or a step, and those for each prefix that
rows go on from while they are decoded (counted with torch's profiler).
"""

SCORES_MOVED = 8
"""Times that attention scores of one query row are read or written: product, mask, softmax, mass by role."""


@dataclass(frozen=True)
class Seconds:
    """What the stages of a run take, in seconds."""

    prefill: float
    decode: float
    candidates: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.prefill + self.decode + self.candidates


def seconds(counts: ModelCounts, reading: Reading, device: Device) -> Seconds:
    """A run's seconds; loading the model and building prompts are not among them."""
    return Seconds(
        prefill=sum(pass_seconds(counts, one, device) for one in reading.passes),
        decode=sum(decoding_seconds(counts, one, device) for one in reading.decoded),
        candidates=sum(pass_seconds(counts, one, device) for one in reading.candidates),
    )


def pass_seconds(counts: ModelCounts, one: Pass, device: Device) -> float:
    """Seconds of a pass over prompt tokens, or over those of candidates."""
    pairs = one.tokens * one.columns
    copied = 2 * one.rows * one.before * counts.key_bytes if device.waits else 0  # a CPU's kernel wants keys in one
    speed = device.attention or device.rate(one.tokens, counts.dtype)
    attention = max(pairs * counts.pair_flops / speed, one.rows * one.columns * counts.key_bytes / device.bandwidth)
    kept = 2 * one.tokens * counts.key_bytes / device.bandwidth
    work = _blocks(counts, one.tokens, device) + attention + copied / device.bandwidth + kept
    if one.logits:
        work += _logits(counts, one.tokens, device) + 6 * 4 * one.tokens * counts.vocabulary / _stream(device)
    return _with_launches(work, HOOKS, counts, device)


def decoding_seconds(counts: ModelCounts, one: Decoded, device: Device) -> float:
    """Seconds of decoding one batch, its last token, whose logits are not wanted, included."""
    own = (one.steps + 1) / 2
    keys = one.keys + one.rows * own
    pairs = one.rows * (one.seen + own)
    scores = SCORES_MOVED * 4 * one.rows * (one.before + own) * counts.n_heads * counts.n_layers
    # Rows that go on from one prefix multiply its keys together, and so do the query heads of one key head.
    together = round(pairs / keys * counts.n_heads / counts.blocks[0].keys)
    attention = scores / _stream(device) + max(
        pairs * counts.pair_flops / device.rate(together, counts.dtype), keys * counts.key_bytes / device.bandwidth
    )
    step = _blocks(counts, one.rows, device) + attention
    step = _with_launches(step, HOOKS + PREFIX_CALLS * one.prefixes, counts, device)
    return one.steps * step + max(one.steps - 1, 1) * _logits(counts, one.rows, device)


def _blocks(counts: ModelCounts, tokens: int, device: Device) -> float:
    """Seconds of everything but attention over keys and logits."""
    of = counts.pass_
    arithmetic = np.where(of.is_product, tokens * of.flops / device.rate(tokens, counts.dtype), 0.0)
    moved = tokens * of.moved / _stream(device)
    moved = moved + of.weights_read(tokens) / device.bandwidth * (not device.rates)
    return float((of.times * np.where(of.is_product, np.maximum(arithmetic, moved), moved)).sum())


def _logits(counts: ModelCounts, tokens: int, device: Device) -> float:
    arithmetic = tokens * counts.head_flops / device.rate(tokens, counts.dtype)
    weights = counts.vocabulary * counts.width * counts.itemsize
    return max(arithmetic, weights / device.bandwidth * (not device.rates))


def _stream(device: Device) -> float:
    return device.stream or device.bandwidth


def _with_launches(work: float, added: int, counts: ModelCounts, device: Device) -> float:
    """added: calls of torch in each block beside the model's own."""
    launches = device.launch * (counts.pass_.calls + added * counts.n_layers)
    return work + launches if device.waits else max(work, launches)
