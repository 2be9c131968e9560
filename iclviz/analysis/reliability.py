"""How much of an RSM is common to demonstration sets: the noise ceiling over seeds (Nili et al. 2014).

Each seed's RSM is correlated with the mean of all (upper bound) and with the mean of the others (lower bound). RSMs are
ranked before they are averaged, or brought to one mean and spread where the method is Pearson's, so that the mean is
the RSM that correlates best with all. No model of the items can be expected to align better than the upper bound with
the RSM of a single seed; where nothing is shown to the model (k = 0) all seeds are the same and it is no bound.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from iclviz.analysis.correlations import CORRELATIONS, Method, align, pairs_of
from iclviz.analysis.recordings import recording_rsms
from iclviz.analysis.resolution import held
from iclviz.analysis.rsa import Metric
from iclviz.errors import AnalysisError, unknown
from iclviz.questions.question import Recordings, of_recordings
from iclviz.recording import Array

MIN_SEEDS = 3


@dataclass(frozen=True, eq=False)
class NoiseCeiling:
    """Bounds of what can be explained; (L + 1,), or () for one layer.

    Attributes
    ----------
    lower: mean correlation of each RSM with the mean of the others.
    upper: mean correlation of each RSM with the mean of all.
    n_seeds: RSMs that were compared.
    """

    lower: Array
    upper: Array
    n_seeds: int


def _pooled(pairs: Array, method: Method) -> Array:
    """(m,) the mean of S RSMs' pairs (S, m), each brought to one scale first."""
    if method == "pearson":
        centred = pairs - pairs.mean(axis=1, keepdims=True)
        return np.asarray((centred / centred.std(axis=1, keepdims=True)).mean(axis=0))
    return np.asarray(rankdata(pairs, axis=1).mean(axis=0))


def _bounds(pairs: Array, method: Method) -> tuple[float, float]:
    known = np.isfinite(pairs).all(axis=0)
    pairs = pairs[:, known]
    if not known.any() or (np.ptp(pairs, axis=1) == 0).any():
        return float("nan"), float("nan")
    upper = align(pairs, _pooled(pairs, method)[None], method).mean()
    lower = [
        align(pairs[[seed]], _pooled(np.delete(pairs, seed, axis=0), method)[None], method)[0, 0]
        for seed in range(len(pairs))
    ]
    return float(np.mean(lower)), float(upper)


def noise_ceiling(rsms: Array, method: Method = "spearman") -> NoiseCeiling:
    """The lower and upper noise ceiling of RSMs of the same items under S demonstration seeds.

    Parameters
    ----------
    rsms: (S, n, n) of one layer, or (S, L + 1, n, n) of all.
    method: the correlation; for "tau-a" the mean is that of ranks, which is near the best but not it.

    Returns
    -------
    NaN in a layer where an RSM is constant.

    Raises
    ------
    AnalysisError: an unknown method, fewer than 3 seeds, or another shape.
    """
    if method not in CORRELATIONS:
        raise unknown(AnalysisError, "method", method, list(CORRELATIONS))
    rsms = held(rsms)
    if rsms.ndim not in (3, 4) or rsms.shape[-1] != rsms.shape[-2]:
        raise AnalysisError(
            f"A noise ceiling is made from (seeds, items, items), not from shape {rsms.shape}.",
            "Stack the RSMs of the same items under several demonstration seeds.",
        )
    if len(rsms) < MIN_SEEDS:
        raise AnalysisError(
            f"A noise ceiling needs at least {MIN_SEEDS} demonstration seeds, and there are {len(rsms)}.",
            "Run more seeds.",
        )
    pairs = pairs_of(rsms)
    if rsms.ndim == 3:
        lower, upper = _bounds(pairs, method)
        return NoiseCeiling(np.array(lower), np.array(upper), len(rsms))
    bounds = np.array([_bounds(pairs[:, layer], method) for layer in range(pairs.shape[1])])
    return NoiseCeiling(bounds[:, 0], bounds[:, 1], len(rsms))


@of_recordings
def recording_noise_ceiling(
    recordings: Recordings, pooling: str = "query_mean", metric: Metric = "cosine"
) -> NoiseCeiling:
    """`noise_ceiling` of the recordings of one condition under several demonstration seeds."""
    return noise_ceiling(np.stack([recording_rsms(one, pooling, metric) for one in recordings]))
