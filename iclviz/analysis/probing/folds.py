"""Folds: which items a probe is trained on and which are held out, drawn without a look at the labels."""

from collections.abc import Callable

import numpy as np

from iclviz.recording import Array

Folds = list[tuple[Array, Array]]
Split = Callable[[Array, int, int], Folds]
"""Codes (n,) of groups or types, at most how many folds, a seed -> (items to train on, items held out) of each."""


def group_folds(codes: Array, n_folds: int, seed: int) -> Folds:
    """Folds of whole groups."""
    from sklearn.model_selection import GroupKFold  # here, since whoever draws a probe need not wait for it

    splitter = GroupKFold(min(n_folds, len(np.unique(codes))), shuffle=True, random_state=seed)
    return list(splitter.split(codes, groups=codes))


def type_folds(codes: Array, n_folds: int, seed: int) -> Folds:
    """Folds over which each type's items are spread, as evenly as they can be."""
    rng = np.random.default_rng(seed)
    types, codes = np.unique(codes, return_inverse=True)
    turn = rng.permutation(len(types))[codes]
    order = np.lexsort((rng.permutation(len(codes)), turn))
    places = np.empty(len(codes), dtype=int)
    places[order] = np.arange(len(codes)) % n_folds
    return [(np.flatnonzero(places != fold), np.flatnonzero(places == fold)) for fold in range(places.max() + 1)]
