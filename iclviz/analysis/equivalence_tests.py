"""What a change that was not found leaves open: how large it could be, and whether that is as good as none.

All rest on a change's interval: its wider side over Student's quantile is its standard error, since an interval may be
cut off at the end of a score.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from iclviz.analysis.change import Change
from iclviz.errors import AnalysisError
from iclviz.recording import Array

POWER = 0.8


@dataclass(frozen=True, eq=False)
class Equivalence:
    """Two one-sided tests (Schuirmann 1987) of a change against a bound; arrays of the change's shape.

    Attributes
    ----------
    bound: differences smaller than this count as none.
    p: of the larger of the two tests; below 0.05 the change is equivalent to none.
    low, high: the 90 % interval that lies within the bound exactly then.
    """

    bound: float
    p: Array
    low: Array
    high: Array


def _error(change: Change) -> tuple[Array, int]:
    """The standard error of a change, and its degrees of freedom, those of its groups."""
    degrees = max(change.n_units - 1, 1)
    wider = np.maximum(change.high - change.estimate, change.estimate - change.low)
    return np.asarray(wider / t.ppf(0.975, degrees)), degrees


def smallest_effect(change: Change) -> Array:
    """The size of difference that a design like this one finds, at 5 % and two-sided, in 80 % of samples."""
    error, degrees = _error(change)
    return np.asarray((t.ppf(0.975, degrees) + t.ppf(POWER, degrees)) * error)


def equivalence(change: Change, bound: float) -> Equivalence:
    """Whether a change is smaller than a bound, whatever its sign.

    Raises
    ------
    AnalysisError: a bound that is no positive number.
    """
    if not 0 < bound < np.inf:
        raise AnalysisError(f"An equivalence bound of {bound} makes no sense.", "Give a number above 0.")
    error, degrees = _error(change)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.maximum(
            t.sf((bound + change.estimate) / error, degrees), t.sf((bound - change.estimate) / error, degrees)
        )
    half = t.ppf(0.95, degrees) * error
    return Equivalence(bound, np.asarray(p), np.asarray(change.estimate - half), np.asarray(change.estimate + half))
