"""Surface controls: how much of an alignment the mere text could explain.

Beside the RSM of a layer stand RSMs of surface: overlap of tokens (in the pooled span and in the whole prompt), layer
0's mean over the whole prompt, the number of tokens, and for numbers the mean y. Two questions about the hypothesis:

1. "Linear surface removed": the partial correlation of RSM and hypothesis given all surface RSMs, linear (in ranks,
   where the method is Spearman's). Surface that acts in another form may remain.
2. "Among pairs matched on surface": the same given steps of every surface RSM instead of straight lines, its tenths. So
   only pairs that are alike in surface are compared.

Both describe and are not tested. Permuting the hypothesis breaks its own tie to surface as well (the flaw of partial
Mantel tests), and resampling units misses what ranks bend: in simulations where surface alone was at work, permutations
called it significant in up to a quarter (docs/validity.md). No test of what a measured surface leaves holds its level
in general (Shah and Peters 2020). So nothing is called "beyond surface"; a reader sees what is left.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import orth
from scipy.stats import rankdata

from iclviz.analysis.correlations import align, is_constant, pairs_of
from iclviz.analysis.recordings import hypothesis_of, recording_rsms
from iclviz.analysis.resolution import SAME_PAIRS, held
from iclviz.analysis.rsa import Metric, check_fit, rsm
from iclviz.errors import AnalysisError
from iclviz.questions.question import of_recording
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
    linear: with linear surface removed.
    matched: among pairs matched on surface.
    """

    names: tuple[str, ...]
    of_hypothesis: Array
    of_rsms: Array
    raw: Array
    linear: Array
    matched: Array


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


def _residual(values: Array, q: Array) -> Array:
    """Ranks of values (K, m) less what a basis explains of them, to length 1; NaN where nothing is left."""
    ranks = rankdata(values, axis=1)
    ranks = ranks - ranks.mean(axis=1, keepdims=True)
    left = ranks - (ranks @ q) @ q.T
    length = np.linalg.norm(left, axis=1, keepdims=True)
    return np.asarray(
        np.divide(left, length, out=np.full(left.shape, np.nan), where=length > 1e-6 * np.sqrt(ranks.size))
    )


def surface_control(rsms: Array, hypothesis: Array, surfaces: Mapping[str, Array]) -> SurfaceControl:
    """The alignment (Spearman) of each layer with a hypothesis, alone and with surface removed in two ways.

    Parameters
    ----------
    rsms: (L + 1, n, n).
    hypothesis: (n, n), NaN = no prediction.
    surfaces: name -> (n, n), see `surface_rsms`; those that do not vary are left out.

    Raises
    ------
    AnalysisError: shapes do not fit.
    """
    similarities, predictions = held(rsms), np.asarray(hypothesis, dtype=float)
    check_fit(similarities, predictions, "spearman")
    for name, matrix in surfaces.items():
        if np.shape(matrix) != predictions.shape:
            raise AnalysisError(f"The surface {name!r} has shape {np.shape(matrix)}.", f"Give {predictions.shape}.")
    x, h = pairs_of(similarities), pairs_of(predictions)
    every = {name: pairs_of(np.asarray(matrix, dtype=float)) for name, matrix in surfaces.items()}
    varied = {name: pairs for name, pairs in every.items() if np.isfinite(pairs).all() and np.ptp(pairs) > 0}
    surface = np.array(list(varied.values())).reshape(len(varied), len(h))
    return SurfaceControl(
        names=tuple(varied),
        of_hypothesis=align(surface, h[None], "spearman")[0],
        of_rsms=align(x, surface, "spearman"),
        raw=align(x, h[None], "spearman")[0],
        linear=_partial(x, h, surface, _lines),
        matched=_partial(x, h, surface, _steps),
    )


def _partial(x: Array, h: Array, surface: Array, basis: Callable[[Array], Array]) -> Array:
    """(K,) rank correlation of layers x (K, m) with h (m,) once a basis of surface (S, m) is removed from both.

    NaN where a layer is constant, the hypothesis predicts nothing, or surface explains it all.
    """
    known = np.isfinite(h)
    usable = np.isfinite(x).all(axis=1) & ~is_constant(np.nan_to_num(x), SAME_PAIRS)
    found = np.full(len(x), np.nan)
    if usable.any() and known.any():
        q = basis(surface[:, known])
        found[usable] = _residual(x[np.ix_(usable, known)], q) @ _residual(h[None, known], q)[0]
    return found


@of_recording
def recording_surface_control(
    recording: Recording, hypothesis: str, pooling: str = "query_mean", metric: Metric = "cosine"
) -> SurfaceControl:
    """`surface_control` of a recording, with its own surface RSMs.

    Raises
    ------
    AnalysisError: no such hypothesis or pooling.
    """
    matrix, surfaces = hypothesis_of(recording, hypothesis), surface_rsms(recording, pooling)
    return surface_control(recording_rsms(recording, pooling, metric), matrix, surfaces)
