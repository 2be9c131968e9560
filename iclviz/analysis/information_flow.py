"""Information flow by block: how a block's flow divides among three kinds of pairs of tokens, and where there is any.

Shares are taken after the mean over items, so that an item with much flow counts for more. Where a block's total is
less than `LEAST` of the largest block's, its shares are rounding, and none are given. Intervals are from resampling
groups of items.
"""

from dataclasses import dataclass

import numpy as np

from iclviz.analysis.behaviour import coarsest_groups
from iclviz.analysis.results import Estimates
from iclviz.analysis.statistics import (
    mean_of_known,
    percentile_interval,
    student_stretch,
    unit_codes,
    unit_totals,
    unit_weights,
)
from iclviz.analysis.traced import check_traced
from iclviz.errors import AnalysisError
from iclviz.maps import Trace
from iclviz.questions.question import of_trace
from iclviz.recording import Array, Recording

PAIRS = ("wp", "pq", "ww")
TITLES = {
    "wp": "Text to the demonstrations’ answers",
    "pq": "Answers to the last prompt token",
    "ww": "All other pairs",
}
LEAST = 1e-4


@dataclass(frozen=True, eq=False)
class Flow(Estimates):
    """How each block's flow divides among three kinds of pairs; arrays (3, L), NaN where there is no flow.

    Attributes
    ----------
    estimate, low, high: the share of each kind of `PAIRS` with its 95 % interval; shares of a block sum to 1.
    control: the share that the first two have where answers are as many random tokens.
    total: (L,) the sum of the three means, of the largest block's.
    n_items: items with demonstrations whose answers are marked; n_units: their groups.
    """

    control: Array
    total: Array
    n_items: int
    n_units: int

    def lines(self) -> list[str]:
        """Each block's shares, a line each."""
        rows = zip(self.estimate.T, self.total, strict=True)
        return [
            f"block {block:<3} {'  '.join(f'{name} {share:6.1%}' for name, share in zip(PAIRS, shares, strict=True))}"
            f"   total {total:.2g}"
            for block, (shares, total) in enumerate(rows, start=1)
        ]


@of_trace
def flow_by_block(pair: tuple[Trace, Recording], *, n_bootstrap: int = 1000, seed: int = 0) -> Flow:
    """The information flow of each block.

    Parameters
    ----------
    pair: a trace of information flow, and the recording of its run.
    seed: draws the resamples.

    Raises
    ------
    AnalysisError: it is no such trace, or of other items.
    """
    made, recording = pair
    check_traced(pair, "information_flow", "information flow")
    flow, control = (np.asarray(made.arrays[name], dtype=float) for name in ("flow", "control"))
    known = np.isfinite(flow).all(axis=(1, 2))
    if not known.any():
        raise AnalysisError("No item has a demonstration whose answer is marked.", "Take a run with demonstrations.")
    codes = unit_codes(coarsest_groups(recording), len(flow))[known]
    codes = np.unique(codes, return_inverse=True)[1]
    n_units = int(codes.max()) + 1
    mean = flow[known].mean(axis=0)
    total = mean.sum(axis=-1)
    drawn = total >= LEAST * total.max()
    sums, _ = unit_totals(flow[known], codes, n_units)
    samples = np.einsum("bu,ulp->blp", unit_weights(n_units, n_bootstrap, np.random.default_rng(seed)), sums)
    shares = _shares(mean, drawn)
    stretched = shares + student_stretch(n_units) * (_shares(samples, drawn) - shares)
    low, high = percentile_interval(np.clip(stretched, 0.0, 1.0))
    beside = mean_of_known(control[known])
    return Flow(shares.T, low.T, high.T, _shares(beside, drawn).T, total / total.max(), int(known.sum()), n_units)


def _shares(flow: Array, drawn: Array) -> Array:
    """(..., L, 3) each block's shares, NaN in blocks that are not drawn."""
    total = flow.sum(axis=-1, keepdims=True)
    shares = np.divide(flow, total, out=np.full(flow.shape, np.nan), where=total > 0)
    return np.where(drawn[:, None], shares, np.nan)
