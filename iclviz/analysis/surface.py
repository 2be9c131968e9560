"""Surface controls: how much of an alignment the mere text could explain.

Beside the RSM of a layer stand RSMs of surface: overlap of tokens (in the pooled span and in the whole prompt), layer
0's mean over the whole prompt, the number of tokens, and for numbers the mean y. Two questions about the hypothesis:

1. "Linear surface removed": the partial correlation of RSM and hypothesis given all surface RSMs, linear (in ranks,
   where the method is Spearman's). Surface that acts in another form may remain.
2. "Among pairs matched on surface": the same given steps of every surface RSM instead of straight lines, its tenths. So
   only pairs that are alike in surface are compared. "Beyond surface" is said only where this stands out too.

Both are tested by permuting the hypothesis in its own unit; what surface explains is removed from the RSM and from
every permuted hypothesis.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import orth
from scipy.stats import rankdata

from iclviz.analysis.arrangements import Arrangement, arrangement
from iclviz.analysis.correlations import align, is_constant, pairs_of
from iclviz.analysis.rounding import SAME_PAIRS
from iclviz.analysis.rsa import check_fit, rsm
from iclviz.analysis.statistics import PValues, p_values, too_few, unit_codes
from iclviz.errors import AnalysisError
from iclviz.recording import Array, Recording

STEPS = 10
"""Into how many equal parts each surface RSM's pairs are cut to match pairs."""


@dataclass(frozen=True, eq=False)
class SurfaceControl:
    """Alignment with a hypothesis beside what surface explains; arrays (L + 1,) unless said otherwise.

    Attributes
    ----------
    names: the S surface measures that vary.
    of_hypothesis: (S,) alignment of each surface RSM with the hypothesis.
    of_rsms: (S, L + 1) correlation of each surface RSM with each layer's.
    raw: alignment of each layer.
    linear, linear_p: with linear surface removed, and its p, one-sided, corrected over layers.
    matched, matched_p: the same among pairs matched on surface.
    n_permutations, unit, reason: as in an alignment test.
    """

    names: tuple[str, ...]
    of_hypothesis: Array
    of_rsms: Array
    raw: Array
    linear: Array
    linear_p: Array
    matched: Array
    matched_p: Array
    n_permutations: int
    unit: str
    reason: str | None

    @property
    def beyond(self) -> Array:
        """(L + 1,) where an alignment may be called beyond surface: p < 0.05 with either control."""
        return np.asarray((self.linear_p < 0.05) & (self.matched_p < 0.05))


def _overlap(sets: Sequence[frozenset[int]]) -> Array:
    """(n, n) tokens that two sets share, over those that either has (Jaccard)."""
    shared = [[len(one & other) / max(len(one | other), 1) for other in sets] for one in sets]
    return np.array(shared)


def _nearness(values: Array) -> Array:
    return -np.abs(np.subtract.outer(values, values)).astype(float)


def _pooled_ids(recording: Recording, pooling: str) -> list[frozenset[int]]:
    """The token ids that a pooling reads, for each item."""
    role = pooling.removesuffix("_mean")

    def chosen(item: int) -> list[int]:
        ids, start = recording.prompt_ids[item], int(recording.query_start[item])
        if pooling.startswith("query"):
            return ids[start:]
        if pooling == "last":
            return ids[-1:]
        of_role = [span for span in recording.spans[item] if span.role == role]
        return [token for span in of_role for token in ids[span.start : span.end]] or ids

    return [frozenset(chosen(item)) for item in range(recording.n_items)]


def surface_rsms(recording: Recording, pooling: str = "query_mean") -> dict[str, Array]:
    """Surface RSMs of a recording, name -> (n, n): "tokens of the span" and "tokens of the prompt" (Jaccard overlap of
    token ids), "layer 0 of the prompt" (cosine of the whole prompt's mean, where it was recorded), "prompt length"
    (negative difference of token counts), and "mean y" (the same of mean shown numbers) where the task has it.
    """
    measures = {
        "tokens of the span": _overlap(_pooled_ids(recording, pooling)),
        "tokens of the prompt": _overlap([frozenset(ids) for ids in recording.prompt_ids]),
        "prompt length": _nearness(np.array([len(ids) for ids in recording.prompt_ids])),
    }
    if "mean" in recording.embeddings:
        measures["layer 0 of the prompt"] = rsm(np.asarray(recording.embeddings["mean"][:, 0]))
    if "mean_y" in recording.covariates:
        measures["mean y"] = _nearness(np.asarray(recording.covariates["mean_y"]))
    return measures


def _lines(surface: Array) -> Array:
    """(m, S + 1) an orthonormal basis of 1 and the ranks of surfaces (S, m)."""
    ranks = rankdata(surface, axis=1)
    return np.asarray(orth(np.vstack([np.ones(surface.shape[1]), ranks - ranks.mean(axis=1, keepdims=True)]).T))


def _steps(surface: Array) -> Array:
    """(m, S * STEPS) an orthonormal basis of the tenths of each surface (S, m)."""
    ranks = rankdata(surface, axis=1)
    parts = np.minimum((ranks - 1) * STEPS // surface.shape[1], STEPS - 1).astype(int)
    return np.asarray(orth(np.vstack([np.eye(STEPS)[row].T for row in parts] or [np.ones((1, surface.shape[1]))]).T))


def _partial(x: Array, h: Array, surface: Array, basis: Callable[[Array], Array]) -> Array:
    """(B, K) rank correlation of layers x (K, m) with hypotheses h (B, m) once a basis of surface (S, m) is removed.

    Pairs of which some hypothesis says nothing are left out of that hypothesis alone.
    """
    found = np.full((len(h), len(x)), np.nan)
    gaps = np.isnan(h)
    for pattern in np.unique(gaps, axis=0):
        rows, pairs = np.flatnonzero((gaps == pattern).all(axis=1)), np.flatnonzero(~pattern)
        q = basis(surface[:, pairs])
        ours, theirs = (_residual(side[:, pairs], q) for side in (x, h[rows]))
        found[rows] = theirs @ ours.T
    return found


def _residual(values: Array, q: Array) -> Array:
    """Ranks of values (K, m) less what a basis explains of them, to length 1; NaN where nothing is left."""
    ranks = rankdata(values, axis=1)
    ranks = ranks - ranks.mean(axis=1, keepdims=True)
    left = ranks - (ranks @ q) @ q.T
    length = np.linalg.norm(left, axis=1, keepdims=True)
    return np.asarray(
        np.divide(left, length, out=np.full(left.shape, np.nan), where=length > 1e-6 * np.sqrt(ranks.size))
    )


def surface_control(
    rsms: Array,
    hypothesis: Array,
    surfaces: Mapping[str, Array],
    groups: Array | Sequence[object] | None = None,
    *,
    n_permutations: int = 1000,
    seed: int = 0,
) -> SurfaceControl:
    """The alignment (Spearman) of each layer with a hypothesis, alone and with surface removed in two ways.

    Parameters
    ----------
    rsms: (L + 1, n, n).
    hypothesis: (n, n), NaN = no prediction.
    surfaces: name -> (n, n), see `surface_rsms`; those that do not vary are left out.
    groups: (n,) the unit of permutation; None = single items.
    seed: draws permutations.

    Raises
    ------
    AnalysisError: shapes do not fit.
    """
    similarities, said = np.asarray(rsms, dtype=float), np.asarray(hypothesis, dtype=float)
    check_fit(similarities, said, "spearman")
    for name, matrix in surfaces.items():
        if np.shape(matrix) != said.shape:
            raise AnalysisError(f"The surface {name!r} has shape {np.shape(matrix)}.", f"Give {said.shape}.")
    x, h = pairs_of(similarities), pairs_of(said)
    usable = np.isfinite(x).all(axis=1) & ~is_constant(np.nan_to_num(x), SAME_PAIRS)
    every = {name: pairs_of(np.asarray(matrix, dtype=float)) for name, matrix in surfaces.items()}
    varied = {name: pairs for name, pairs in every.items() if np.isfinite(pairs).all() and np.ptp(pairs) > 0}
    surface = np.array(list(varied.values())).reshape(len(varied), len(h))
    units = arrangement(said, unit_codes(groups, len(said)))
    reason = too_few(units.n_units)
    places = units.places(0 if reason else n_permutations, np.random.default_rng(seed))
    controls = [_tested(x, usable, h, surface, basis, _permuted(units, places)) for basis in (_lines, _steps)]
    return SurfaceControl(
        names=tuple(varied),
        of_hypothesis=align(surface, h[None], "spearman")[0],
        of_rsms=align(x, surface, "spearman"),
        raw=align(x, h[None], "spearman")[0],
        linear=controls[0][0],
        linear_p=controls[0][1],
        matched=controls[1][0],
        matched_p=controls[1][1],
        n_permutations=len(places),
        unit=units.unit,
        reason=reason,
    )


def _permuted(units: Arrangement, places: Array) -> Array:
    """(B, m) the hypothesis's pairs in each permutation."""
    rows, columns = np.triu_indices(places.shape[1], 1)
    return np.asarray(units.matrix[places[:, rows], places[:, columns]])


def _tested(
    x: Array, usable: Array, h: Array, surface: Array, basis: Callable[[Array], Array], permuted: Array
) -> tuple[Array, Array]:
    """Partial correlation and corrected p of each layer; NaN where a layer is constant or surface explains it all."""
    estimate, p = np.full(len(x), np.nan), np.full(len(x), np.nan)
    if not usable.any():
        return estimate, p
    values = _partial(x[usable], np.vstack([h[None], permuted]), surface, basis)
    estimate[usable] = values[0]
    p[usable] = (p_values(values[0], values[1:]) if len(permuted) else PValues.absent(len(values[0]))).p_corrected
    return estimate, p
