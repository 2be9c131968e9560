"""The headline of a comparison: did behaviour change, and does what changed inside the model go with it?

It is the task's one primary analysis, fixed before any result: its score, the right answer's log-probability over that
of other answers, and the links of three measures (own alignment, held-out probe evidence, log attention ratio) with
that score, within and between groups. A link's p is corrected over layers and measures by the maximum statistic, and
over the two levels by Bonferroni; the three together are one family, corrected by Holm's method, so that of
comparisons in which nothing differs only 5 % claim anything. Whatever else a page shows is exploratory.

Where a task's effect is that of a level of its design (injected against harmless text), score, log-probability and
links are about that effect: its change from A to B.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from iclviz.analysis.any_measure import measure_change, tied_change
from iclviz.analysis.behaviour import LOGPROB, MARGIN
from iclviz.analysis.behaviour_links import FAMILY
from iclviz.analysis.change import Change
from iclviz.analysis.comparison import Comparison, compare, of_comparison
from iclviz.analysis.effects import Effect, pairs_of, score_effect
from iclviz.analysis.link import LEVELS, Level, Link, linked
from iclviz.analysis.measure import Measuring
from iclviz.analysis.measures import measure_named
from iclviz.analysis.near_copies import near_copies
from iclviz.analysis.order_effects import OrderEffect, recording_order
from iclviz.analysis.recordings import text_share
from iclviz.analysis.score_changes import (
    covariates,
    score_change,
    score_difference,
    score_level,
    score_mean,
    tied_score_change,
)
from iclviz.analysis.statistics import MeanInterval, holm
from iclviz.analysis.text_ceiling import NEARLY_ALL
from iclviz.contrasts import Contrast
from iclviz.errors import AnalysisError
from iclviz.recording import Array, Recording

PRIMARY = Measuring(rows="last")
"""Attention is that of the last prompt token, the same text in A and B. Response tokens attend to copies of themselves,
so their ratio goes with the answer by construction.
"""


@dataclass(frozen=True, eq=False)
class Strongest:
    """The link with the smallest corrected p of a level, the largest of equals; p also corrected over levels."""

    measure: str
    layer: int
    rho: float
    low: float
    high: float
    p: float
    partial: float
    partial_p: float


@dataclass(frozen=True, eq=False)
class LevelScore:
    """A score's mean in A and in B over the items at one level of a design factor, and its change."""

    mean_a: float
    mean_b: float
    change: Change
    n: int


@dataclass(frozen=True, eq=False)
class Headline:
    """What a comparison may say of a task's primary analysis.

    Attributes
    ----------
    score: the main score's name; mean_a, mean_b: its mean over the items that have it in both (and seeds).
    level_b: B's mean with its interval, arrays (1,).
    change: B minus A of it, arrays (1,).
    contrast: the effect that the task is about, or None; effect: it on the main score in A and B, and its change.
    by_level: level of the contrast's factor -> the main score there.
    family: "score", "margin", "link" -> p corrected by Holm's method over those that were tested.
    text_share: how far the prompts' text alone is aligned with the hypothesis, see `room`; the larger of A and B. Where
        it leaves no room, alignment has no link.
    tokens: mean prompt tokens in A and in B.
    copies: pairs of items of a group that the model hardly tells apart, where nothing says that they are copies.
    order: how the main score goes with the order of items, of the side where it does most; None without an order.
    parsed_change: the same over items parsed on both sides; None where there are none, or all are.
    n_parsed: how many items that are.
    logprob_change, margin_change: B minus A of the right answer's log-probability, and of that over other answers';
        None where they are not recorded.
    parse_rates: share of responses that could be read in A and in B.
    links: level -> measure -> link.
    strongest: level -> its strongest link; a level without any is left out.
    n_items: items that the main score's change rests on, or pairs of items where it is an effect's.
    n_units, n_seeds: independent groups, demonstration seeds.
    n_tests: correlations that the links' p are corrected for, both levels together.
    """

    score: str
    mean_a: float
    mean_b: float
    level_b: Change | MeanInterval
    change: Change
    contrast: Contrast | None
    effect: Effect | None
    by_level: Mapping[str, LevelScore]
    family: Mapping[str, float]
    text_share: float
    tokens: tuple[float, float]
    copies: tuple[tuple[str, str], ...]
    order: OrderEffect | None
    parsed_change: Change | None
    n_parsed: int
    logprob_change: Change | None
    margin_change: Change | None
    parse_rates: tuple[float, float]
    links: Mapping[Level, Mapping[str, Link]]
    strongest: Mapping[Level, Strongest]
    n_items: int
    n_units: int
    n_seeds: int
    n_tests: int

    def p(self, member: str) -> float:
        """A member's p, corrected over the family; NaN where it was not tested."""
        return self.family.get(member, float("nan"))

    @property
    def strongest_level(self) -> Level:
        """The level of the strongest link; the first where none has any."""
        return min(self.strongest, key=lambda level: self.strongest[level].p, default=LEVELS[0])


@of_comparison
def headline(
    comparison: Comparison,
    score: str,
    measuring: Measuring | None = None,
    contrast: Contrast | None = None,
    *,
    n_permutations: int = 1000,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> Headline:
    """The headline of a comparison.

    Parameters
    ----------
    comparison: the conditions.
    score: the task's main score; measuring: its primary hypothesis, label, pooling and metric.
    contrast: the effect that the task is about; None = items count as they are.
    seed: draws permutations and resamples.

    Raises
    ------
    AnalysisError: a score, hypothesis or label that the recordings do not have.
    """
    contrast = contrast if contrast and contrast.factor in comparison.factors else None
    effect = score_effect(comparison, contrast, score) if contrast else None
    change = effect.change if effect else score_difference(comparison, score)
    linked_items = comparison.only(pairs_of(comparison.factors, contrast).items) if contrast else comparison
    measuring = measuring or PRIMARY
    of_text = _text_share(comparison, measuring)
    by_level = _links(linked_items, score, measuring, not of_text >= NEARLY_ALL, n_permutations, n_bootstrap, seed)
    tested = {level: found for level, found in by_level.items() if any(link.reason is None for link in found.values())}
    strongest = {level: found for level in tested if (found := _strongest(tested[level], len(tested)))}
    parsed, n_parsed = _parsed_change(comparison, score)
    margin = _change_of(comparison, MARGIN, contrast)
    return Headline(
        score=score,
        mean_a=score_mean(comparison, 0, score),
        mean_b=score_mean(comparison, 1, score),
        level_b=score_level(comparison, 1, score),
        change=change,
        contrast=contrast,
        effect=effect,
        by_level=score_by_level(comparison, contrast, score) if contrast else {},
        family=_family(change, margin, strongest),
        text_share=of_text,
        tokens=(_tokens(comparison, 0), _tokens(comparison, 1)),
        copies=near_copies(comparison.first),
        order=_order(comparison, score),
        parsed_change=None if contrast else parsed,
        n_parsed=n_parsed,
        logprob_change=_change_of(comparison, LOGPROB, contrast),
        margin_change=margin,
        parse_rates=(_parse_rate(comparison, comparison.side(0)), _parse_rate(comparison, comparison.side(1))),
        links=by_level,
        strongest=strongest,
        n_items=effect.n if effect else _n_scored(comparison, score),
        n_units=change.n_units,
        n_seeds=comparison.n_seeds,
        n_tests=sum(next(iter(found.values())).n_tests for found in tested.values()),
    )


def _links(
    comparison: Comparison,
    score: str,
    measuring: Measuring,
    has_room: bool,
    n_permutations: int,
    n_bootstrap: int,
    seed: int,
) -> dict[Level, dict[str, Link]]:
    changes, scores = _changes(comparison, measuring, has_room), tied_score_change(comparison, score)
    beside = covariates(comparison, score)
    return {
        level: linked(
            changes,
            scores,
            comparison.groups,
            level=level,
            factors=comparison.factors,
            covariates=beside,
            n_permutations=n_permutations,
            n_bootstrap=n_bootstrap,
            seed=seed,
        )
        for level in LEVELS
    }


def _family(change: Change, margin: Change | None, strongest: Mapping[Level, "Strongest"]) -> dict[str, float]:
    """The primary p of a comparison, corrected together; what was not tested is no member."""
    found = {"score": float(change.p[0])}
    if margin is not None:
        found["margin"] = float(margin.p[0])
    if strongest:
        found["link"] = min(one.p for one in strongest.values())
    tested = {name: p for name, p in found.items() if np.isfinite(p)}
    return dict(zip(tested, holm(np.array(list(tested.values()))).tolist(), strict=True)) if tested else {}


def _text_share(comparison: Comparison, measuring: Measuring) -> float:
    hypothesis, _ = measuring.of(comparison.first)
    if not hypothesis:
        return float("nan")
    shares = [text_share(one, hypothesis, measuring.pooling, measuring.metric) for one in comparison.pairs[0]]
    return max((share for share in shares if np.isfinite(share)), default=float("nan"))


def _n_scored(comparison: Comparison, score: str) -> int:
    return int(np.isfinite(score_change(comparison, score)).any(axis=0).sum())


def _tokens(comparison: Comparison, side: int) -> float:
    """Mean prompt tokens of the common items."""
    lengths = [[len(one.prompt_ids[item]) for item in comparison.items(one)] for one in comparison.side(side)]
    return float(np.mean(lengths))


def _order(comparison: Comparison, score: str) -> OrderEffect | None:
    found = [one for pair in comparison.pairs[:1] for one in (recording_order(side, score) for side in pair) if one]
    return min(found, key=lambda effect: effect.p, default=None)


@of_comparison
def score_by_level(comparison: Comparison, contrast: Contrast, score: str) -> dict[str, LevelScore]:
    """The main score at each level of the contrast's factor."""
    levels = np.asarray(comparison.factors[contrast.factor])
    found = {}
    for level in dict.fromkeys(levels.tolist()):
        part = comparison.only(np.flatnonzero(levels == level))
        found[str(level)] = LevelScore(
            score_mean(part, 0, score),
            score_mean(part, 1, score),
            score_difference(part, score),
            _n_scored(part, score),
        )
    return found


def _changes(comparison: Comparison, measuring: Measuring, has_room: bool) -> dict[str, Array]:
    """Measure of the family -> its change (S, m, K), of those that the recordings have a value of: no label may be
    probed, no irrelevant text shown, no room left by the text alone.
    """
    there = [name for name in FAMILY if not measure_named(name).absent(comparison.first, measuring)]
    kept = [name for name in there if has_room or not measure_named(name).needs_room]
    changes = {name: tied_change(comparison, name, measuring) for name in kept}
    return {name: change for name, change in changes.items() if np.isfinite(change).any()}


def _change_of(comparison: Comparison, score: str, contrast: Contrast | None) -> Change | None:
    """B minus A of a score, or of an effect on it; None where it is not recorded on both sides."""
    if not all(score in recording.scores for pair in comparison.pairs for recording in pair):
        return None
    return score_effect(comparison, contrast, score).change if contrast else score_difference(comparison, score)


def _parse_rate(comparison: Comparison, recordings: list[Recording]) -> float:
    read = [[one.parsed[item] is not None for item in comparison.items(one)] for one in recordings]
    return float(np.mean(read))


def _parsed_change(comparison: Comparison, score: str) -> tuple[Change | None, int]:
    try:
        parsed = compare(comparison.side(0), comparison.side(1), parsed_in_both=True)
    except AnalysisError:
        return None, 0
    kept = [item for item in parsed.item_ids if item in set(comparison.item_ids)]
    if not kept or len(kept) == len(comparison.item_ids):
        return None, len(kept)
    return score_difference(Comparison(parsed.pairs, tuple(kept)), score), len(kept)


def _strongest(found: Mapping[str, Link], n_levels: int) -> Strongest | None:
    places = [
        (float(link.p_corrected[layer]), -abs(float(link.estimate[layer])), measure, int(layer))
        for measure, link in found.items()
        for layer in np.flatnonzero(np.isfinite(link.p_corrected))
    ]
    if not places:
        return None
    p, _, measure, layer = min(places)
    link = found[measure]
    return Strongest(
        measure=measure,
        layer=layer + measure_named(measure).first_layer,
        rho=float(link.estimate[layer]),
        low=float(link.low[layer]),
        high=float(link.high[layer]),
        p=min(1.0, n_levels * p),
        partial=float(link.partial[layer]),
        partial_p=float(link.partial_p[layer]),
    )


def link_points(
    comparison: Comparison, measure: str, score: str, layer: int, measuring: Measuring
) -> tuple[Array, Array]:
    """(m,) and (m,) what a link's scatter shows: each item's change of a measure in a layer, and of the score, the mean
    over seeds.
    """
    change = measure_change(comparison, measure, measuring)[:, :, layer - measure_named(measure).first_layer]
    return change.mean(axis=0), score_change(comparison, score).mean(axis=0)


def most_changed(tests: Mapping[str, Change]) -> str:
    """The measure whose change has the least corrected p in any layer; "" where nothing was tested."""
    least = {name: np.min(test.p_corrected[np.isfinite(test.p_corrected)], initial=2) for name, test in tests.items()}
    return min(least, key=lambda name: float(least[name]), default="")
