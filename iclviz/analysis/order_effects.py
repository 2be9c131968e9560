"""Whether the order of items predicts their score, so that items of a group are not exchangeable.

Turns of a conversation or sentences of a text, one after the other, are alike. A permutation within their group then
counts them as more than they are. Two signs are looked for: neighbours of a group are alike (lag one), or scores rise
or fall along the order. Both are compared with permutations of the order within groups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from iclviz.analysis.behaviour import coarsest_groups, score_of
from iclviz.analysis.designs import Design
from iclviz.recording import Array, Recording

ROW = "row"
"""The covariate that holds a user's file's order; other items come in no order that means anything."""

WARN = 0.01
"""The p below which the order is told."""

_PERMUTATIONS = 999


@dataclass(frozen=True)
class OrderEffect:
    """How a score goes with the order of items within groups.

    Attributes
    ----------
    neighbours: correlation of a score with that of the item before it; trend: with its place.
    p: of the larger of both, by permutations of the order, doubled for there being two.
    """

    neighbours: float
    trend: float
    p: float


def order_effect(
    values: Array,
    order: Array,
    groups: Array | Sequence[object] | None = None,
    factors: Mapping[str, Array] | None = None,
    *,
    seed: int = 0,
) -> OrderEffect | None:
    """The effect of order on values (n,), what the design's factors explain taken out; None where nothing varies.

    Parameters
    ----------
    order: (n,) places.
    groups: (n,) what the order runs in; None = all items are one sequence.
    """
    known = np.flatnonzero(np.isfinite(values))
    codes = np.zeros(len(values), dtype=int) if groups is None else np.asarray(groups)
    design = Design.of(len(values), codes, factors).take(known)
    ranks = design.without_factors(rankdata(values[known]), within=True)
    rows = np.lexsort((np.asarray(order)[known], design.blocks))
    ranks, blocks = ranks[rows], design.blocks[rows]
    follows = np.flatnonzero(blocks[1:] == blocks[:-1])
    if len(follows) < 3 or not np.ptp(ranks):
        return None
    places = np.arange(len(ranks)) - np.searchsorted(blocks, blocks)
    centred = places - (np.bincount(blocks, places) / np.bincount(blocks))[blocks]
    rng = np.random.default_rng(seed)
    draws = rng.random((_PERMUTATIONS, len(ranks)))
    shuffled = np.lexsort((draws, np.broadcast_to(blocks, draws.shape)))
    every = np.vstack([ranks, ranks[shuffled]])
    lagged = (every[:, follows] * every[:, follows + 1]).sum(axis=1)
    along = np.abs(every @ centred)
    p = min(float((signs >= signs[0] - 1e-9).mean()) for signs in (lagged, along))
    size = float(ranks @ ranks)
    spread = float(np.sqrt(size * (centred @ centred))) or 1.0
    return OrderEffect(float(lagged[0] / size), float(ranks @ centred / spread), min(1.0, 2 * p))


def recording_order(recording: Recording, score: str) -> OrderEffect | None:
    """The effect of the file's order on a score; None where items come in no order of their own."""
    if ROW not in recording.covariates:
        return None
    order, groups = np.asarray(recording.covariates[ROW]), coarsest_groups(recording)
    single = groups is None or len(np.unique(groups)) == recording.n_items
    return order_effect(score_of(recording, score), order, None if single else groups, recording.factors)
