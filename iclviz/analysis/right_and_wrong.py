"""How well a measure of an item tells items that were answered rightly from the others: the area under the ROC curve.

It is the probability that of two items, one answered rightly and one not, the first has the larger value; equal values
count as half. 0.5 is what a measure has that knows nothing of it. Values that differ by less than their numbers hold
are equal. What the design's factors, such as the place of the text, explain of the values' ranks is taken out first:
an item may be both easy and near by its place. The interval is from resampling groups; it is about these groups, and no
p is given.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from iclviz.analysis.behaviour import RIGHT, coarsest_groups, score_of
from iclviz.analysis.designs import Design, basis, without
from iclviz.analysis.measure import Measuring
from iclviz.analysis.measures import asked
from iclviz.analysis.resolution import tied
from iclviz.analysis.results import Estimates
from iclviz.analysis.statistics import percentile_interval, quotient, student_stretch, unit_codes, unit_weights
from iclviz.errors import AnalysisError
from iclviz.questions.question import of_recording
from iclviz.recording import Array, Recording

_DIGITS = 9
"""Of ranks, behind which two are equal."""


@dataclass(frozen=True, eq=False)
class RightAgainstWrong(Estimates):
    """The area under the ROC curve in each layer, arrays (K,).

    Attributes
    ----------
    n_right, n_wrong: items that were answered rightly, and that were not.
    n_units: independent groups of items.
    """

    n_right: int
    n_wrong: int
    n_units: int


@of_recording
def right_against_wrong(
    recording: Recording, measure: str, measuring: Measuring | None = None, n_bootstrap: int = 1000, seed: int = 0
) -> RightAgainstWrong:
    """How well a measure of each item tells right from wrong answers, in every layer.

    Parameters
    ----------
    measure: the name of a measure, see `all_measures`; measuring: what it leaves open, None = as usual.
    seed: draws resamples.

    Raises
    ------
    AnalysisError: an unknown measure, answers that are not right or wrong, or all of one kind.
    """
    kind, measuring = asked(measure, measuring)
    if RIGHT not in recording.scores:
        raise AnalysisError("The answers of this task are not simply right or wrong.", "Take a task whose answers are.")
    if why := kind.absent(recording, measuring):
        raise AnalysisError(f"There is no value of {kind.title}: {why}.")
    right = score_of(recording, RIGHT) > 0
    if right.all() or not right.any():
        raise AnalysisError(f"All answers are {'right' if right.all() else 'wrong'}: there is nothing to tell apart.")
    items = np.arange(recording.n_items)
    values = kind.of_items(recording, measuring, items)
    groups = coarsest_groups(recording)
    design = Design.of(len(right), groups, recording.factors)
    ranks = _ranks(tied(values.T, kind.resolution(recording, measuring, items, values)), design.columns)
    above, known = _wins(ranks[:, right], ranks[:, ~right])
    codes = unit_codes(groups, len(right))
    n_units = int(codes.max()) + 1
    drawn = unit_weights(n_units, n_bootstrap, np.random.default_rng(seed))[:, codes]
    estimate = _area(above, known, np.ones((1, len(right))), right)[0]
    samples = estimate + student_stretch(n_units) * (_area(above, known, drawn, right) - estimate)
    low, high = (np.clip(bound, 0.0, 1.0) for bound in percentile_interval(samples))
    return RightAgainstWrong(estimate, low, high, int(right.sum()), int((~right).sum()), n_units)


def _ranks(values: Array, columns: Array) -> Array:
    """(K, n) the ranks of values (K, n) less what columns (n, C) explain of them; NaN stays."""
    found = np.full(values.shape, np.nan)
    for layer, row in enumerate(values):
        known = np.isfinite(row)
        if known.any():
            ranks, explaining = rankdata(row[known]), columns[known]
            found[layer, known] = without(ranks - ranks.mean(), basis((explaining - explaining.mean(axis=0)).T))
    return np.round(found, _DIGITS)


def _wins(right: Array, wrong: Array) -> tuple[Array, Array]:
    """(K, r, w) of values (K, r) and (K, w): 1 where the first is larger, one half where equal; and where both are."""
    one, other = right[:, :, None], wrong[:, None, :]
    known = np.isfinite(one) & np.isfinite(other)
    return np.where(known, (one > other) + 0.5 * (one == other), 0.0), known.astype(float)


def _area(above: Array, known: Array, weights: Array, right: Array) -> Array:
    """(B, K) the weighted share of pairs that are won, of weights (B, n)."""
    sides = weights[:, right], weights[:, ~right]
    won, pairs = (np.einsum("br,krw,bw->bk", sides[0], part, sides[1], optimize=True) for part in (above, known))
    return quotient(won, pairs)
