"""Runs a minute with 1, 2 and 4 workers on a Ray cluster of this machine, beside the worker without a cluster:
`OMP_NUM_THREADS=1 python -m benchmarks.ray_throughput --write docs/clusters.md`.

Eight sweeps, each of another demonstration seed, of two runs (demo model, reading comprehension, 32 items, k = 1 and
2), after one sweep for each worker, so that workers have started and have their model.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import iclviz
from benchmarks.planning import write
from benchmarks.scaling import table
from iclviz.jobs.executors import SETTING
from iclviz.jobs.executors.ray import ADDRESS_SETTING
from iclviz.jobs.ray_workers import CPUS_SETTING, WORKERS_SETTING
from iclviz.jobs.starting import started
from iclviz.models.presets import DEMO_MODEL
from iclviz.spec import Demonstrations, RunSpec
from iclviz.storage.named import SETTING as STORAGE_SETTING

SWEEPS, KS, N_ITEMS, WORKERS = 8, (1, 2), 32, (1, 2, 4)


def specs(seeds: range) -> list[RunSpec]:
    """Two runs for each demonstration seed."""
    return [
        RunSpec(DEMO_MODEL, "reading_comprehension", Demonstrations("correct", k, seed), N_ITEMS)
        for seed in seeds
        for k in KS
    ]


@contextmanager
def cluster(workers: int, folder: Path) -> Iterator[None]:
    """A head without processors and a node with one for each worker; workers = 0: the worker of this machine."""
    os.environ |= {"ICLVIZ_CACHE": str(folder / "cache"), SETTING: "ray" if workers else "local"}
    os.environ |= {CPUS_SETTING: "1", WORKERS_SETTING: str(workers), "RAY_USAGE_STATS_ENABLED": "0"}
    os.environ.pop(STORAGE_SETTING, None)
    made = None
    if workers:
        from ray.cluster_utils import Cluster

        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        made.add_node(num_cpus=workers)
        os.environ |= {STORAGE_SETTING: str(folder / "shared"), ADDRESS_SETTING: made.address}
    try:
        yield
    finally:
        for process in started():
            process.terminate()
            process.wait(60)
        if made is not None:
            made.shutdown()


def seconds(workers: int) -> float:
    """How long the eight sweeps take."""
    with tempfile.TemporaryDirectory() as folder, cluster(workers, Path(folder)):
        iclviz.sweep(specs(range(100, 100 + max(workers, 1))), progress=False)
        start = time.perf_counter()
        iclviz.sweep(specs(range(SWEEPS)), progress=False)
        return time.perf_counter() - start


def main() -> None:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="put the table into this file")
    arguments = parser.parse_args()
    rows, alone = [], 0.0
    for workers in (0, *WORKERS):
        taken = seconds(workers)
        alone = alone or taken
        name = f"Ray, {workers} worker{'s' if workers > 1 else ''}" if workers else "the worker of one machine"
        rate = 60 * SWEEPS * len(KS) / taken
        rows.append([name, f"{taken:.1f}", f"{rate:.0f}", f"{alone / taken:.2f}"])
        print(rows[-1], flush=True)
    made = table(["computed by", "16 runs, s", "runs a minute", "times as fast"], rows)
    if arguments.write:
        write(arguments.write, {"throughput": made})
    else:
        print(made)


if __name__ == "__main__":
    main()
