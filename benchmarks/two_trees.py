"""Recording and the dashboard of this checkout beside those of another one, interleaved in one run.

    recording    CPU seconds of one run of reading comprehension (32 items, k = 8) with the demo model, in a process of
                 its own each time, after a small run that loads what is to be loaded
    first paint  from the start of the command until the page's title stands in the browser
    layer        from the key press on the layer's slider until Plotly has drawn the new matrices
    page         from the click on a page's name until its last figure is drawn, all answers known

Each is the median over rounds, and the trees take turns. `python -m benchmarks.two_trees ../before` prints the table;
the other checkout runs in this one's environment, with a cache of its own.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from benchmarks.dashboard import (
    FIRST_LAYER,
    OPTIONS,
    PAGES,
    ROUNDS,
    dashboard,
    first_paint,
    layer_change,
    opened,
    page_change,
)
from iclviz.models.presets import DEMO_MODEL
from iclviz.reporting.figure_files import browser
from tests.browser.dashboard import SIZE, page_link, show_menu

STARTS, RECORDINGS = 6, 5
LINK = {
    "a_model": DEMO_MODEL, "b_model": DEMO_MODEL, "items": 32, "a_k": 2, "b_k": 16, "a_kind": "correct",
    "b_kind": "correct", "a_task": "linear_regression", "b_task": "linear_regression",
    "options": json.dumps({"linear_regression": OPTIONS}),
}  # fmt: skip
RECORD = f"""
import time, iclviz
shown = lambda k: iclviz.Demonstrations("correct", k)
iclviz.run({DEMO_MODEL!r}, "reading_comprehension", shown(1), 4)
start = time.process_time()
iclviz.run({DEMO_MODEL!r}, "reading_comprehension", shown(8), 32)
print(time.process_time() - start)
"""
PREPARE = f"""
import iclviz
iclviz.sweep([iclviz.RunSpec({DEMO_MODEL!r}, "linear_regression", iclviz.Demonstrations("correct", k), 32, 0, {OPTIONS})
              for k in (2, 16)])
"""


@dataclass
class Tree:
    """A checkout, and where what it records lies."""

    name: str
    folder: Path
    cache: Path
    taken: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def settings(self) -> dict[str, str]:
        """Of its processes, which import its code and nothing of the other's."""
        return {"PYTHONPATH": str(self.folder), "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}

    def script(self, text: str, cache: Path) -> str:
        """What a script prints."""
        environment = {**os.environ, **self.settings, "ICLVIZ_CACHE": str(cache)}
        command = [sys.executable, "-c", text]
        return subprocess.run(
            command, cwd=self.folder, env=environment, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    def dashboard(self) -> AbstractContextManager[tuple[str, Any, float]]:
        """Its dashboard, as the benchmark of one has it."""
        return dashboard(self.cache, self.folder, self.settings)


def time_recording(trees: list[Tree]) -> None:
    """One run in each tree in turn, each into an empty cache."""
    for _ in range(RECORDINGS):
        for tree in trees:
            with tempfile.TemporaryDirectory() as cache:
                tree.taken["recording"].append(float(tree.script(RECORD, Path(cache))))


def time_first_paint(trees: list[Tree], chromium: Any) -> None:
    """The start of each tree's dashboard in turn."""
    for _ in range(STARTS):
        for tree in trees:
            with tree.dashboard() as (address, _, began):
                tree.taken["first paint"].append(first_paint(chromium, address, began))


def time_layers(trees: list[Tree], shown: Mapping[str, Any], addresses: Mapping[str, str]) -> None:
    """Key presses on the slider of each tree's RSA page in turn."""
    for tree in trees:
        opened(shown[tree.name], addresses[tree.name], "rsa", {**LINK, "layer": FIRST_LAYER})
    for layer in range(FIRST_LAYER + 1, FIRST_LAYER + 1 + ROUNDS):
        for tree in trees:
            tree.taken["layer"].append(layer_change(shown[tree.name], layer))


def time_pages(trees: list[Tree], shown: Mapping[str, Any]) -> None:
    """Clicks on pages' names, in a menu or in a row of links, of each tree in turn."""
    for _ in range(ROUNDS):
        for name in PAGES:
            for tree in trees:
                page = shown[tree.name]
                link = page.get_by_role("link", name=name, exact=True)
                if not link.count() or not link.first.is_visible():
                    show_menu(page, name)
                    link = page_link(page, name)
                tree.taken[f"page {name}"].append(page_change(page, name, link.first))


def time_dashboards(trees: list[Tree]) -> None:
    """What a reader waits for in each tree's dashboard."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox"])
        time_first_paint(trees, chromium)
        ours, theirs = trees
        with ours.dashboard() as (one, *_), theirs.dashboard() as (other, *_):
            addresses = {ours.name: one, theirs.name: other}
            shown = {tree.name: chromium.new_context(viewport=SIZE).new_page() for tree in trees}
            for tree in trees:
                for name in PAGES:
                    opened(shown[tree.name], addresses[tree.name], name.lower(), LINK)
            time_layers(trees, shown, addresses)
            time_pages(trees, shown)
        chromium.close()


def table(ours: Tree, theirs: Tree) -> str:
    """Medians and their ratio, a row for each thing that was timed."""
    rows = ["| what | before | now | now / before |", "| --- | --- | --- | --- |"]
    for what, taken in ours.taken.items():
        now, before = statistics.median(taken), statistics.median(theirs.taken[what])
        unit, digits = ("s", 2) if what == "recording" else ("ms", 0)
        rows.append(f"| {what} | {before:,.{digits}f} {unit} | {now:,.{digits}f} {unit} | {now / before:.2f} |")
    return "\n".join(rows)


def main() -> None:
    """Time both trees and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="the other checkout, with the demo model in it")
    before = parser.parse_args().before.resolve()
    with tempfile.TemporaryDirectory() as caches:
        trees = [
            Tree(name, folder, Path(caches) / name)
            for name, folder in (("now", Path(__file__).resolve().parents[1]), ("before", before))
        ]
        for tree in trees:
            tree.script(PREPARE, tree.cache)
        time_recording(trees)
        time_dashboards(trees)
        print(table(*trees))


if __name__ == "__main__":
    main()
