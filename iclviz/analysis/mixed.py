"""A mixed model of paired differences: items are drawn, and so are the words they are made of and demonstration sets.

    difference = mean + set + word + seed + rest

Sets (the independent groups), words (labels whose values recur over sets) and seeds are random effects, so that the
mean is about other sets, other words and other demonstrations. It stands beside the paired tests, which rest on fewer
assumptions and resample sets (and seeds) alone.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from iclviz.analysis.of_pairs import score_change
from iclviz.analysis.pairs import Comparison
from iclviz.analysis.statistics import unit_codes
from iclviz.recording import Array

MOST_ROWS = 4_000
"""More differences than this take longer than anybody waits."""

_NOTHING = 1e-4
"""The share of all variance below which a part has none."""


@dataclass(frozen=True)
class MixedModel:
    """The mean difference of a mixed model.

    Attributes
    ----------
    estimate, low, high, p: with Student's distribution, of as many degrees of freedom as the fewest levels of a part
        that has variance leave.
    parts: part -> its standard deviation; "rest" is what is left.
    reason: why there is none, or None.
    """

    estimate: float
    low: float
    high: float
    p: float
    parts: Mapping[str, float]
    reason: str | None


def _absent(reason: str) -> MixedModel:
    nan = float("nan")
    return MixedModel(nan, nan, nan, nan, {}, reason)


def mixed_model(differences: Array, parts: Mapping[str, Array]) -> MixedModel:
    """The mean of differences (n,) with random effects of parts, name -> (n,) levels.

    A part of fewer than three levels, or of one level a difference, is left out. Needs statsmodels, by REML.
    """
    known = np.isfinite(differences)
    values = differences[known]
    codes = {name: unit_codes(np.asarray(levels)[known].astype(str), len(values)) for name, levels in parts.items()}
    counts = {name: int(levels.max(initial=-1)) + 1 for name, levels in codes.items()}
    codes = {name: levels for name, levels in codes.items() if 3 <= counts[name] < len(values)}
    if len(values) < 8 or not np.ptp(values):
        return _absent("differences are too few, or all the same")
    if len(values) > MOST_ROWS:
        return _absent(f"more than {MOST_ROWS:,} differences")
    if not codes:
        return _absent("no part has several levels with several differences each")
    return _fitted(values, codes)


def _fitted(values: Array, codes: Mapping[str, Array]) -> MixedModel:
    from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec  # here: it takes a second to import

    matrices = [np.eye(int(levels.max()) + 1)[levels] for levels in codes.values()]
    names = [[f"{name}{level}" for level in range(one.shape[1])] for name, one in zip(codes, matrices, strict=True)]
    spec = VCSpec(list(codes), [[one] for one in names], [[one] for one in matrices])
    model = MixedLM(values, np.ones((len(values), 1)), groups=np.zeros(len(values)), exog_vc=spec)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = model.fit(reml=True, method=["lbfgs", "bfgs"])
    except (np.linalg.LinAlgError, ValueError) as problem:
        return _absent(f"it could not be fitted ({problem})")
    error = float(np.asarray(found.bse_fe)[0])
    if not found.converged or not np.isfinite(error) or error <= 0:
        return _absent("it did not converge")
    variances = {name: float(value) for name, value in zip(codes, found.vcomp, strict=True)}
    total = sum(variances.values()) + float(found.scale)
    levels = [int(codes[name].max()) + 1 for name, variance in variances.items() if variance > _NOTHING * total]
    degrees = min(levels, default=len(values)) - 1
    estimate = float(np.asarray(found.fe_params)[0])
    half = float(t.ppf(0.975, degrees)) * error
    deviations = {**variances, "rest": float(found.scale)}
    return MixedModel(
        estimate,
        estimate - half,
        estimate + half,
        float(2 * t.sf(abs(estimate) / error, degrees)),
        {name: float(np.sqrt(max(variance, 0.0))) for name, variance in deviations.items()},
        None,
    )


def score_model(comparison: Comparison, score: str) -> MixedModel:
    """The mixed model of a score's change over sets, words and demonstration seeds."""
    change = score_change(comparison, score)
    n_seeds, n_items = change.shape
    sets = np.arange(n_items) if comparison.groups is None else comparison.groups
    parts: dict[str, Array] = {"set": np.tile(sets, n_seeds), "seed": np.repeat(np.arange(n_seeds), n_items)}
    for name, levels in _words(comparison).items():
        parts[name] = np.tile(levels, n_seeds)
    if len(np.unique(sets)) < n_items or n_seeds > 1:
        parts["item"] = np.tile(np.arange(n_items), n_seeds)
    return mixed_model(change.ravel(), parts)


def _words(comparison: Comparison) -> dict[str, Array]:
    """Labels of names whose values recur over groups: what items are made of."""
    items = comparison.items(comparison.first)
    sets = np.arange(len(items)) if comparison.groups is None else unit_codes(comparison.groups, len(items))
    found = {}
    for name, values in comparison.first.labels.items():
        levels = np.asarray(values)[items]
        if levels.dtype.kind == "f" or name in comparison.first.factors:
            continue
        codes = unit_codes(levels, len(levels))
        spread = len(np.unique(np.column_stack([codes, sets]), axis=0))
        if spread > int(codes.max()) + 1 < len(levels) // 2:
            found[name] = levels
    return found
