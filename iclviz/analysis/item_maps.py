"""How the items of one layer can be laid out for the eye: sorted by clusters, coloured by rank, mapped to a plane."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.linalg import eigh
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

from iclviz.analysis.rsa import Metric
from iclviz.recording import Array

Values = Literal["raw", "rank", "percentile"]


@dataclass(frozen=True, eq=False)
class ItemMap:
    """Items in a plane: places (n, 2), and the share of the spread that each of the two axes keeps, (2,)."""

    places: Array
    shares: Array


def clustered_order(rsm: Array) -> Array:
    """(n,) the order in which average-linkage clusters of an RSM (n, n) stand side by side; as it is where it has gaps.

    Neighbouring leaves are turned to be as alike as can be (optimal leaf ordering, Bar-Joseph et al. 2001).
    """
    similarities = np.asarray(rsm, dtype=float)
    if len(similarities) < 3 or not np.isfinite(similarities).all():
        return np.arange(len(similarities))
    distances = squareform(similarities.max() - similarities, checks=False)
    return np.asarray(leaves_list(linkage(np.maximum(distances, 0.0), "average", optimal_ordering=True)))


def rescaled(rsm: Array, values: Values) -> Array:
    """An RSM (n, n) with its pairs as they are, as ranks from 1, or as percentiles from 0 to 100; the diagonal is NaN
    but for "raw". Pairs without a value stay without.
    """
    if values == "raw":
        return np.asarray(rsm, dtype=float)
    above = np.triu_indices(len(rsm), 1)
    pairs = np.asarray(rsm, dtype=float)[above]
    known = np.isfinite(pairs)
    ranks = np.full(len(pairs), np.nan)
    ranks[known] = rankdata(pairs[known])
    if values == "percentile":
        ranks = 100 * (ranks - 1) / max(known.sum() - 1, 1)
    found = np.full(np.shape(rsm), np.nan)
    found[above] = ranks
    found.T[above] = ranks
    return found


def item_map(rsm: Array, metric: Metric) -> ItemMap:
    """Classical multidimensional scaling (Torgerson 1952) of an RSM (n, n); for the Euclidean metric it is PCA.

    Similarities s of the other metrics become squared distances 2 (1 - s), those of the items' directions. Each axis
    points to where its largest place is. NaN where the RSM has gaps.
    """
    similarities = np.asarray(rsm, dtype=float)
    n = len(similarities)
    if n < 3 or not np.isfinite(similarities).all():
        return ItemMap(np.full((n, 2), np.nan), np.full(2, np.nan))
    squared = similarities**2 if metric == "euclidean" else 2 * (1 - similarities)
    centred = squared - squared.mean(axis=0) - squared.mean(axis=1, keepdims=True) + squared.mean()
    lengths, axes = eigh(-centred / 2)
    leading = np.maximum(lengths[[-1, -2]], 0.0)
    places = axes[:, [-1, -2]] * np.sqrt(leading)
    signs = np.sign(places[np.abs(places).argmax(axis=0), [0, 1]])
    total = np.maximum(lengths, 0.0).sum()
    return ItemMap(places * np.where(signs == 0, 1.0, signs), leading / total if total > 0 else np.zeros(2))
