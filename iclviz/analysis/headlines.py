"""The headline of a comparison: did behaviour change, and does what changed inside the model go with it?

It is the task's one primary analysis, fixed before any result: its score, and the links of three measures (own
alignment, held-out probe evidence, log attention ratio) with that score, within and between groups. Their p are
corrected over layers and measures by the maximum statistic, and over the two levels by Bonferroni. Whatever else a page
shows is exploratory.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from iclviz.analysis.comparing import Change
from iclviz.analysis.link import LEVELS, Level, Link, linked
from iclviz.analysis.measures import MEASURES, Measuring, first_layer, measure_change
from iclviz.analysis.of_pairs import covariates, score_change, score_difference
from iclviz.analysis.pairs import Comparison, compare
from iclviz.errors import AnalysisError
from iclviz.recording import Array, Recording

PRIMARY = Measuring(rows="last")
"""Attention is that of the last prompt token, the same text in A and B. Response tokens attend to copies of themselves,
so their ratio goes with the answer by construction.
"""

LOGPROB, MARGIN = "answer_logprob", "logprob_margin"
"""Scores that need no parsing; the first rises with the format too, the second is against other answers'."""


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


@dataclass(frozen=True, eq=False)
class Headline:
    """What a comparison may say of a task's primary analysis.

    Attributes
    ----------
    score: the main score's name; mean_a, mean_b: its mean over common items (and seeds).
    change: B minus A of it, arrays (1,).
    parsed_change: the same over items parsed on both sides; None where there are none, or all are.
    n_parsed: how many items that are.
    logprob_change, margin_change: B minus A of the right answer's log-probability, and of that over other answers';
        None where they are not recorded.
    parse_rates: share of responses that could be read in A and in B.
    links: level -> measure -> link.
    strongest: level -> its strongest link; a level without any is left out.
    n_items, n_units, n_seeds: common items, independent groups, demonstration seeds.
    n_tests: correlations that the links' p are corrected for, both levels together.
    """

    score: str
    mean_a: float
    mean_b: float
    change: Change
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

    @property
    def strongest_level(self) -> Level:
        """The level of the strongest link; the first where none has any."""
        return min(self.strongest, key=lambda level: self.strongest[level].p, default=LEVELS[0])


def headline(
    comparison: Comparison, score: str, measuring: Measuring | None = None, *, n_permutations: int = 1000, seed: int = 0
) -> Headline:
    """The headline of a comparison.

    Parameters
    ----------
    comparison: the conditions.
    score: the task's main score; measuring: its primary hypothesis, label, pooling and metric.
    seed: draws permutations and resamples.

    Raises
    ------
    AnalysisError: a score, hypothesis or label that the recordings do not have.
    """
    how = measuring or PRIMARY
    changes = _changes(comparison, how)
    scores, given = score_change(comparison, score), covariates(comparison, score)
    by_level = {
        level: linked(
            changes,
            scores,
            comparison.groups,
            level=level,
            factors=comparison.factors,
            covariates=given,
            n_permutations=n_permutations,
            seed=seed,
        )
        for level in LEVELS
    }
    tested = {level: found for level, found in by_level.items() if any(link.reason is None for link in found.values())}
    a, b = comparison.side(0), comparison.side(1)
    parsed, n_parsed = _parsed_change(comparison, score)
    change = score_difference(comparison, score)
    return Headline(
        score=score,
        mean_a=float(np.nanmean([one.scores[score][comparison.items(one)] for one in a])),
        mean_b=float(np.nanmean([one.scores[score][comparison.items(one)] for one in b])),
        change=change,
        parsed_change=parsed,
        n_parsed=n_parsed,
        logprob_change=_change_of(comparison, LOGPROB),
        margin_change=_change_of(comparison, MARGIN),
        parse_rates=(_parse_rate(comparison, a), _parse_rate(comparison, b)),
        links=by_level,
        strongest={level: found for level in tested if (found := _strongest(tested[level], len(tested)))},
        n_items=len(comparison.item_ids),
        n_units=change.n_units,
        n_seeds=comparison.n_seeds,
        n_tests=sum(next(iter(found.values())).n_tests for found in tested.values()),
    )


def _changes(comparison: Comparison, how: Measuring) -> dict[str, Array]:
    """Measure -> its change (S, m, K), of those that the recordings have a value of: no label may be probed, no
    irrelevant text shown.
    """
    hypothesis, label = how.of(comparison.first)
    there = {"alignment": bool(hypothesis), "probe": bool(label), "attention_ratio": True}
    changes = {name: measure_change(comparison, name, how) for name in MEASURES if there[name]}
    return {name: change for name, change in changes.items() if np.isfinite(change).any()}


def _change_of(comparison: Comparison, score: str) -> Change | None:
    """B minus A of a score; None where it is not recorded on both sides."""
    there = all(score in recording.scores for pair in comparison.pairs for recording in pair)
    return score_difference(comparison, score) if there else None


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
        layer=layer + first_layer(measure),
        rho=float(link.estimate[layer]),
        low=float(link.low[layer]),
        high=float(link.high[layer]),
        p=min(1.0, n_levels * p),
        partial=float(link.partial[layer]),
    )


def link_points(comparison: Comparison, measure: str, score: str, layer: int, how: Measuring) -> tuple[Array, Array]:
    """(m,) and (m,) what a link's scatter shows: each item's change of a measure in a layer, and of the score, the mean
    over seeds.
    """
    change = measure_change(comparison, measure, how)[:, :, layer - first_layer(measure)]
    return change.mean(axis=0), score_change(comparison, score).mean(axis=0)
