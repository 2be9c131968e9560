"""Small results of every kind, as analyses give them, and each figure drawn from them."""

from dataclasses import replace

import numpy as np

from iclviz.analysis.attention import LogRatioSummary
from iclviz.analysis.behaviour import ScoreSummary
from iclviz.analysis.probing import Probe
from iclviz.analysis.rsa import AlignmentTest
from iclviz.figures import FIGURES
from iclviz.spans import ROLES

A, B = "A: no demonstrations", "B: 8 correct"


def score(mean=1.0, seed=0, n=24):
    values = np.random.default_rng(seed).normal(mean, 0.4, size=n)
    ids = tuple(f"item-{i}" for i in range(n))
    return ScoreSummary("main", mean, mean - 0.2, mean + 0.2, n, 2, 8, False, values, ids)


def alignment_result(peak=0.4, n_layers=13, reason=None, **fields):
    estimate = peak * np.sin(np.linspace(0, 3, n_layers))
    estimate[0] = np.nan
    p = np.where(estimate > 0.2, 0.01, 0.4)
    p[0] = np.nan
    test = AlignmentTest(
        estimate=estimate,
        low=estimate - 0.1,
        high=estimate + 0.1,
        null_mean=np.full(n_layers, np.nan if reason else 0.07),
        p=p,
        p_corrected=p,
        p_fdr=p,
        n_permutations=1000,
        n_bootstrap=1000,
        n_units=16,
        unit="groups",
        method="spearman",
        reason=reason,
        missing={0: "all items have the same embedding, but for rounding"},
    )
    return replace(test, **fields)


def probe_result(peak=0.5, n_layers=13, **fields):
    rise = peak * np.sin(np.linspace(0, 3, n_layers))
    p = np.where(rise > 0.2, 0.01, 0.4)
    s = 0.25 + rise
    result = Probe(
        measure="balanced accuracy",
        score=s,
        low=s - 0.1,
        high=s + 0.1,
        accuracy=s + 0.02,
        least_squares=s - 0.03,
        chance=np.full(n_layers, 0.25),
        p=p,
        p_corrected=p,
        p_fdr=p,
        n_permutations=1000,
        n_units=16,
        n_folds=5,
        n_classes=4,
        unit="groups",
        reason=None,
        missing={},
    )
    return replace(result, **fields)


def log_ratio(*shape, seed=0, shift=0.5):
    mean = np.random.default_rng(seed).normal(shift, 0.5, size=shape)
    return LogRatioSummary(mean, mean - 0.2, mean + 0.2, np.full(shape, 24), 8)


def similarities(n=24, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, 10)) + 2 * np.eye(10)[np.arange(n) % 4]
    x -= x.mean(axis=0)
    return np.corrcoef(x)


def split(n_layers=12, seed=0):
    shares = np.random.default_rng(seed).dirichlet([8, 1, 2, 2, 1, 1, 2], size=n_layers)
    return {role: shares[:, place] for place, role in enumerate(ROLES)}


GROUPS = np.arange(24) % 4

DRAWN = {
    "score-by-condition": lambda draw: draw({A: score(0.5), B: score(1.2, 1)}, score="Closeness", unit="decades"),
    "score-over-k": lambda draw: draw(
        {
            "correct": {k: score(0.3 + 0.1 * k) for k in (0, 2, 4, 8)},
            "shuffled": {k: score(0.3 + 0.02 * k) for k in (0, 2, 4, 8)},
        },
        score="Closeness",
    ),
    "score-distribution": lambda draw: draw({A: score(0.5), B: score(1.2, 1)}, score="Closeness", unit="decades"),
    "similarity-matrices": lambda draw: draw(
        {A: similarities(seed=0), B: similarities(seed=1)},
        (GROUPS[:, None] == GROUPS[None, :]).astype(float),
        item_ids=[f"item-{i}" for i in range(24)],
        groups=np.array(["flat", "rising", "steep", "falling"])[GROUPS],
        hypothesis_title="Same slope",
        group_title="slope",
        layer=7,
    ),
    "alignment-by-layer": lambda draw: draw(
        {A: alignment_result(0.1), B: alignment_result(0.6)}, hypothesis="same slope"
    ),
    "probe-by-layer": lambda draw: draw({A: probe_result(0.1), B: probe_result(0.6)}, label="slope"),
    "attention-ratio-by-layer": lambda draw: draw({A: log_ratio(12), B: log_ratio(12, seed=1, shift=1.0)}),
    "attention-ratio-by-head": lambda draw: draw({A: log_ratio(12, 9), B: log_ratio(12, 9, seed=1)}),
    "attention-split": lambda draw: draw({A: split(seed=0), B: split(seed=1)}),
}


def drawn(name):
    return DRAWN[name](FIGURES[name])
