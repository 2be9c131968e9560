"""A mixed model of paired differences: items are drawn, and so are the words they are made of and demonstration sets.

    difference = mean + set + word + rest

Sets (the independent groups) and words (labels whose values recur over sets) are random effects of items' differences,
the mean over seeds; to the error that they leave the mean comes that of the seeds' own means. So the mean is about
other sets, other words and other demonstrations. It stands beside the paired tests, which rest on fewer assumptions and
resample sets (and seeds) alone.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import t

from iclviz.analysis.comparison import Comparison
from iclviz.analysis.score_changes import score_change
from iclviz.analysis.statistics import mean_of_known, unit_codes
from iclviz.recording import Array

MOST_ROWS = 1_000
"""More differences than this take longer than anybody waits."""

_MOST = 4.0
"""How many times the variance of all differences the parts may add up to: beyond, the fit has gone astray."""

_NOTHING = 1e-4
"""The share of all variance below which a part has none."""


@dataclass(frozen=True)
class MixedModel:
    """The mean difference of a mixed model.

    Attributes
    ----------
    estimate, low, high, p: with Student's distribution.
    error, degrees: the standard error, and as many degrees of freedom as the fewest levels of a part that has variance
        leave.
    parts: part -> its standard deviation; "rest" is what is left.
    reason: why there is none, or None.
    """

    estimate: float
    low: float
    high: float
    p: float
    error: float
    degrees: float
    parts: Mapping[str, float]
    reason: str | None


def _absent(reason: str) -> MixedModel:
    nan = float("nan")
    return MixedModel(nan, nan, nan, nan, nan, 0, {}, reason)


def mixed_model(differences: Array, parts: Mapping[str, Array], of_seeds: Array | None = None) -> MixedModel:
    """The mean of differences (n,) with random effects of parts, name -> (n,) levels, by statsmodels' REML.

    A part of fewer than three levels, or of one level a difference, is left out, and so is the smallest one where the
    fit does not converge with it.

    of_seeds: (S,) the mean of each demonstration seed, whose error is added.
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
    found = _fitted(values, codes)
    while found.reason and found.parts and len(codes) > 1:
        codes.pop(min(codes, key=lambda name: found.parts[name]))
        found = _fitted(values, codes)
    return found if of_seeds is None or len(of_seeds) < 2 or found.reason else _with_seeds(found, of_seeds)


def _with_seeds(found: MixedModel, of_seeds: Array) -> MixedModel:
    """The same with the error of the seeds' means."""
    n_seeds = len(of_seeds)
    of_mean = float(of_seeds.std(ddof=1) / np.sqrt(n_seeds))
    error = float(np.hypot(found.error, of_mean))
    degrees = error**4 / (found.error**4 / found.degrees + of_mean**4 / (n_seeds - 1))  # Satterthwaite 1946
    parts = {**found.parts, "seed": float(of_seeds.std(ddof=1))}
    return _tested(found.estimate, error, degrees, parts)


def _tested(estimate: float, error: float, degrees: float, parts: Mapping[str, float]) -> MixedModel:
    half = float(t.ppf(0.975, degrees)) * error
    p = float(2 * t.sf(abs(estimate) / error, degrees))
    return MixedModel(estimate, estimate - half, estimate + half, p, error, degrees, parts, None)


def _fitted(values: Array, codes: Mapping[str, Array]) -> MixedModel:
    from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec  # here: it takes a second to import

    matrices = [np.eye(int(levels.max()) + 1)[levels] for levels in codes.values()]
    names = [[f"{name}{level}" for level in range(one.shape[1])] for name, one in zip(codes, matrices, strict=True)]
    size = float(values.std())
    spec = VCSpec(list(codes), [[one] for one in names], [[one] for one in matrices])
    model = MixedLM(values / size, np.ones((len(values), 1)), groups=np.zeros(len(values)), exog_vc=spec)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = model.fit(reml=True, method=["bfgs", "lbfgs", "powell"])
    except (np.linalg.LinAlgError, ValueError) as problem:
        return _absent(f"it could not be fitted ({problem})")
    error, scale = size * float(np.asarray(found.bse_fe)[0]), size**2 * float(found.scale)
    variances = {name: size**2 * float(value) for name, value in zip(codes, found.vcomp, strict=True)}
    deviations = {name: float(np.sqrt(max(value, 0.0))) for name, value in variances.items()}
    total = sum(variances.values()) + scale
    if not found.converged or not np.isfinite(error) or error <= 0 or total > _MOST * size**2:
        return replace(_absent("it did not converge"), parts=deviations)
    levels = [int(codes[name].max()) + 1 for name, variance in variances.items() if variance > _NOTHING * total]
    degrees = min(levels, default=len(values)) - 1
    parts = {**deviations, "rest": float(np.sqrt(scale))}
    return _tested(size * float(np.asarray(found.fe_params)[0]), error, degrees, parts)


def score_model(comparison: Comparison, score: str) -> MixedModel:
    """The mixed model of a score's change over sets, words and demonstration seeds."""
    change = score_change(comparison, score)
    sets = np.arange(change.shape[1]) if comparison.groups is None else comparison.groups
    of_seeds = np.array([mean_of_known(one) for one in change])
    return mixed_model(mean_of_known(change), {"set": sets, **_words(comparison)}, of_seeds)


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
