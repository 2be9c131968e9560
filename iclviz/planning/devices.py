"""Devices: memory, bandwidth and speed as their vendors' sheets have them, and this machine as it is measured.

Sheets tell dense matrix products (without sparsity) of tensor cores, accumulated in float32. What is reached of them is
no sheet's number: `REACHED` and `LAUNCH` are assumptions, the same for every device of the table.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from statistics import median
from types import MappingProxyType
from typing import Literal

import numpy as np
import torch

from iclviz.capture.budget import free_memory
from iclviz.errors import UserError, unknown

GIB = 2**30
REACHED, REACHED_BANDWIDTH = 0.6, 0.8
"""Shares of a sheet's speed and bandwidth that large matrix products and copies reach: assumed, not measured."""

LAUNCH = 8e-6
"""Seconds that Python and torch need for one operation beside a GPU that computes: assumed, not measured."""

RESERVED = 2 * GIB
"""What a GPU's driver and libraries take: assumed."""

THIS = "this machine"
WIDTH, MOST_WIDTH = 1024, 2048
"""Of the matrices by which a machine is measured: where no model is at hand, and at the most."""

NO_RATES: Mapping[int, float] = MappingProxyType({})


@dataclass(frozen=True)
class Device:
    """One device.

    Attributes
    ----------
    name: as people call it; source: where its numbers come from.
    memory: bytes that a process may take.
    bandwidth: bytes a second, from and to its memory.
    speed: dtype -> operations a second of large matrix products.
    kind: what torch calls such a device.
    launch: seconds that one operation needs beside its arithmetic.
    waits: whether those seconds are spent while nothing is computed, as on a CPU.
    rates: of this machine: rows of a matrix product -> operations a second; fewer rows fill a processor less.
    attention: of this machine: operations a second of many queries' attention; None is as of matrix products.
    stream: of this machine: bytes a second that operations on single numbers read and write; None is the bandwidth.
    """

    name: str
    source: str
    memory: int
    bandwidth: float
    speed: Mapping[str, float]
    kind: Literal["cuda", "mps", "cpu"]
    launch: float = LAUNCH
    waits: bool = False
    rates: Mapping[int, float] = field(default_factory=lambda: NO_RATES)
    attention: float | None = None
    stream: float | None = None

    def rate(self, rows: int, dtype: str) -> float:
        """Operations a second of a product with so many rows."""
        speed = self.speed.get(dtype, self.speed["float32"])
        if not self.rates:
            return speed
        known = sorted(self.rates)
        found = np.interp(np.log(max(rows, 1)), np.log(known), [self.rates[one] for one in known])
        return float(found) * speed / self.speed["float32"]


NO_SHEET = "memory and bandwidth: Apple; speed: cores x 128 x 2 x clock of third parties, as Apple prints none"


def _gpu(name: str, memory: float, bandwidth: float, half: float, single: float, source: str) -> Device:
    """A row of the table: memory in GiB, bandwidth in GB/s, speeds in TFLOP/s as sheets print them."""
    speed = {"float32": single * 1e12, "bfloat16": half * 1e12, "float16": half * 1e12}
    reached = {dtype: REACHED * value for dtype, value in speed.items()}
    kind: Literal["cuda", "mps"] = "mps" if source == NO_SHEET else "cuda"
    return Device(name, source, int(memory * GIB) - RESERVED, REACHED_BANDWIDTH * bandwidth * 1e9, reached, kind)


DEVICES: dict[str, Device] = {
    device.name: device
    for device in (
        _gpu("A100", 80, 2039, 312, 19.5, "NVIDIA A100 Tensor Core GPU datasheet, 80 GB SXM"),
        _gpu("H100", 80, 3350, 989, 67, "NVIDIA H100 Tensor Core GPU datasheet, SXM"),
        _gpu("H200", 141, 4800, 989, 67, "NVIDIA H200 Tensor Core GPU datasheet, SXM"),
        _gpu("L40S", 48, 864, 362, 91.6, "NVIDIA L40S datasheet"),
        _gpu("RTX 4090", 24, 1008, 165.2, 82.6, "NVIDIA Ada GPU architecture whitepaper, appendix A"),
        _gpu("RTX 5090", 32, 1792, 209.5, 104.8, "NVIDIA RTX Blackwell GPU architecture whitepaper, appendix A"),
        _gpu("M2 Ultra", 192, 800, 27.2, 27.2, NO_SHEET),
        _gpu("M4 Max", 128, 546, 17.2, 17.2, NO_SHEET),
    )
}
"""Name -> device, of one each."""


def device(name: str, width: int = WIDTH) -> Device:
    """The device of that name, however it is spelled; "this machine" is measured.

    Raises
    ------
    UserError: there is none; it lists those that there are.
    """
    spelled = {_plain(one): one for one in (*DEVICES, THIS)}
    found = spelled.get(_plain(name))
    if found is None:
        raise unknown(UserError, "device", name, [*DEVICES, THIS])
    return this_machine(width) if found == THIS else DEVICES[found]


def _plain(name: str) -> str:
    return "".join(name.casefold().split()).replace("-", "").replace("_", "")


# This machine

ROWS = {"cpu": (1, 4, 16, 64, 256), "cuda": (1, 16, 256, 4096)}
MATRICES_BYTES = 2**25
ROUNDS = 7


@lru_cache(maxsize=8)
def this_machine(width: int = WIDTH) -> Device:
    """The GPU of this machine, or its CPU with torch's threads, measured in about a second and once for a process.

    width: of the model, whose matrices have about that size: smaller ones are slower.
    """
    kind: Literal["cuda", "cpu"] = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.inference_mode(), torch.device(kind):
        rates = {rows: _product_rate(rows, min(width, MOST_WIDTH)) for rows in ROWS[kind]}
        copied, place = torch.rand(2**23), torch.rand(2**23)
        some, other = torch.rand(2 * WIDTH, WIDTH), torch.rand(2 * WIDTH, WIDTH)
        return Device(
            name=THIS,
            source="measured on the spot",
            memory=free_memory(torch.device(kind)),
            bandwidth=2 * copied.numel() * 4 / _seconds(lambda: place.copy_(copied)),
            speed={"float32": max(rates.values()), **_half_speeds(max(rates.values()), kind)},
            kind=kind,
            launch=_launch_seconds(),
            waits=kind == "cpu",
            rates=rates,
            attention=_attention_rate(),
            stream=3 * some.numel() * 4 / _seconds(lambda: some * other),
        )


def _product_rate(rows: int, width: int) -> float:
    # Several matrices in turn, so that small products read them from memory as a model's layers do.
    number = max(2, MATRICES_BYTES // (8 * width**2))
    matrices, some = [torch.rand(2 * width, width) for _ in range(number)], torch.rand(rows, width)
    taken = _seconds(lambda: [torch.nn.functional.linear(some, one) for one in matrices])
    return number * 4.0 * rows * width**2 / taken


def _half_speeds(single: float, kind: str) -> dict[str, float]:
    """Speeds of the types that not every CPU computes in."""
    found, size = {}, 256 if kind == "cpu" else 4096
    for dtype in (torch.bfloat16, torch.float16):
        some, other = torch.rand(size // 4, size), torch.rand(size, size)
        whole = _seconds(partial(torch.mm, some, other))
        half = _seconds(partial(torch.mm, some.to(dtype), other.to(dtype)))
        found[str(dtype).removeprefix("torch.")] = single * whole / half
    return found


def _attention_rate() -> float:
    query, key = torch.rand(2, 8, 128, 64), torch.rand(2, 8, 256, 64)
    mask = torch.ones(2, 1, 128, 256, dtype=torch.bool)
    attend = torch.nn.functional.scaled_dot_product_attention
    flops = 4.0 * int(query.numel()) * int(key.shape[2])
    return flops / _seconds(lambda: attend(query, key, key, attn_mask=mask))


def _launch_seconds() -> float:
    """One operation on next to nothing, with the module around it."""
    parts = torch.nn.Sequential(*[part for _ in range(20) for part in (torch.nn.Linear(4, 4), torch.nn.SiLU())])
    some = torch.rand(1, 4)
    return _seconds(lambda: parts(some)) / len(parts)


def _seconds(work: Callable[[], object]) -> float:
    """Seconds that the work takes. On a CPU they are those of this thread: what else runs here comes and goes."""
    on_gpu = torch.cuda.is_available()
    clock = time.perf_counter if on_gpu else time.thread_time
    work()
    taken = []
    for _ in range(ROUNDS):
        start = clock()
        work()
        if on_gpu:
            torch.cuda.synchronize()
        taken.append(clock() - start)
    return max(median(taken), 1e-9)
