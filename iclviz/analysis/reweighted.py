"""Re-weighting: what attention times learned factors does to the answer, judged on groups that did not learn them.

The gain of an item is its margin under the factors that the other half of the groups learned, less its margin as it is.
It is compared with the gain from factors learned the same way for as many random tokens. Both halves judge what the
other one learned, so that their gains are not quite independent; that the halves agree on the factors is shown beside.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from iclviz.analysis.behaviour import coarsest_groups
from iclviz.analysis.paired import paired_test
from iclviz.analysis.results import Tested
from iclviz.analysis.statistics import mean_of_known
from iclviz.analysis.traced import check_traced
from iclviz.errors import AnalysisError
from iclviz.maps import Trace
from iclviz.questions.question import of_trace
from iclviz.recording import Array, Recording

GAINS = ("answers", "random", "beyond")
"""Of factors for the demonstrations' answers, for random tokens, and the difference of both."""


@dataclass(frozen=True, eq=False)
class Reweighted(Tested):
    """The gain of each of `GAINS` in nats, mean over items, with its test over groups; arrays (3,).

    Attributes
    ----------
    factor: (L, H) what attention is multiplied by, the geometric mean of both halves.
    agreement: rank correlation over heads of both halves' factors.
    base: the mean margin as it is, in nats.
    right, right_base: share of items whose margin is above 0, with and without the factors.
    n_items, n_units: items with demonstrations whose answers are marked, and their groups.
    reason: why there is no p, or None.
    """

    factor: Array
    agreement: float
    base: float
    right: float
    right_base: float
    n_items: int
    n_units: int
    reason: str | None

    def lines(self) -> list[str]:
        """The gains, a line each."""
        rows = zip(GAINS, self.estimate, self.low, self.high, self.p, strict=True)
        told = [f"{name:<8} {gain:+.3f} nats [{low:+.3f}, {high:+.3f}]  p {p:.3f}" for name, gain, low, high, p in rows]
        return [*told, f"agreement of both halves' factors {self.agreement:+.2f}"]


@of_trace
def gain_by_reweighting(pair: tuple[Trace, Recording], *, seed: int = 0) -> Reweighted:
    """What learned factors do to the answer.

    Parameters
    ----------
    pair: a trace of re-weighting, and the recording of its run.
    seed: draws flips.

    Raises
    ------
    AnalysisError: it is no such trace, or of other items.
    """
    made, recording = pair
    check_traced(pair, "reweighting", "re-weighting")
    margin, after, control = (np.asarray(made.arrays[name], float) for name in ("margin", "reweighted", "control"))
    known = np.isfinite(margin)
    if not known.any():
        raise AnalysisError("No item has a demonstration whose answer is marked.", "Take a run with demonstrations.")
    gains = np.stack([after - margin, control - margin, after - control], axis=1)
    test = paired_test(gains, coarsest_groups(recording), seed=seed)
    logs = _of_halves(made)
    return Reweighted(
        test.estimate,
        test.low,
        test.high,
        test.p,
        test.p_corrected,
        factor=np.exp(logs.mean(axis=0)),
        agreement=float(spearmanr(logs[0].ravel(), logs[-1].ravel()).statistic) if len(logs) > 1 else np.nan,
        base=float(mean_of_known(margin)),
        right=float((after[known] > 0).mean()),
        right_base=float((margin[known] > 0).mean()),
        n_items=int(known.sum()),
        n_units=test.n_units,
        reason=test.reason,
    )


def _of_halves(made: Trace) -> Array:
    """(halves, L, H) logarithms of the factors that each half of the items is read with."""
    halves, factor = np.asarray(made.arrays["half"]), np.asarray(made.arrays["factor"], dtype=float)
    return np.stack([np.log(factor[int(np.flatnonzero(halves == half)[0])]) for half in np.unique(halves)])
