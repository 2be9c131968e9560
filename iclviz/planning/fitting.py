"""Where a model fits: whole, split over several devices, packed into fewer bits, or partly in main memory."""

from dataclasses import dataclass
from typing import Literal

from iclviz.capture.budget import LEAST_TOKENS, USED_SHARE, budget_of
from iclviz.planning.devices import Device
from iclviz.planning.dry_run import ModelCounts
from iclviz.planning.memory import BITS, packed_bytes
from iclviz.planning.reading import Reading

MOST_DEVICES = 16
How = Literal["whole", "split", "packed", "offloaded", "nowhere"]


@dataclass(frozen=True)
class Fit:
    """How a model fits on devices of one kind.

    Attributes
    ----------
    device: its name; how: the first way that does, where it does not fit whole.
    n_devices: as many are needed for all weights in their type; 1 where it fits whole.
    bits: "8bit" or "4bit", the most with which one device is enough, where the whole model is too large; "" where none
        is.
    budget: tokens whose keys and values are held at the same time, that way.
    batch: prompts of the run that are then decoded together at the most.
    """

    device: str
    how: How
    n_devices: int
    bits: str
    budget: int
    batch: int
    sentence: str


def fit(counts: ModelCounts, reading: Reading, device: Device) -> Fit:
    """How a model fits on a device, for a run's prompts."""
    whole = _budget(counts, reading, device, counts.weight_bytes)
    if whole:
        batch = _batch(reading, whole)
        said = f"It fits whole on one {device.name} in {counts.dtype}; up to {batch:,} of these prompts in one batch."
        if device.kind == "cpu":
            said = f"It fits into this machine's memory in {counts.dtype}; up to {batch:,} of these prompts in a batch."
        return Fit(device.name, "whole", 1, "", whole, batch, said)
    return _in_parts(counts, reading, device)


def _in_parts(counts: ModelCounts, reading: Reading, device: Device) -> Fit:
    """How a model fits that is too large for one device."""
    numbers = range(2, MOST_DEVICES + 1) if device.kind == "cuda" else range(0)
    split = next((n for n in numbers if _budget(counts, reading, device, counts.weight_bytes, n)), 0)
    packs = BITS if device.kind == "cuda" else {}
    bits = next((one for one in packs if _budget(counts, reading, device, packed_bytes(counts, one))), "")
    if device.kind == "cpu":
        said = (
            f"{counts.weight_bytes / 1e9:,.1f} GB of weights in {counts.dtype} have no room in this machine's memory."
        )
        return Fit(device.name, "nowhere", 1, "", 0, 0, said)
    size = f"{counts.weight_bytes / 1e9:,.1f} GB of weights in {counts.dtype} do not fit on one {device.name}"
    ways = []
    if split:
        ways.append(f'split over {split} of them (device_map = "auto")')
    if bits:
        ways.append(f"in {bits.removesuffix('bit')} bit on one")
    if not ways and device.kind == "cuda":
        ways.append('with what is left over in main memory (device_map = "auto"), many times slower')
    how: How = "split" if split else "packed" if bits else "offloaded" if ways else "nowhere"
    weights = counts.weight_bytes if split or not bits else packed_bytes(counts, bits)
    budget = _budget(counts, reading, device, weights, max(split, 1)) or LEAST_TOKENS
    batch = _batch(reading, budget) if split or bits else 1
    together = f"; up to {batch:,} of these prompts in one batch" if split or bits else ""
    said = f"{size}: {', or '.join(ways)}{together}." if ways else f"{size}, which has no other way."
    return Fit(device.name, how, max(split, 1), bits, budget, batch, said)


def _budget(counts: ModelCounts, reading: Reading, device: Device, weights: int, n_devices: int = 1) -> int:
    """The engine's token budget where weights are spread evenly; 0 where not even one prompt has room."""
    free, per_token = device.memory - weights // n_devices, counts.budgeted / n_devices
    longest = reading.longest + reading.steps
    if USED_SHARE * free < longest * per_token:
        return 0
    return budget_of(free, per_token, "cuda" if device.kind == "cuda" else "cpu")


def _batch(reading: Reading, budget: int) -> int:
    return max(1, int((budget - reading.shared) / reading.own_tokens))
