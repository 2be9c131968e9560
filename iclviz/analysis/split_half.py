"""A layer that was chosen because it is best: chosen on one half of the groups, reported on the other.

The best of many layers looks better than it is on the very items that chose it. So groups are halved by a seed; one
half chooses the layer, and the other half alone says how well it aligns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iclviz.analysis.correlations import Method, align, pairs_of
from iclviz.analysis.resolution import held
from iclviz.analysis.rsa import AlignmentTest, alignment_test, check_fit
from iclviz.analysis.statistics import first_half, unit_codes
from iclviz.errors import AnalysisError
from iclviz.recording import Array

MIN_GROUPS = 4
"""The fewest groups of which either half has pairs of groups."""


@dataclass(frozen=True, eq=False)
class BestLayer:
    """The layer that one half of the groups chose, and its test in the other half.

    Attributes
    ----------
    layer: the layer.
    chosen_at: its alignment in the half that chose it, which is too high.
    test: its alignment in the other half, arrays (1,).
    """

    layer: int
    chosen_at: float
    test: AlignmentTest


def best_layer(
    rsms: Array,
    hypothesis: Array,
    groups: Array | Sequence[object] | None = None,
    *,
    method: Method = "spearman",
    n_permutations: int = 1000,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> BestLayer:
    """The layer of the highest alignment in one half of the groups, tested in the other half.

    Parameters
    ----------
    rsms: (L + 1, n, n); rows stay as computed on all items.
    hypothesis: (n, n), NaN = no prediction.
    groups: (n,) the independent unit; None = single items.
    seed: halves the groups, draws permutations and resamples.

    Raises
    ------
    AnalysisError: shapes do not fit, fewer than 4 groups, or no layer has an alignment in the first half.
    """
    similarities, predictions = held(rsms), np.asarray(hypothesis, dtype=float)
    check_fit(similarities, predictions, method)
    codes = unit_codes(groups, len(predictions))
    n_groups = int(codes.max()) + 1
    if n_groups < MIN_GROUPS:
        raise AnalysisError(
            f"A best layer needs at least {MIN_GROUPS} groups to be halved, and there are {n_groups}.",
            "Take more items.",
        )
    first = first_half(codes, seed)
    choosing, testing = (np.flatnonzero(first == half) for half in (True, False))
    estimates = align(pairs_of(_part(similarities, choosing)), pairs_of(_part(predictions, choosing))[None], method)[0]
    if np.isnan(estimates).all():
        raise AnalysisError("No layer has an alignment in one half of the groups.", "Take more items.")
    layer = int(np.nanargmax(estimates))
    test = alignment_test(
        _part(similarities[[layer]], testing),
        _part(predictions, testing),
        codes[testing],
        method=method,
        n_permutations=n_permutations,
        n_bootstrap=n_bootstrap,
        seed=seed,
    )
    return BestLayer(layer, float(estimates[layer]), test)


def _part(matrices: Array, items: Array) -> Array:
    return np.asarray(matrices[..., items[:, None], items])
