"""Any measure by layer, by its name: of one condition, of items, of what changed from A to B, of many conditions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from iclviz.analysis.change import Change
from iclviz.analysis.comparison import Comparison, check_layers, of_comparison
from iclviz.analysis.measure import Measure, Measuring
from iclviz.analysis.measures import asked
from iclviz.analysis.resolution import settled, tied
from iclviz.analysis.results import Estimates
from iclviz.analysis.statistics import mean_of_known
from iclviz.errors import AnalysisError
from iclviz.questions.question import by_key, of_recording
from iclviz.recording import Array, Recording


def _present(measure: str, measuring: Measuring | None, recordings: Sequence[Recording]) -> tuple[Measure, Measuring]:
    """A measure of that name and how it is made, where all of some recordings may have a value of it: what
    A or B lacks their comparison lacks.

    Raises
    ------
    AnalysisError: no such measure, or why there is no value.
    """
    kind, measuring = asked(measure, measuring)
    for recording in recordings:
        if why := kind.absent(recording, measuring):
            raise AnalysisError(f"There is no value of {kind.title}: {why}.")
    return kind, measuring


@of_recording
def measured(recording: Recording, measure: str, measuring: Measuring | None = None) -> Estimates:
    """A measure of one condition in each layer, with its interval and, where it has one, its test.

    Parameters
    ----------
    measure: the name of a measure, see `all_measures`.
    measuring: what it leaves open; None = as usual.

    Raises
    ------
    AnalysisError: an unknown measure or option, or the recording has no value of it.
    """
    kind, measuring = _present(measure, measuring, [recording])
    return kind.of_condition(recording, measuring)


@of_comparison
def measured_change(comparison: Comparison, measure: str, measuring: Measuring | None = None) -> Change:
    """B minus A of a measure in each layer, tested over groups (and demonstration seeds), corrected over layers.

    Raises
    ------
    AnalysisError: as `measured`, or models with different numbers of layers.
    """
    check_layers(comparison)
    kind, measuring = _present(measure, measuring, comparison.pairs[0])
    return kind.change(comparison, measuring)


@of_comparison
def item_changes(comparison: Comparison, measure: str, measuring: Measuring | None = None) -> Array:
    """(m, K) each common item's change of a measure in every layer, the mean over seeds.

    Raises
    ------
    AnalysisError: as `measured_change`.
    """
    return np.asarray(measure_change(comparison, measure, measuring).mean(axis=0))


def measure_change(comparison: Comparison, measure: str, measuring: Measuring | None = None) -> Array:
    """(S, m, K) B minus A of a measure of each item in each layer, 0 where its numbers hold no difference.

    Raises
    ------
    AnalysisError: an unknown measure, hypothesis or label, or models with different numbers of layers.
    """
    return settled(*_change(comparison, measure, measuring))


def tied_change(comparison: Comparison, measure: str, measuring: Measuring | None = None) -> Array:
    """The same, items whose changes differ by less than that being ties: what ranks may be taken of."""
    change, least = _change(comparison, measure, measuring)
    return tied(settled(change, least).swapaxes(1, 2), least[:, 0]).swapaxes(1, 2)


def _change(comparison: Comparison, measure: str, measuring: Measuring | None) -> tuple[Array, Array]:
    """(S, m, K) as it was computed, and the least difference that it holds, (S, 1, K)."""
    check_layers(comparison)
    kind, measuring = _present(measure, measuring, comparison.pairs[0])
    return kind.held_change(comparison, measuring)


def held_values(
    comparison: Comparison, measure: str, measuring: Measuring | None = None
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """In A and in B: a measure of each item and layer, (S, m, K), and the least difference that it holds, (S, 1, K).

    Raises
    ------
    AnalysisError: an unknown measure, hypothesis or label, or models with different numbers of layers.
    """
    check_layers(comparison)
    kind, measuring = _present(measure, measuring, comparison.pairs[0])
    return kind.held_values(comparison, measuring)


@dataclass(frozen=True)
class ConditionPoints:
    """Conditions as points, label -> (mean of a measure, mean score), and Spearman's rho over them.

    There is no p: conditions share items, baseline and nested demonstrations, and all rise with k.
    """

    points: Mapping[str, tuple[float, float]]
    rho: float


@by_key
def across_conditions(
    recordings: Mapping[str, Recording],
    measure: str,
    score: str,
    measuring: Measuring | None = None,
) -> list[ConditionPoints]:
    """Each condition's mean of a measure in every column (layer, or block), against its mean score.

    Conditions without a value are left out.

    Raises
    ------
    AnalysisError: an unknown measure, score, hypothesis or label.
    """
    kind, measuring = asked(measure, measuring)
    scored = {label: one for label, one in recordings.items() if score in one.scores}
    scores = {label: float(mean_of_known(np.asarray(one.scores[score], float))) for label, one in scored.items()}
    means = {
        label: mean_of_known(kind.of_items(one, measuring, np.arange(one.n_items))) for label, one in scored.items()
    }
    n_columns = min((len(of_layers) for of_layers in means.values()), default=0)
    return [
        _condition_points({label: (float(means[label][column]), scores[label]) for label in scored})
        for column in range(n_columns)
    ]


def _condition_points(means: Mapping[str, tuple[float, float]]) -> ConditionPoints:
    points = {label: point for label, point in means.items() if np.isfinite(point).all()}
    values = np.array(list(points.values())).reshape(-1, 2)
    varied = len(values) > 2 and bool((np.ptp(values, axis=0) > 0).all())
    return ConditionPoints(points, float(spearmanr(*values.T).statistic) if varied else float("nan"))
