"""How far off a study's dry run is: `python -m benchmarks.study_plan FILE ...` plans each study and runs it, in a cache
of its own and in one process on one thread, and prints what was foretold beside what it took.

Time is seconds of the processor without loading the model; memory is by how much the process's peak grew from the
moment before the first run; disk is what recordings and maps take. One study a process: a peak stays.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import psutil
import torch

import iclviz
from iclviz.disk import size_of
from iclviz.planning.of_study import Cost, planned
from iclviz.planning.words import duration, size
from iclviz.store import Store
from iclviz.studies import Kept, state_of
from iclviz.study import read_study


def measured(file: Path) -> tuple[Cost, Cost]:
    """What a study was foretold to take, and what it took."""
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["ICLVIZ_CACHE"] = scratch
        asked, store = read_study(file), Store()
        plan = planned(state_of(Kept(asked), store), store)
        (foretold,) = plan.models.values()
        for line in plan.unforetold:
            print(f"not foretold: {line}", file=sys.stderr)
        before, start = psutil.Process().memory_info().rss, time.process_time()
        iclviz.run_study(asked, progress=False)
        taken = time.process_time() - start
        loading = sum(store.load(one.key).timing["loading"] for one in store.summaries()[-1:])
        peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        disk = sum(size_of(Path(scratch, group)) for group in ("recordings", "maps"))
        return foretold, Cost(peak - before, disk, taken - loading)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    torch.set_num_threads(1)
    print(
        "| study | time | foretold | memory | foretold | disk | foretold |\n| --- | --- | --- | --- | --- | --- | --- |"
    )
    for file in parser.parse_args().files:
        foretold, took = measured(file)
        cells = [
            text
            for of in ((duration, "seconds"), (size, "memory"), (size, "disk"))
            for text in (of[0](getattr(took, of[1])), of[0](getattr(foretold, of[1])))
        ]
        print(f"| {file.stem} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
