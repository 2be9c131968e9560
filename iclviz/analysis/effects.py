"""Effects within a condition: what items at one level of a design factor have less what those at another have.

Where a document is there with an injected and with a harmless text, its effect of injection is the difference of the
two. Each pair counts once; what pairs share (a wording) is what is independent of each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from iclviz.analysis.any_measure import held_values
from iclviz.analysis.behaviour import score_of
from iclviz.analysis.change import Change, paired_over_seeds
from iclviz.analysis.comparison import Comparison, of_comparison
from iclviz.analysis.measure import Measuring
from iclviz.analysis.paired import paired_test
from iclviz.analysis.resolution import settled
from iclviz.analysis.score_changes import least_score_change
from iclviz.contrasts import Contrast
from iclviz.errors import AnalysisError
from iclviz.recording import Array


@dataclass(frozen=True, eq=False)
class Effect:
    """An effect in A, in B, and how far it changed; each a tested mean over pairs of items.

    Attributes
    ----------
    a, b, change: arrays (K,), one a layer, or (1,) for a score.
    n: pairs of items.
    """

    a: Change
    b: Change
    change: Change
    n: int


@dataclass(frozen=True, eq=False)
class Pairs:
    """Places (D,) of items at a contrast's level, and of those at the other level that share the rest."""

    level: Array
    against: Array

    @property
    def items(self) -> Array:
        """(2 D,) all of them, in rising order."""
        return np.sort(np.concatenate([self.level, self.against]))

    def difference(self, values: Array) -> Array:
        """(..., D, K) of values (..., n, K)."""
        return np.asarray(values[..., self.level, :] - values[..., self.against, :])


def pairs_of(factors: Mapping[str, Array], contrast: Contrast) -> Pairs:
    """The pairs of items that a contrast compares.

    Raises
    ------
    AnalysisError: the items have no such factors, or no pair.
    """
    if contrast.factor not in factors or contrast.within not in factors:
        raise AnalysisError(
            f"These items have no {contrast.factor} and {contrast.within}: “{contrast.title}” has no meaning here.",
            "Record the condition again; runs of older versions did not keep it.",
        )
    level, within = (np.asarray(factors[name]) for name in (contrast.factor, contrast.within))
    places = {
        wanted: {within[place]: place for place in np.flatnonzero(level == wanted)}
        for wanted in (contrast.level, contrast.against)
    }
    both = [name for name in places[contrast.level] if name in places[contrast.against]]
    if not both:
        raise AnalysisError(f"No item has its pair for “{contrast.title}”.", "Take more items.")
    return Pairs(*(np.array([of[name] for name in both]) for of in places.values()))


@of_comparison
def score_effect(comparison: Comparison, contrast: Contrast, score: str) -> Effect:
    """The effect on a score in A and in B, and how far it changed; arrays (1,).

    Raises
    ------
    AnalysisError: a recording has no such score, or the items no such factors.
    """
    least = np.array(least_score_change(comparison, score))
    a, b = comparison.values(lambda recording, items: score_of(recording, score)[items, None])
    return _effect(comparison, contrast, (a, least), (b, least))


@of_comparison
def measure_effect(
    comparison: Comparison, contrast: Contrast, measure: str, measuring: Measuring | None = None
) -> Effect:
    """The effect on a measure of each item, by layer, in A and in B, and how far it changed.

    Raises
    ------
    AnalysisError: an unknown measure, hypothesis or label, or the items have no such factors.
    """
    return _effect(comparison, contrast, *held_values(comparison, measure, measuring))


def _effect(comparison: Comparison, contrast: Contrast, of_a: tuple[Array, Array], of_b: tuple[Array, Array]) -> Effect:
    """On what the common items have in A and in B, (S, m, K), each with the least difference that it holds."""
    pairs = pairs_of(comparison.factors, contrast)
    groups = None if comparison.groups is None else comparison.groups[pairs.level]
    a, b = (settled(pairs.difference(values), least) for values, least in (of_a, of_b))
    change = settled(b - a, np.hypot(of_a[1], of_b[1]))
    return Effect(_tested(a, groups), _tested(b, groups), _tested(change, groups), len(pairs.level))


def _tested(values: Array, groups: Array | None) -> Change:
    """The mean of (S, D, K) over pairs and seeds."""
    alike = all(np.array_equal(values[0], one, equal_nan=True) for one in values[1:])
    return paired_test(values[0], groups) if alike else paired_over_seeds(values, groups)
