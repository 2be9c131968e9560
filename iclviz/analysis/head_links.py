"""Whether the heads that attend to relevant text are the heads that the answer needs: the attention ratio of each head,
set against what setting it to zero does.

Over heads: the rank correlation of the mean log attention ratio with the mean effect, with an interval from resampling
groups of items. Heads of one block have much in common (how deep it is, how large its outputs are), so the same is told
within blocks, ranks less their block's mean, with p from permuting heads within blocks.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from iclviz.analysis.attention import attention_ratio_by_head
from iclviz.analysis.behaviour import coarsest_groups
from iclviz.analysis.effect_maps import check_pair, item_effects, usual_outcome
from iclviz.analysis.statistics import (
    mean_of_known,
    mean_samples,
    percentile_interval,
    too_few,
    unit_codes,
    unit_totals,
    unit_weights,
)
from iclviz.errors import AnalysisError
from iclviz.maps import EffectMap
from iclviz.questions.question import of_map
from iclviz.recording import Array, Recording

LEAST_HEADS = 10


@dataclass(frozen=True, eq=False)
class HeadLink:
    """Attention and effect of each head, and how they go together.

    Attributes
    ----------
    ratio: (L, H) mean log attention ratio of the last prompt token, relevant over irrelevant text, per token.
    effect: (L, H) mean effect of ablating the head on an outcome; both NaN where no item has a value.
    rho, low, high: their rank correlation over heads with its 95 % interval.
    rho_within, p_within: the same within blocks, and its p by permuting heads within blocks; NaN where blocks have one
        head.
    n_units: groups of items; reason: why there is no interval, or None; outcome: one of `effect_maps.OUTCOMES`.
    """

    ratio: Array
    effect: Array
    rho: float
    low: float
    high: float
    rho_within: float
    p_within: float
    n_units: int
    reason: str | None
    outcome: str = "margin"


@of_map
def attention_and_effect(
    pair: tuple[EffectMap, Recording],
    over: str = "relevant",
    under: str = "irrelevant",
    *,
    n_permutations: int = 1000,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> HeadLink:
    """How the attention ratio of heads goes with the effect of ablating them.

    Parameters
    ----------
    pair: a map over heads and blocks, and the recording of its run.
    over, under: roles of the ratio.
    seed: draws permutations and resamples.

    Raises
    ------
    AnalysisError: no map of heads, no such roles, or too few heads have both.
    """
    made, recording = pair
    check_pair(made, recording)
    if [axis.name for axis in made.axes] != ["head", "block"]:
        raise AnalysisError("This is no map of heads.", "Take the map “heads”.")
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.log(attention_ratio_by_head(recording, over, under, "last", "token"))
    ratios = np.where(np.isfinite(ratios), ratios, np.nan)
    outcome = usual_outcome(made)
    effects = np.moveaxis(item_effects(made, outcome), (2, 1, 0), (0, 1, 2))
    ratio, effect = mean_of_known(ratios), mean_of_known(effects)
    known = np.isfinite(ratio) & np.isfinite(effect)
    if known.sum() < LEAST_HEADS:
        raise AnalysisError(
            f"Fewer than {LEAST_HEADS} heads have both an attention ratio and an effect.",
            "Take a task with relevant and irrelevant text.",
        )
    codes = unit_codes(coarsest_groups(recording), made.n_items)
    n_units = int(codes.max()) + 1
    resampling, permuting = (np.random.default_rng(source) for source in np.random.SeedSequence(seed).spawn(2))
    weights = unit_weights(n_units, n_bootstrap, resampling)
    samples = [mean_samples(*unit_totals(side, codes, n_units), weights)[:, known] for side in (ratios, effects)]
    reason = too_few(n_units)
    rhos = np.array([_rank_correlation(x, y) for x, y in zip(*samples, strict=True)]) if not reason else np.array([])
    low, high = percentile_interval(rhos[:, None]) if not reason else (np.array([np.nan]), np.array([np.nan]))
    blocks = np.broadcast_to(np.arange(len(ratio))[:, None], ratio.shape)[known]
    within, p = _within(ratio[known], effect[known], blocks, n_permutations, permuting)
    rho = _rank_correlation(ratio[known], effect[known])
    return HeadLink(ratio, effect, rho, float(low[0]), float(high[0]), within, p, n_units, reason, outcome)


def _rank_correlation(x: Array, y: Array) -> float:
    return _correlation(rankdata(x), rankdata(y))


def _correlation(x: Array, y: Array) -> float:
    x, y = x - x.mean(), y - y.mean()
    size = np.sqrt((x**2).sum() * (y**2).sum())
    return float((x * y).sum() / size) if size > 0 else float("nan")


def _within(x: Array, y: Array, blocks: Array, n_permutations: int, rng: np.random.Generator) -> tuple[float, float]:
    """The correlation of ranks less their block's mean, and its two-sided p by permuting within blocks."""
    x, y = (_less_block(rankdata(side), blocks) for side in (x, y))
    observed = _correlation(x, y)
    if not np.isfinite(observed):
        return observed, float("nan")
    order = np.argsort(blocks, kind="stable")
    null = np.empty(n_permutations)
    for number in range(n_permutations):
        shuffled = np.lexsort((rng.random(len(blocks)), blocks))
        null[number] = _correlation(x[order], y[shuffled])
    return observed, float((1 + (np.abs(null) >= abs(observed) * (1 - 1e-9)).sum()) / (1 + n_permutations))


def _less_block(values: Array, blocks: Array) -> Array:
    codes = np.unique(blocks, return_inverse=True)[1]
    return np.asarray(values - (np.bincount(codes, values) / np.bincount(codes))[codes])
