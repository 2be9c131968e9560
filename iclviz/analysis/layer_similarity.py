"""Second-order similarity: how alike two layers, conditions or models arrange the same items.

Two measures, side by side: the correlation of two RSMs' pairs of items (second-order RSA, Kriegeskorte et al. 2008),
and linear CKA (Kornblith et al. 2019) from the unbiased estimator of HSIC (Song et al. 2012). Plain CKA of pure noise
is near 1 where there are more dimensions than items; the unbiased one is near 0 there, and can fall below it.
"""

from typing import Literal

import numpy as np

from iclviz.analysis.correlations import CORRELATIONS, Method, align, pairs_of
from iclviz.analysis.recordings import embeddings, recording_rsms
from iclviz.analysis.resolution import held, only_rounding
from iclviz.analysis.rsa import Metric
from iclviz.errors import AnalysisError, unknown
from iclviz.questions.question import Recordings, of_recordings
from iclviz.recording import Array

Similarity = Literal["rsa", "cka"]

MIN_ITEMS = 4
"""The fewest items for which the unbiased estimator of HSIC is defined."""


def second_order(rsms: Array, others: Array | None = None, method: Method = "spearman") -> Array:
    """The correlation of each RSM with each other, over pairs of items, (K, J).

    Parameters
    ----------
    rsms: (K, n, n), such as all layers of one recording.
    others: (J, n, n) of the same items in the same order, such as the layers of another model; None = the same ones.
    method: the correlation.

    Returns
    -------
    Correlations; NaN where an RSM is constant.

    Raises
    ------
    AnalysisError: an unknown method, or RSMs of different sizes.
    """
    if method not in CORRELATIONS:
        raise unknown(AnalysisError, "method", method, list(CORRELATIONS))
    rsms = held(rsms)
    others = rsms if others is None else held(others)
    if rsms.ndim != 3 or others.ndim != 3 or rsms.shape[1:] != others.shape[1:] or rsms.shape[1] != rsms.shape[2]:
        raise AnalysisError(
            f"RSMs of shapes {rsms.shape} and {others.shape} are not over the same items.",
            "Give (layers, items, items) of the same items in the same order.",
        )
    return align(pairs_of(others), pairs_of(rsms), method)


def _u_centred(x: Array) -> Array:
    """The U-centred inner products (n, n) of embeddings (n, d), diagonal zero; NaN where all items are the same."""
    n, wide = len(x), np.asarray(x, dtype=np.float64)
    if not np.isfinite(wide).all() or only_rounding(x):
        return np.full((n, n), np.nan)
    centred = wide - wide.mean(axis=0)
    gram = centred @ centred.T
    np.fill_diagonal(gram, 0.0)
    rows = gram.sum(axis=1) / (n - 2)
    gram = gram - rows[:, None] - rows[None, :] + gram.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(gram, 0.0)
    return np.asarray(gram)


def cka_by_layer(x: Array, y: Array) -> Array:
    """Debiased linear CKA of every layer of x (n, K, d) with every layer of y (n, J, e), (K, J).

    The inner product of two U-centred Gram matrices is n (n - 3) times the unbiased HSIC, so their cosine is CKA.

    Raises
    ------
    AnalysisError: other items on either side, or fewer than 4.
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim != 3 or y.ndim != 3 or len(x) != len(y):
        raise AnalysisError(
            f"Embeddings of shapes {x.shape} and {y.shape} are not of the same items.",
            "Give (items, layers, dimensions) of the same items in the same order.",
        )
    if len(x) < MIN_ITEMS:
        raise AnalysisError(f"CKA needs at least {MIN_ITEMS} items, and there are {len(x)}.", "Take more items.")
    ours, theirs = (np.stack([_u_centred(side[:, layer]).ravel() for layer in range(side.shape[1])]) for side in (x, y))
    own, other = ((side**2).sum(axis=1) for side in (ours, theirs))
    return np.asarray((ours @ theirs.T) / np.sqrt(np.outer(own, other)))


def cka(x: Array, y: Array) -> float:
    """Debiased linear CKA of two sets of embeddings (n, d) and (n, e) of the same items; 0 is what noise has.

    Raises
    ------
    AnalysisError: other items on either side, or fewer than 4.
    """
    return float(cka_by_layer(np.asarray(x)[:, None], np.asarray(y)[:, None])[0, 0])


@of_recordings
def recording_layer_similarity(
    sides: Recordings, pooling: str = "query_mean", metric: Metric = "cosine", by: Similarity = "rsa"
) -> Array:
    """(L + 1, L' + 1) how alike the layers of two recordings of the same items arrange them.

    by: "rsa", the correlation of RSMs, or "cka", debiased linear CKA of embeddings.
    """
    if by == "cka":
        x, y = (embeddings(one, pooling) for one in sides)
        return cka_by_layer(x, y)
    a, b = (recording_rsms(one, pooling, metric) for one in sides)
    return second_order(a, b)
