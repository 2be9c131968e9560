"""Scores of a comparison as a table: means, difference with interval and p, its standardised size, a mixed model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from iclviz.analysis.change import Change
from iclviz.analysis.comparison import Comparison, of_comparison
from iclviz.analysis.designs import group_means
from iclviz.analysis.mixed import MixedModel, score_model
from iclviz.analysis.score_changes import score_change, score_difference, score_mean
from iclviz.analysis.statistics import unit_codes
from iclviz.recording import Array


@dataclass(frozen=True, eq=False)
class ScoreRow:
    """A score's mean in A and in B, its change, the change's standardised size, and a mixed model of it."""

    score: str
    mean_a: float
    mean_b: float
    change: Change
    size: float
    mixed: MixedModel


def standardised(differences: Array, groups: Array | None = None) -> float:
    """The mean paired difference over its standard deviation between groups, corrected for few groups (Hedges 1981).

    Parameters
    ----------
    differences: (n,) B minus A of each item, NaN where it has none; groups: (n,), None = single items.
    """
    known = np.isfinite(differences)
    values = differences[known]
    codes = unit_codes(None if groups is None else np.asarray(groups)[known], len(values))
    means = group_means(values, codes) if len(values) else values
    if len(means) < 2 or not np.ptp(means):
        return float("nan")
    degrees = len(means) - 1
    exact = np.exp(gammaln(degrees / 2) - gammaln((degrees - 1) / 2)) / np.sqrt(degrees / 2) if degrees > 1 else np.nan
    return float(exact * means.mean() / means.std(ddof=1))


@of_comparison
def score_rows(comparison: Comparison, scores: Sequence[str]) -> list[ScoreRow]:
    """A row for each of some scores.

    Raises
    ------
    AnalysisError: a recording has no such score.
    """
    rows = []
    for score in scores:
        means = [score_mean(comparison, side, score) for side in (0, 1)]
        size = standardised(score_change(comparison, score).mean(axis=0), comparison.groups)
        change, mixed = score_difference(comparison, score), score_model(comparison, score)
        rows.append(ScoreRow(score, means[0], means[1], change, size, mixed))
    return rows
