"""What is rounding and no difference: items that only float32 keeps apart have no similarity, and nothing to be read.

Two thresholds, both in units in the last place of float32, in which models compute and RSMs are kept:

1. Items of a layer are the same where their root mean squared distance from their mean is at most 32 units (2^-18) of
   their root mean squared norm. Some hundred roundings of one unit add up to that, as over a forward pass, and a real
   difference as small would be left with five bits of its own.
2. An RSM's pairs are the same where their range is at most 4 units of the largest: half a unit is lost when a pair is
   rounded, so such a range holds hardly more than the few steps of its last bits.
"""

import numpy as np

from iclviz.recording import Array

_UNIT = float(np.finfo(np.float32).eps)
SAME_ITEMS = 32 * _UNIT
SAME_PAIRS = 4 * _UNIT


def only_rounding(x: Array) -> bool:
    """Whether rounding alone keeps the items x (n, d) of a layer apart."""
    x = np.asarray(x, dtype=np.float64)
    largest = float(np.abs(x).max(initial=0.0))
    scaled = x / largest if largest else x
    distance = ((scaled - scaled.mean(axis=0)) ** 2).sum() if len(x) else 0.0
    return bool(distance <= SAME_ITEMS**2 * (scaled**2).sum())


def missing_layers(x: Array) -> dict[int, str]:
    """Layer -> why embeddings (n, L + 1, d) give no value there."""
    reasons = {}
    for layer in range(x.shape[1]):
        if not np.isfinite(x[:, layer]).all():
            reasons[layer] = "an embedding is not finite"
        elif only_rounding(x[:, layer]):
            reasons[layer] = "all items have the same embedding, but for rounding"
    return reasons
