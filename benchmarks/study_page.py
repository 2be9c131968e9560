"""How quick a study of many runs is: `python -m benchmarks.study_page --write docs/studies.md`.

Tiny recordings with random numbers, as many as a study of two models and two tasks has runs, are sealed in a cache of
its own, as a worker would; no model reads anything. Then the state of the study is asked for as a page does, and the
page itself is drawn by Streamlit's test harness; each is the median of several, in milliseconds.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import streamlit as st
from streamlit.testing.v1 import AppTest

import iclviz
from benchmarks.dashboard import write
from iclviz.reporting.study_bundle import drawn
from iclviz.store import Store
from iclviz.studies import Kept, keep, state_of
from iclviz.study import Study, study
from iclviz.tasks import task

PAGE = Path(__file__).parents[1] / "pages" / "study.py"
MARKS = ("<!-- quick -->", "<!-- /quick -->")
ROUNDS = 7
ROWS = (50, 200, 800)


def asked(model: str, n_runs: int) -> Study:
    """A study of about so many runs: one without demonstrations, and four conditions over seeds, in two tasks."""
    return study(
        {
            "study": f"runs-{n_runs}",
            "models": [model],
            "tasks": {name: {"task": name, "n_items": 16} for name in ("reading_comprehension", "linear_regression")},
            "conditions": {"none": {"kind": "none"}, "correct": {"kind": "correct", "k": [1, 2]},
                           "shuffled": {"kind": "shuffled", "k": [1, 2]}},
            "seeds": list(range(n_runs // 8)),
        }
    )  # fmt: skip


def fill(of: Study, store: Store) -> None:
    """Seal a recording for every run: that of the task's first, with other scores, under the run's own key."""
    made = {}
    rng = np.random.default_rng(0)
    for one in state_of(Kept(of), store).cells:
        name = one.cell.task
        if name not in made:
            made[name] = iclviz.run_spec(one.cell.spec)
        if one.resolved.key in store:
            continue
        scores = {title: rng.random(len(values)) for title, values in made[name].scores.items()}
        run = replace(
            made[name], key=one.resolved.key, spec=one.resolved.spec, origin=one.resolved.origin, scores=scores
        )
        store.save(run, task(one.resolved.spec.task).primary.score)


def taken(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Milliseconds, the median of several times."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def opened() -> AppTest:
    """The page for the first time."""
    st.cache_data.clear()
    st.cache_resource.clear()
    test = AppTest.from_file(str(PAGE), default_timeout=120).run()
    assert not test.exception, test.exception
    return test


def row(model: str, n_runs: int) -> str:
    """What one study takes."""
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["ICLVIZ_CACHE"] = scratch
        store, of = Store(), asked(model, n_runs)
        kept = keep(of, store)
        fill(of, store)
        state_of(kept, Store())
        cold = taken(lambda: state_of(kept, Store()))
        state = state_of(kept, store)
        known = [one.resolved for one in state.cells]
        warm = taken(lambda: state_of(kept, store, known))
        curves = taken(lambda: drawn(state))
        first = taken(opened, 3)
        test = opened()
        rerun = taken(test.run)
        for key in [one.resolved.key for one in state.cells][::2]:
            store.delete(key)
        half = taken(opened().run)
        cells = (f"{value:,.0f}" for value in (cold, warm, curves, first, rerun, half))
        return f"| {len(of.cells)} | {' | '.join(cells)} |"


def lines(model: str) -> Iterator[str]:
    """The table."""
    yield "| runs | state, first time | state, again | curves | page, first time | page, again | page, half missing |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for n_runs in ROWS:
        yield row(model, n_runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--write", type=Path)
    chosen = parser.parse_args()
    told = []
    for line in lines(chosen.model):
        print(line, flush=True)
        told.append(line)
    if chosen.write:
        write(chosen.write, told, MARKS)


if __name__ == "__main__":
    main()
