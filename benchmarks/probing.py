"""How fast probing every layer is, beside scikit-learn doing the same in all dimensions.

All ways run in one process and do the same job: the same scaling, folds, candidate strengths and inner folds, the
class that gains most, balanced accuracy. The ways:

    ours           probe, without permutations and control tasks
    ours, p        with 1,000 permutations
    ours, all      with 1,000 permutations and 5 control tasks
    scikit-learn   LogisticRegression (lbfgs) of every fold and strength, on some layers, its time scaled to all; with
                   its own tolerance, and with one that is exact enough for the same scores

`python benchmarks/probing.py` prints the table. Set OMP_NUM_THREADS to compare on one core.
"""

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from iclviz.analysis.probing import STRENGTHS, Probe, probe
from iclviz.analysis.probing.fitting import INNER_FOLDS
from iclviz.analysis.probing.folds import group_folds
from iclviz.analysis.probing.scores import class_weights

N_CLASSES = 4
PER_GROUP = 4
N_FOLDS = 5
SEED = 0
TOLERANCES = (1e-4, 1e-8)
"""scikit-learn's default, and one that tells apart classes which gain all but the same."""

OURS: dict[str, dict[str, int]] = {
    "ours": {"n_permutations": 0, "n_controls": 0},
    "ours, p": {"n_permutations": 1000, "n_controls": 0},
    "ours, all": {"n_permutations": 1000, "n_controls": 5},
}

Array = NDArray[Any]


def data(n: int, n_layers: int, d: int) -> tuple[Array, Array, Array]:
    """Embeddings (n, layers, d) in which a class is planted ever more clearly, classes and groups (n,)."""
    rng = np.random.default_rng(SEED)
    groups = np.arange(n) // PER_GROUP
    y = groups % N_CLASSES
    x = rng.normal(size=(n, n_layers, d)).astype(np.float32)
    x += 0.5 * rng.normal(size=(groups.max() + 1, 1, d))[groups]
    for layer in range(n_layers):
        x[:, layer] += 0.3 * layer / n_layers * rng.normal(size=(N_CLASSES, d))[y]
    return x, y, groups


def fitted(x: Array, y: Array, train: Array, test: Array, strength: float, tolerance: float) -> Array:
    """(s, C) held-out log-probabilities."""
    mean = x[train].mean(axis=0)
    scale = np.sqrt(((x[train] - mean) ** 2).sum(axis=1).mean())
    model = LogisticRegression(C=1 / strength, tol=tolerance, max_iter=10_000)
    model.fit((x[train] - mean) / scale, y[train])
    return np.asarray(model.predict_log_proba((x[test] - mean) / scale))


def peer_score(x: Array, y: Array, groups: Array, tolerance: float) -> float:
    """Balanced accuracy of one layer's embeddings (n, d); every class is in every training fold."""
    x = x.astype(np.float64)
    right = np.empty(len(y))
    for train, test in group_folds(groups, N_FOLDS, SEED):
        losses = np.zeros(len(STRENGTHS))
        for inner, held_out in group_folds(groups[train], INNER_FOLDS, SEED):
            for place, strength in enumerate(STRENGTHS):
                logs = fitted(x, y, train[inner], train[held_out], strength, tolerance)
                losses[place] -= logs[np.arange(len(held_out)), y[train[held_out]]].sum()
        logs = fitted(x, y, train, test, STRENGTHS[losses.argmin()], tolerance)
        right[test] = (logs - np.log(np.bincount(y[train]) / len(train))).argmax(axis=1) == y[test]
    return float((right * class_weights(y)).sum())


def peer_scores(x: Array, y: Array, groups: Array, tolerance: float) -> list[float]:
    return [peer_score(x[:, layer], y, groups, tolerance) for layer in range(x.shape[1])]


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def arguments_of() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=256, help="items")
    parser.add_argument("--layers", type=int, default=33)
    parser.add_argument("--d", type=int, default=4096, help="dimensions")
    parser.add_argument("--peer-layers", type=int, default=4, help="layers that scikit-learn probes")
    return parser.parse_args()


def main() -> None:
    asked = arguments_of()
    x, y, groups = data(asked.n, asked.layers, asked.d)
    layers = np.unique(np.linspace(0, asked.layers - 1, asked.peer_layers).astype(int))
    print(
        f"n = {asked.n}, d = {asked.d:,}, {asked.layers} layers, {N_CLASSES} classes, {N_FOLDS} folds, {INNER_FOLDS} "
        f"inner folds, {len(STRENGTHS)} strengths; scikit-learn {sklearn.__version__}, its time scaled from layers "
        f"{', '.join(map(str, layers))}; OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'unset')}.\n"
    )
    probe(x[:, :1], y, groups, n_permutations=0)
    print("| way | seconds | beside ours | largest difference of a score |\n| --- | --- | --- | --- |")
    ours: dict[str, Probe] = {}
    fastest = 0.0
    for name, options in OURS.items():
        ours[name], seconds = timed(partial(probe, x, y, groups, n_folds=N_FOLDS, seed=SEED, **options))
        fastest = fastest or seconds
        print(f"| {name} | {seconds:.1f} | {seconds / fastest:.1f} | |", flush=True)
    score = ours["ours"].score[layers]
    peers = []
    for tolerance in TOLERANCES:
        scores, seconds = timed(partial(peer_scores, x[:, layers], y, groups, tolerance))
        seconds *= asked.layers / len(layers)
        differs = np.abs(score - scores).max()
        print(
            f"| scikit-learn, {tolerance:.0e} | {seconds:.1f} | {seconds / fastest:.1f} | {differs:.2g} |", flush=True
        )
        peers.append(scores)
    print(f"\n| layer | ours | {' | '.join(f'scikit-learn, {tolerance:.0e}' for tolerance in TOLERANCES)} |")
    print("| --- | --- | --- | --- |")
    for layer, *row in zip(layers, score, *peers, strict=True):
        print(f"| {layer} | {' | '.join(f'{one:.4f}' for one in row)} |")


if __name__ == "__main__":
    main()
