"""Composite to simple: does a composite prompt resemble the simple prompt that answers it, not its distractors'?

A composite item holds several statements and asks about one; its set's simple prompts hold one statement each. Both
are put into one RSM, each kind centred on its own mean, since a question at the end sets all composite prompts apart
from all simple ones. An item's contrast is its similarity with the right simple prompt less its mean similarity with
the distractors' of its set. If nothing but text matters, the simple prompts of a set could trade places: that is
permuted, and sets are what is resampled. A claim rests on simple prompts with another name, where right and
distractors' prompts share equally many tokens with the composite one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iclviz.analysis.behaviour import coarsest_groups
from iclviz.analysis.joining import join
from iclviz.analysis.recordings import embeddings
from iclviz.analysis.resolution import only_rounding
from iclviz.analysis.results import Tested
from iclviz.analysis.rsa import Metric, rsm
from iclviz.analysis.statistics import (
    PValues,
    bootstrap_weights,
    mean_samples,
    p_values,
    percentile_interval,
    permutations,
    quotient,
    too_few,
    unit_codes,
    unit_totals,
)
from iclviz.errors import AnalysisError
from iclviz.questions.question import Recordings, of_recordings
from iclviz.recording import Array


@dataclass(frozen=True, eq=False)
class CompositeToSimple(Tested):
    """The mean contrast of each layer; arrays (L + 1,), NaN in a layer where all items are the same.

    Attributes
    ----------
    estimate, low, high: the mean over items, and its 95 % interval from resampling sets.
    p, p_corrected, p_fdr: one-sided, by trading the simple prompts of a set.
    contrasts: (n, L + 1) of each item; NaN where its set has no other simple prompt.
    n_units: sets of several items; n_permutations: permutations used.
    reason: why there is no p, or None.
    """

    p_fdr: Array
    contrasts: Array
    n_units: int
    n_permutations: int
    reason: str | None


def joint_rsms(composite: Array, simple: Array, metric: Metric = "cosine") -> Array:
    """One RSM of both kinds of prompts in each layer, (L + 1, 2n, 2n), composite items first.

    Parameters
    ----------
    composite, simple: (n, L + 1, d) embeddings of the same items in the same order.

    Raises
    ------
    AnalysisError: shapes do not fit, or an unknown metric.
    """
    sides = [np.asarray(side) for side in (composite, simple)]
    if sides[0].shape != sides[1].shape or sides[0].ndim != 3:
        raise AnalysisError(
            f"Composite and simple embeddings have shapes {sides[0].shape} and {sides[1].shape}.",
            "Give (items, layers, dimensions) of the same items in the same order.",
        )
    layers = range(sides[0].shape[1])
    return np.stack([rsm(np.vstack([_own_mean_removed(side[:, layer]) for side in sides]), metric, center=False)
                     for layer in layers])  # fmt: skip


def _own_mean_removed(x: Array) -> Array:
    wide = x.astype(np.float64)
    return np.full(x.shape, np.nan) if only_rounding(x) else wide - wide.mean(axis=0)


def composite_to_simple(
    composite: Array,
    simple: Array,
    sets: Array | Sequence[object],
    *,
    metric: Metric = "cosine",
    n_permutations: int = 1000,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> CompositeToSimple:
    """How much more each composite item resembles its own simple prompt than those of its set's other items.

    Parameters
    ----------
    composite, simple: (n, L + 1, d) embeddings; item by item they belong together.
    sets: (n,) the set of statements of each item.
    seed: draws permutations and resamples.

    Raises
    ------
    AnalysisError: shapes do not fit, or an unknown metric.
    """
    codes = unit_codes(sets, len(composite))
    n = len(codes)
    similar = joint_rsms(composite, simple, metric)[:, :n, n:]
    several = np.bincount(codes)[codes] > 1
    rows = np.flatnonzero(several)
    contrasts = np.full((n, len(similar)), np.nan)
    contrasts[rows] = _contrast(similar, codes, rows, rows[None])[:, 0].T
    permuting, resampling = (np.random.default_rng(source) for source in np.random.SeedSequence(seed).spawn(2))
    n_units = len(np.unique(codes[several]))
    reason = too_few(n_units)
    places = permutations(np.arange(n), codes, 0 if reason else n_permutations, permuting)
    null = _contrast(similar, codes, rows, places[:, rows]).mean(axis=2).T
    n_sets = int(codes.max()) + 1
    sums, counts = unit_totals(contrasts, codes, n_sets)
    low, high = percentile_interval(mean_samples(sums, counts, bootstrap_weights(n_sets, n_bootstrap, resampling)))
    estimate = quotient(sums.sum(axis=0), counts.sum(axis=0))
    p = PValues.absent(len(similar)) if reason else p_values(estimate, null)
    return CompositeToSimple(
        estimate=estimate,
        low=low,
        high=high,
        p=p.p,
        p_corrected=p.p_corrected,
        p_fdr=p.p_fdr,
        contrasts=contrasts,
        n_units=n_units,
        n_permutations=len(places),
        reason=reason,
    )


def _contrast(similar: Array, codes: Array, rows: Array, places: Array) -> Array:
    """(L + 1, B, m) contrast of the composite items in m rows, when the simple prompts in places (B, m) are theirs."""
    same = codes[rows, None] == codes[None, :]
    others = same.sum(axis=1) - 1
    of_set = np.where(same, similar[:, rows], 0.0).sum(axis=2)
    own = similar[:, rows, places]
    return np.asarray(own - (of_set[:, None] - own) / others)


@of_recordings
def recording_composite_to_simple(
    sides: Recordings, pooling: str = "query_mean", metric: Metric = "cosine"
) -> CompositeToSimple:
    """Composite items against the simple prompts of another recording of the same items and demonstrations.

    sides: the composite recording and the simple one.

    Raises
    ------
    AnalysisError: no item in common, or no such pooling.
    """
    composite, simple = sides
    shared = join(composite, simple)
    groups = coarsest_groups(composite)
    sets = np.arange(composite.n_items) if groups is None else groups
    return composite_to_simple(
        embeddings(composite, pooling)[shared.a], embeddings(simple, pooling)[shared.b], sets[shared.a], metric=metric
    )
