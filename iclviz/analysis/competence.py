"""Competence: whether the answer moves with its label, and stays when another label is moved (Davies et al. 2023,
arXiv:2303.00333).

1. An item's output is the distribution over its candidates, their probabilities divided by their sum.
2. Moved: with its label moved to the class of another candidate the task says that candidate; the item's score is 1
   less the total variation distance from that, which is the probability of that candidate.
3. Stayed: with the control label moved the task says the same as before; the score is 1 less the total variation
   distance between both outputs.
4. Scores are averaged over the items of each class that was moved, then over classes; competence is the mean of both.
   A model that ignores everything has 0.5; so has one that follows everything.

Beside it stand the same scores of as long moves in random directions. The block is chosen on one half of the groups,
and the other half says how large its competence is. Intervals are from resampling groups of items.
"""

from dataclasses import dataclass

import numpy as np

from iclviz.analysis.behaviour import coarsest_groups
from iclviz.analysis.effect_maps import check_pair
from iclviz.analysis.results import Estimates
from iclviz.analysis.statistics import (
    first_half,
    mean_of_known,
    percentile_interval,
    quotient,
    student_stretch,
    unit_codes,
    unit_weights,
)
from iclviz.errors import AnalysisError
from iclviz.maps import EffectMap
from iclviz.questions.question import of_map
from iclviz.recording import Array, Recording

SCORES = ("moved", "stayed", "competence")
FEWEST = 4
"""Groups in the half that judges, from which an interval is taken."""


@dataclass(frozen=True, eq=False)
class Competence(Estimates):
    """The scores of each block; arrays (3, S), in the order of `SCORES`.

    Attributes
    ----------
    estimate, low, high: scores from 0 to 1, with their 95 % intervals.
    random: (3, S) the same of random moves, NaN where there are none.
    before: the mean probability of the other candidates with nothing done, which `moved` starts from.
    label, control: the labels that were moved; blocks: S numbers.
    n_items, n_units: items that could be moved, and groups of all.
    chosen: the block that one half of the groups chose; of_chosen: its competence and interval in the other half, NaN
        where there are too few groups.
    """

    random: Array
    before: float
    label: str
    control: str
    blocks: tuple[int, ...]
    n_items: int
    n_units: int
    chosen: int
    of_chosen: tuple[float, float, float]

    def lines(self) -> list[str]:
        """Each block's scores, a line each."""
        rows = zip(self.blocks, self.estimate.T, strict=True)
        each = [f"block {block:<3} " + "  ".join(map("{} {:.2f}".format, SCORES, one)) for block, one in rows]
        return [*each, "competence {:.2f} [{:.2f}, {:.2f}] in block {}".format(*self.of_chosen, self.chosen)]


@of_map
def competence_by_block(pair: tuple[EffectMap, Recording], *, n_bootstrap: int = 1000, seed: int = 0) -> Competence:
    """Whether the answer follows its label, block by block.

    Parameters
    ----------
    pair: a map of competence, and the recording of its run.
    seed: draws the resamples, and halves the groups.

    Raises
    ------
    AnalysisError: it is no such map, or no item could be moved.
    """
    made, recording = pair
    if made.grid.kind != "competence":
        raise AnalysisError("This is no map of moved labels.", 'Make one with "competence label=... control=...".')
    check_pair(made, recording)
    given = made.grid.to_dict()
    label, control = str(given["label"]), str(given["control"])
    scores = _scores(made.logprobs, made.acted, made.base, np.arange(made.acted.shape[2]))
    if not np.isfinite(scores[0]).any():
        raise AnalysisError(
            f"No item has a candidate that is the right answer of another class of {label}.",
            "Take a task whose items share their candidates.",
        )
    classes = np.unique(np.asarray(recording.labels[label]), return_inverse=True)[1]
    codes = unit_codes(coarsest_groups(recording), recording.n_items)
    n_units = int(codes.max()) + 1
    weights = unit_weights(n_units, n_bootstrap, np.random.default_rng(seed))[:, codes]
    estimate, low, high = with_interval(scores, classes, weights, n_units)
    chosen, judged = _chosen(scores, classes, codes, n_bootstrap, seed)
    return Competence(
        estimate,
        low,
        high,
        random=_at_random(made, classes) if made.controls.shape[2] else np.full(estimate.shape, np.nan),
        before=float(mean_of_known(_of_other_candidate(_shares(made.base), made.base, 0))),
        label=label,
        control=control,
        blocks=tuple(int(value) for value in made.axes[1].values),
        n_items=int(np.isfinite(scores[0]).any(axis=0).sum()),
        n_units=n_units,
        chosen=int(made.axes[1].values[chosen]),
        of_chosen=judged,
    )


def _shares(logprobs: Array) -> Array:
    """(..., n, C) probabilities of candidates over their sum, 0 of those that an item does not have."""
    logprobs = np.asarray(logprobs, dtype=float)
    size = np.nan_to_num(np.exp(logprobs - np.nanmax(logprobs, axis=-1, keepdims=True)))
    return np.asarray(size / size.sum(axis=-1, keepdims=True))


def _of_other_candidate(shares: Array, base: Array, draw: int) -> Array:
    """(..., n) of shares (..., n, C) that of the candidate to which a draw moves each item; NaN where there is none."""
    has = np.isfinite(base).sum(axis=-1)
    place = np.minimum(1 + draw % np.maximum(has - 1, 1), base.shape[-1] - 1)
    return np.asarray(np.where(has > 1, shares[..., np.arange(len(base)), place], np.nan))


def _scores(logprobs: Array, acted: Array, base: Array, draws: Array) -> Array:
    """(2, S, n) how much each item has moved and stayed at each block, the mean over draws; NaN where nothing was done.

    Parameters
    ----------
    logprobs: (2, S, V, n, C) of both labels; acted: (2, S, V, n); base: (n, C).
    draws: (V,) to which other candidate each draw moves.
    """
    shares, before = _shares(logprobs), _shares(base)
    moved = np.stack([_of_other_candidate(shares[0, :, at], base, int(draw)) for at, draw in enumerate(draws)])
    stayed = 1 - np.abs(shares[1] - before).sum(axis=-1).swapaxes(0, 1) / 2
    each = np.where(acted.swapaxes(1, 2) > 0, np.stack([moved, stayed]), np.nan)
    return np.stack([mean_of_known(one) for one in each])


def _at_random(made: EffectMap, classes: Array) -> Array:
    """(3, S) the scores of random moves."""
    draws = np.zeros(made.controls.shape[2], dtype=int)
    scores = _scores(made.controls, made.acted_controls, made.base, draws)
    return np.asarray(_by_class(scores, classes, np.ones((1, len(classes))))[0])


def _by_class(scores: Array, classes: Array, weights: Array) -> Array:
    """(B, 3, S) scores (2, S, n) averaged within classes (n,) under weights (B, n), then over them, and their mean."""
    known, values = np.isfinite(scores), np.nan_to_num(scores)
    each = []
    for own in np.unique(classes):
        own_weights = weights * (classes == own)
        sums, counts = (np.einsum("bn,qsn->bqs", own_weights, one) for one in (values, known.astype(float)))
        each.append(quotient(sums, counts))
    both = mean_of_known(np.stack(each))
    return np.concatenate([both, both.mean(axis=1, keepdims=True)], axis=1)


def with_interval(scores: Array, classes: Array, weights: Array, n_units: int) -> tuple[Array, Array, Array]:
    """(3, S) the scores and their interval's bounds."""
    found = _by_class(scores, classes, np.vstack([np.ones(len(classes)), weights]))
    stretched = found[0] + student_stretch(n_units) * (found[1:] - found[0])
    return found[0], *percentile_interval(np.clip(stretched, 0.0, 1.0))


def _chosen(
    scores: Array, classes: Array, codes: Array, n_bootstrap: int, seed: int
) -> tuple[int, tuple[float, float, float]]:
    """The place of the block with the largest competence in one half of the groups, and that in the other half."""
    choosing = first_half(codes, seed)
    if not choosing.any():
        choosing = np.ones(len(codes), dtype=bool)
    in_first = _by_class(scores[..., choosing], classes[choosing], np.ones((1, int(choosing.sum()))))[0, 2]
    place = int(np.argmax(np.where(np.isfinite(in_first), in_first, -1.0)))
    own = np.unique(codes[~choosing], return_inverse=True)[1]
    n_units = int(own.max(initial=-1)) + 1
    if n_units < FEWEST:
        return place, (np.nan, np.nan, np.nan)
    weights = unit_weights(n_units, n_bootstrap, np.random.default_rng(seed))[:, own]
    judged = with_interval(scores[..., ~choosing], classes[~choosing], weights, n_units)
    estimate, low, high = (float(one[2, place]) for one in judged)
    return place, (estimate, low, high)
