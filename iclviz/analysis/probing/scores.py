"""What held-out answers are worth: of all items, by class, and of each item."""

import numpy as np
from scipy.stats import norm

from iclviz.analysis.probing.folds import Folds
from iclviz.analysis.probing.jackknife import Jackknife, interval
from iclviz.analysis.probing.labels import Label
from iclviz.analysis.probing.result import ScoreName
from iclviz.analysis.statistics import share_interval, student_stretch
from iclviz.recording import Array


def measure(label: Label) -> ScoreName:
    """What a label's scores are."""
    return "balanced accuracy" if label.classes else "R2"


def class_weights(y: Array) -> Array:
    """(n,) what each item counts for balanced accuracy: every class alike, 1 in all."""
    _, values, counts = np.unique(y, return_inverse=True, return_counts=True)
    return np.asarray(1 / (len(counts) * counts[values]))


def training_means(values: Array, folds: Folds) -> Array:
    """(n,) the mean of the values (n,) of each item's training fold."""
    means = np.empty(len(values))
    for train, test in folds:
        means[test] = values[train].mean()
    return means


def point_score(label: Label, values: Array, answers: Array, folds: Folds) -> Array:
    """(K,) balanced accuracy or R2 of answers (K, n, C) about values (n,) of this label."""
    if label.classes:
        return np.asarray(((answers.argmax(axis=2) == values) * class_weights(values)).sum(axis=1))
    total = ((values - training_means(values, folds)) ** 2).sum()
    return np.asarray(1 - ((answers[:, :, 0] - values) ** 2).sum(axis=1) / total)


def scores(label: Label, answers: Array, codes: Array, folds: Folds, jackknife: Jackknife) -> dict[str, Array]:
    """Of answers (K, n, C): score, low, high (K,), item_scores, item_evidence (n, K).

    For classes also accuracy (K,) and confusion (K, C, C). For numbers the interval is the jackknife's.
    """
    if label.classes:
        return _class_scores(label, answers, codes)
    return _number_scores(label, answers, folds, jackknife)


def _class_scores(label: Label, answers: Array, codes: Array) -> dict[str, Array]:
    y, named = label.values, answers.argmax(axis=2)
    right = (named == y).T.astype(float)
    weights = class_weights(y)[:, None]
    low, high = share_interval(right, codes, weights, _stretched(len(np.unique(codes))))
    true = answers[:, np.arange(len(y)), y].T
    return {
        "score": (right * weights).sum(axis=0),
        "low": low,
        "high": high,
        "accuracy": right.mean(axis=0),
        "item_scores": right,
        "item_evidence": np.where(np.isfinite(true), true, np.nan),
        "confusion": label.targets.T @ label.encoded(named),
    }


def _stretched(n_groups: int) -> float:
    """The level at which a normal interval is as wide as few groups ask of a 95 % one."""
    return float(1 - 2 * norm.sf(norm.ppf(0.975) * student_stretch(n_groups)))


def _number_scores(label: Label, answers: Array, folds: Folds, jackknife: Jackknife) -> dict[str, Array]:
    score = point_score(label, label.values, answers, folds)
    total = ((label.values - training_means(label.values, folds)) ** 2).mean()
    items = -((answers[:, :, 0] - label.values) ** 2).T / total
    low, high = interval(jackknife.values(score))
    return {"score": score, "low": low, "high": high, "item_scores": items, "item_evidence": items}
