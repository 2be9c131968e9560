"""Items of one group that are nearly the same inside the model: copies that a test would take for two.

A word that is asked about twice gives two items of nearly equal states and scores. Where they count as two, a
permutation moves items apart that belong together, and finds what is not there. A file names copies by its `unit`.
"""

from itertools import combinations

import numpy as np

from iclviz.analysis.behaviour import coarsest_groups
from iclviz.analysis.order_effects import ROW
from iclviz.contrasts import UNIT
from iclviz.recording import Array, Recording

ALIKE = 0.05
"""The share of the median squared distance of two items up to which they are nearly the same."""

POOLINGS = ("query_mean", "last")
"""Embeddings in all of which copies are alike: items about one text have one mean, and those of one answer one last."""


def near_copies(recording: Recording) -> tuple[tuple[str, str], ...]:
    """Pairs of ids of a user's own items that one group holds and most layers hardly tell apart; none where the file
    says what is a copy of what.
    """
    groups = coarsest_groups(recording)
    kept = [pooling for pooling in POOLINGS if pooling in recording.embeddings]
    if groups is None or UNIT in recording.factors or ROW not in recording.covariates or not kept:
        return ()
    alike = np.all([_alike(np.asarray(recording.embeddings[pooling])) for pooling in kept], axis=0)
    members = [np.flatnonzero(groups == group).tolist() for group in np.unique(groups)]
    pairs = [pair for items in members for pair in combinations(items, 2)]
    return tuple((recording.item_ids[one], recording.item_ids[other]) for one, other in pairs if alike[one, other])


def _alike(x: Array) -> Array:
    """(n, n) whether most layers of x (n, L + 1, d) that tell any items apart hardly tell two of them."""
    close, counted = np.zeros((len(x), len(x))), 0
    for layer in range(x.shape[1]):
        squares = _squared_distances(x[:, layer].astype(np.float64))
        median = np.median(squares[np.triu_indices(len(x), 1)])
        if np.isfinite(median) and median > 0:
            close += squares <= ALIKE * median
            counted += 1
    return np.asarray(close > counted / 2)


def _squared_distances(x: Array) -> Array:
    centred = x - x.mean(axis=0)
    norms = (centred**2).sum(axis=1)
    return np.asarray(np.maximum(norms[:, None] + norms - 2 * centred @ centred.T, 0.0))
