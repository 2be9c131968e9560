"""How fast a permutation test over all layers is, beside rsatoolbox and a plain SciPy loop.

All ways run in one process on the same RSMs and the same permutations of whole groups, and give the same null values.
The ways:

    ours         the null of `alignment_test`: ranks or values scaled once, one matrix product
    rsatoolbox   compare() of every permuted hypothesis with every layer
    SciPy loop   spearmanr, pearsonr or kendalltau for each permutation and layer; some of them, scaled to all

`python -m benchmarks.rsa` prints the tables. Set OMP_NUM_THREADS to compare on one core.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rsatoolbox.rdm import RDMs, compare
from scipy.stats import kendalltau, pearsonr, spearmanr

from iclviz.analysis.correlations import align, pairs_of
from iclviz.analysis.hypothesis_permutations import arrangement
from iclviz.analysis.resampling import resamples
from iclviz.analysis.rsa import alignment_test, rsms
from iclviz.analysis.statistics import bootstrap_weights

Array = NDArray[Any]
PER_GROUP = 4
METHODS: dict[str, tuple[str, Callable[[Array, Array], Any] | None]] = {
    "spearman": ("spearman", spearmanr),
    "pearson": ("corr", pearsonr),
    "rho-a": ("rho-a", None),
    "tau-a": ("tau-a", kendalltau),
}
"""Our name -> rsatoolbox's, and SciPy's function where it has one."""

SLOW = {"tau-a"}


def data(n: int, n_layers: int, d: int = 64) -> tuple[Array, Array, Array]:
    """RSMs (n_layers, n, n), a hypothesis (n, n) about groups, and the groups (n,)."""
    rng = np.random.default_rng(0)
    groups = np.arange(n) // PER_GROUP
    x = rng.normal(size=(n, n_layers, d)) + rng.normal(size=(n, 1, d))[groups]
    values = rng.permutation(groups.max() + 1)[groups].astype(float)
    return rsms(x), -np.abs(np.subtract.outer(values, values)), groups


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what came out."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def null(x: Array, hypotheses: Array, method: str) -> Array:
    """(B, K) our alignments of layers' pairs with permuted hypotheses."""
    parts = np.array_split(hypotheses, max(1, len(hypotheses) // 100))
    return np.vstack([align(x, part, method) for part in parts])  # type: ignore[arg-type]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=128)
    parser.add_argument("--layers", type=int, default=33)
    parser.add_argument("--permutations", type=int, default=1000)
    asked = parser.parse_args()
    stack, hypothesis, groups = data(asked.items, asked.layers)
    places = arrangement(hypothesis, groups).places(asked.permutations, np.random.default_rng(1))
    rows, columns = np.triu_indices(asked.items, 1)
    x = pairs_of(stack).astype(float)
    h = arrangement(hypothesis, groups).matrix[places[:, rows], places[:, columns]]
    print(f"{asked.permutations:,} permutations x {asked.layers} layers x {asked.items} items; seconds, beside ours\n")
    print("| method | ours | rsatoolbox | SciPy loop | largest difference |")
    print("| --- | --- | --- | --- | --- |")
    for method, (theirs, scipy) in METHODS.items():
        part = h[: max(1, len(h) // 50)] if method in SLOW else h
        scale = len(h) / len(part)
        ours, values = timed(lambda part=part, method=method: null(x, part, method))
        few = part[: min(len(part), 100)]
        toolbox, expected = timed(lambda few=few, theirs=theirs: compare(RDMs(-few), RDMs(-x), method=theirs))
        loop = loop_seconds(x, few, scipy) * len(h) if scipy else float("nan")
        difference = np.abs(values[: len(few)] - expected).max()
        ours, toolbox = ours * scale, toolbox * len(h) / len(few)
        beside = f"{loop:.1f} ({loop / ours:.1f}x)" if scipy else "–"
        print(f"| {method} | {ours:.2f} | {toolbox:.1f} ({toolbox / ours:.1f}x) | {beside} | {difference:.0e} |")
    weights = bootstrap_weights(int(groups.max()) + 1, asked.permutations, np.random.default_rng(2))
    print(f"\n{asked.permutations:,} bootstrap resamples of groups, ranks recomputed; seconds\n")
    print("| method | ours |")
    print("| --- | --- |")
    for method in METHODS:
        some = weights[:2] if method in SLOW else weights
        seconds, _ = timed(lambda some=some, method=method: resamples(x, pairs_of(hypothesis), groups, method, some))
        print(f"| {method} | {seconds * len(weights) / len(some):.1f} |")
    whole, _ = timed(lambda: alignment_test(stack, hypothesis, groups, n_permutations=asked.permutations))
    print(f"\nThe whole of `alignment_test` (Spearman, permutations and bootstrap): {whole:.1f} s")


def loop_seconds(x: Array, h: Array, correlate: Callable[[Array, Array], Any]) -> float:
    """Seconds of one permutation over all layers in a plain loop."""
    some = h[:2]
    seconds, _ = timed(lambda: [correlate(layer, one).statistic for one in some for layer in x])
    return seconds / len(some)


if __name__ == "__main__":
    main()
