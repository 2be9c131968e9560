"""What results have in common: an estimate with its interval, and what a test adds to it."""

from dataclasses import dataclass

from iclviz.recording import Array


@dataclass(frozen=True, eq=False)
class Estimates:
    """Estimates with their 95 % intervals; arrays of one shape, mostly one entry a layer, NaN where there is none."""

    estimate: Array
    low: Array
    high: Array


@dataclass(frozen=True, eq=False)
class Tested(Estimates):
    """Estimates with their p alone and corrected over all entries; of the same shape, NaN where nothing was tested."""

    p: Array
    p_corrected: Array
