"""What many jobs and recordings cost: `python -m benchmarks.scaling --write docs/scaling.md`.

Recordings are synthetic: one tiny recording whose folder is made again and again under other keys, its arrays as hard
links, its texts and its index row its own. Jobs are rows of a real queue. The last table is a simulation with the
measured costs.
"""

import argparse
import heapq
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.planning import write
from iclviz import recorded
from iclviz.disk import checksum_of, size_of
from iclviz.jobs.computing import ModelKeeper, compute
from iclviz.jobs.queue import Queue
from iclviz.jobs.table import Progress
from iclviz.models.presets import DEMO_MODEL
from iclviz.resolve import resolve
from iclviz.spec import Demonstrations, RunSpec, digest
from iclviz.store import Store
from iclviz.study import MOST_RUNS

COMMAND = "python -m benchmarks.scaling --write docs/scaling.md"
SIZES = (1_000, 10_000, 100_000)
MOST_LINKS = 50_000
"""Hard links of one file, of which file systems allow no more than some ten thousands."""

GPUS, JOBS, IN_A_SWEEP, SWEEP_SECONDS = 1_000, 1_000_000, 4, (20.0, 60.0, 300.0)


def seconds(work: Callable[[], object], times: int = 3) -> float:
    """The median time of doing something."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def spec(number: int) -> RunSpec:
    """One of many runs, four of which belong together."""
    shown = Demonstrations("correct", 1 + number % IN_A_SWEEP, number // IN_A_SWEEP)
    return RunSpec("m", "linear_regression", shown, 8)


# Recordings.


def grown(store: Store, template: Path, start: int, end: int) -> None:
    """Make recordings `start` to `end` of copies of one."""
    run = (template / recorded.RUN).read_text()
    manifest = json.loads((template / recorded.MANIFEST).read_text())
    for number in range(start, end):
        source = template.with_name(f"{template.name}-{number // MOST_LINKS}")
        if not source.exists():
            shutil.copytree(template, source)
        key = digest(["recording", number])
        folder = store.folder / "recordings" / key
        folder.mkdir(parents=True)
        for path in source.iterdir():
            if path.name not in (recorded.RUN, recorded.MANIFEST):
                os.link(path, folder / path.name)
        values = json.loads(run.replace(template.name, key))
        values["summary"]["spec"]["demonstrations"] |= {"kind": "correct", "k": 1, "seed": number}
        changed = json.dumps(values).encode()
        (folder / recorded.RUN).write_bytes(changed)
        manifest["checksums"][recorded.RUN] = checksum_of(changed)
        (folder / recorded.MANIFEST).write_text(json.dumps(manifest))


def of_recordings(template: Path, folder: Path, sizes: tuple[int, ...]) -> list[list[str]]:
    """A row for each number of recordings."""
    rows, store, there = [], Store(folder), 0
    for size in sizes:
        grown(store, template, there, size)
        there = size
        first = seconds(Store(folder).summaries, 1)
        fresh = Store(folder)
        cold = seconds(fresh.summaries, 1)
        again = seconds(fresh.summaries)
        runs = seconds(fresh.runs)
        key = fresh.summaries()[0].key
        noted = seconds(lambda: fresh.lesser(key, fresh.annotated()))  # noqa: B023
        index = size_of(folder / "index") / 1e6
        each = [first, cold, again, runs, noted]
        rows.append([f"{size:,}", *(f"{value:.3g}" for value in each), f"{index:,.0f}"])
    return rows


# Jobs.


def of_jobs(sizes: tuple[int, ...]) -> tuple[list[list[str]], list[float]]:
    """A row for each number of waiting jobs, and what handing out a sweep and ending it costs at each."""
    rows, costs = [], []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            queue = Queue(Store(folder))
            start = time.perf_counter()
            queue.submit_all({digest(["job", number]): spec(number) for number in range(size)})
            asked = (time.perf_counter() - start) / size
            first = seconds(queue.next_sweep, 1)
            jobs = queue.next_sweep()

            def hand_out() -> None:
                for job in queue.next_sweep():  # noqa: B023
                    queue.start(job.key)  # noqa: B023
                    queue.change(job.key, progress=Progress("running", 1, 8), state="queued")  # noqa: B023

            def end() -> None:
                for job in jobs:  # noqa: B023
                    queue.finish(job.key, "done")  # noqa: B023

            handed, ended = seconds(hand_out), seconds(end, 1)
            costs.append(handed + ended)
            size_mb = size_of(Path(folder)) / 1e6
            rows.append([f"{size:,}", *(f"{value:.3g}" for value in (asked, first, handed, ended)), f"{size_mb:,.0f}"])
    return rows, costs


# A thousand GPUs.


def simulated(gpus: int, sweep_seconds: float, waiting: int, cost: Callable[[int], float], seed: int = 0) -> float:
    """The share of time that GPUs work while one scheduler serves them all, in the first thousand seconds or for as
    long as anything waits; sweeps take times spread as half to twice (lognormal), and each has to be handed out and
    ended by the scheduler, one by one.
    """
    draw, clock, left = np.random.default_rng(seed), 0.0, waiting // IN_A_SWEEP
    begins, ends = [], []
    free = [0.0] * gpus
    heapq.heapify(free)
    while left and clock < 1_000:
        ready = heapq.heappop(free)
        clock = max(clock, ready) + cost(left * IN_A_SWEEP)
        begins.append(clock)
        ends.append(clock + float(sweep_seconds * draw.lognormal(0, 0.35)))
        heapq.heappush(free, ends[-1])
        left -= 1
    busy = np.minimum(ends, clock) - np.minimum(begins, clock)
    return float(busy.sum() / (gpus * clock))


def line(sizes: tuple[int, ...], costs: list[float]) -> Callable[[int], float]:
    """What serving a sweep costs with so many jobs waiting: the straight line through what was measured."""
    slope, level = np.polyfit(sizes, costs, 1)
    return lambda waiting: max(float(level + slope * waiting), min(costs))


def of_gpus(cost: Callable[[int], float], waiting: int) -> list[list[str]]:
    """A row for each number of GPUs."""
    rows = []
    for gpus in (10, 100, GPUS):
        shares = [simulated(gpus, each, waiting, cost) for each in SWEEP_SECONDS]
        rows.append([f"{gpus:,}", *(f"{share:.0%}" for share in shares)])
    return rows


def a_recording(folder: Path) -> Path:
    """A small recording of the demo model, to make others of."""
    store = Store(folder)
    run = resolve(RunSpec(DEMO_MODEL, "linear_regression", Demonstrations("correct", 1), 4))
    compute(run, store, ModelKeeper())
    return store.place(run.key)


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main() -> None:
    """Measure, and print or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="put the tables into this file")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--folder", type=Path, help="where recordings are made; a temporary folder if not given")
    arguments = parser.parse_args()
    sizes = tuple(arguments.sizes)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        template = a_recording(Path(scratch) / "template")
        recordings = of_recordings(template, Path(scratch) / "many", sizes)
    jobs, costs = of_jobs(sizes)
    cost = line(sizes, costs)
    tables = {
        "recordings": table(
            ["recordings", "first listing ever, s", "of a new process, s", "again, s", "runs of them, s",
             "notes on a new one looked for, s", "index, MB"], recordings),
        "jobs": table(
            ["waiting jobs", "asked for, s each", "first look, s", "a sweep handed out, s", "a sweep ended, s",
             "queue, MB"], jobs),
        "gpus": table(
            ["GPUs", *(f"sweeps of {each:g} s" for each in SWEEP_SECONDS)], of_gpus(cost, MOST_RUNS)),
        "million": table(
            ["waiting jobs", *(f"sweeps of {each:g} s" for each in SWEEP_SECONDS)],
            [[f"{waiting:,}", *(f"{simulated(GPUS, each, waiting, cost):.0%}" for each in SWEEP_SECONDS)]
             for waiting in (MOST_RUNS, 100_000, JOBS)]),
    }  # fmt: skip
    if arguments.write:
        write(arguments.write, tables)
    else:
        print("\n\n".join(tables.values()))


if __name__ == "__main__":
    main()
