"""Alignment the slow, obvious way: pair by pair, and from resamples that are really built."""

import numpy as np
from scipy import stats


def cosine_rsm(x, center=True):
    if center:
        x = x - x.mean(axis=0)
    n = len(x)
    return np.array([[x[i] @ x[j] / np.sqrt((x[i] @ x[i]) * (x[j] @ x[j])) for j in range(n)] for i in range(n)])


def tau_a(a, b):
    m = len(a)
    signs = [np.sign(a[i] - a[j]) * np.sign(b[i] - b[j]) for i in range(m) for j in range(i)]
    return sum(signs) / (m * (m - 1) / 2)


def rho_a(a, b):
    """Expected Spearman's rho when ties are broken at random, from its definition through midranks."""
    m = len(a)
    ranks = stats.rankdata(a) * stats.rankdata(b)
    return 12 * ranks.sum() / (m**3 - m) - 3 * (m + 1) / (m - 1)


CORRELATIONS = {
    "spearman": lambda a, b: stats.spearmanr(a, b).statistic,
    "pearson": lambda a, b: stats.pearsonr(a, b).statistic,
    "tau-a": tau_a,
    "rho-a": rho_a,
}


def correlate(pairs, method):
    a, b = np.array([pair for pair in pairs if np.isfinite(pair).all()]).T
    return CORRELATIONS[method](a, b)


def alignment(rsm, hypothesis, method="spearman"):
    n = len(rsm)
    return correlate([(rsm[i, j], hypothesis[i, j]) for i in range(n) for j in range(i)], method)


def resampled_alignment(rsm, hypothesis, groups, draw, method):
    """The alignment when these groups were drawn, each copy a group of its own; pairs of two copies are left out."""
    names = np.unique(groups)
    copies = [(copy, item) for copy, unit in enumerate(draw) for item in np.flatnonzero(groups == names[unit])]
    pairs = [
        (rsm[i, j], hypothesis[i, j])
        for second, (copy_j, j) in enumerate(copies)
        for copy_i, i in copies[:second]
        if copy_i == copy_j or draw[copy_i] != draw[copy_j]
    ]
    return correlate(pairs, method)
