"""How fast the dashboard is, in a real browser on the same cores: what a reader waits for, median of 20.

    layer        from the key press on the layer's slider until Plotly has drawn the new matrices
    page         from the click on a page's name until its last figure is drawn, all answers known
    first paint  from the start of the command until the page's title stands in the browser
    memory       of the page process after every page was opened, and ten runs on those that hold the most

Once with the demo model's comparison, and once with synthetic recordings of 80 blocks, 64 heads and 256 items: the
texts of a tiny model, with random embeddings and attention. `python -m benchmarks.dashboard` prints the table;
`--write FILE` also puts it into that file, between its marks. `--cache FOLDER` keeps the recordings for another time.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import psutil
from playwright.sync_api import sync_playwright

import iclviz
from iclviz.models.presets import DEMO_MODEL
from iclviz.recording import Recording
from iclviz.reporting.figure_files import browser
from iclviz.resolve import Resolved, resolve
from iclviz.spans import ROLES
from iclviz.spec import Demonstrations, RunSpec
from iclviz.store import Store
from tests.browser.dashboard import BUSY, SIZE, free_port, page_link, settled, show_menu

ROUNDS, SEEDS = 20, 5
FIRST_LAYER = 3
OPTIONS = {"distractor": True}
LAYERS, HEADS, WIDTH = 80, 64, 1024
"""Of the large model."""
PAGES = ("Summary", "Compare", "Behaviour", "RSA", "Probing", "Attention")
HEAVIEST = ("Prompts", "RSA", "Attention")
"""Pages that hold the most of a recording."""

LIMITS = {"layer": 300, "page": 1000, "first paint": 3000, "memory": 500}
"""What is asked, in ms and MB; a large model may take twice that."""

MARKS = ("<!-- dashboard -->", "<!-- /dashboard -->")

DRAWN = """
title => new Promise(resolve => {
  let start = null;
  window.addEventListener('keydown', event => { start = start ?? performance.now(); }, {once: true, capture: true});
  const check = () => {
    const shown = document.querySelector('.js-plotly-plot .gtitle-subtitle')?.textContent ?? '';
    if (start !== null && shown.startsWith(title)) requestAnimationFrame(() => resolve(performance.now() - start));
    else requestAnimationFrame(check);
  };
  check();
})
"""
"""Milliseconds from the next key press until the first figure's subtitle begins so, and the frame is painted."""


@dataclass(frozen=True)
class Subject:
    """What is opened: its name, its choices in the link, and how many times the limits it may take."""

    name: str
    link: dict[str, Any]
    factor: int


def random_model(folder: Path, n_layers: int, n_heads: int) -> str:
    """A random model of so many layers and heads with the demo model's tokenizer; its folder."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from iclviz.models.locating import locate

    if not folder.exists():
        tokenizer = AutoTokenizer.from_pretrained(locate(DEMO_MODEL).path)
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=4 * n_heads, intermediate_size=64, num_hidden_layers=n_layers,
            num_attention_heads=n_heads, num_key_value_heads=n_heads, max_position_embeddings=2048,
            tie_word_embeddings=True,
        )  # fmt: skip
        LlamaForCausalLM(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return str(folder)


def specs(subject: Subject) -> list[RunSpec]:
    """A and B under every demonstration seed."""
    model, n_items = subject.link["a_model"], subject.link["items"]
    shown = [Demonstrations("correct", subject.link[f"{side}_k"], seed) for seed in range(SEEDS) for side in "ab"]
    return [RunSpec(model, "linear_regression", one, n_items, 0, OPTIONS) for one in shown]


def record(subject: Subject, cache: Path) -> None:
    """Record the subject's conditions; those of the large model are of a small one's texts and of random numbers."""
    if subject.link["a_model"] == DEMO_MODEL:
        iclviz.sweep(specs(subject))
        return
    store, small = Store(cache), random_model(cache / "small-model", 1, 2)
    for spec in specs(subject):
        resolved = resolve(spec, store.memo)
        if resolved.key not in store:
            texts = iclviz.sweep([spec.with_(model=small)])[0]
            store.save(replace(texts, **large(texts, resolved)), resolved.task.primary.score)


def large(texts: Recording, resolved: Resolved) -> dict[str, Any]:
    """The fields in which a large model's recording differs from a small one's."""
    rng, (n, n_layers, n_heads) = np.random.default_rng(0), (texts.n_items, LAYERS, HEADS)
    shares = {
        table: rng.dirichlet(np.ones(len(ROLES)), size=(n, n_layers, n_heads)).astype(np.float32)
        for table in ("attention", "attention_last")
    }
    there = {role: (texts.span_lengths[role] > 0)[:, None, None] for role in ROLES}
    return {
        "spec": resolved.spec,
        "key": resolved.key,
        "embeddings": {name: rng.normal(size=(n, n_layers + 1, WIDTH)).astype(np.float32) for name in texts.embeddings},
        **{
            table: {role: values[..., place] * there[role] for place, role in enumerate(ROLES)}
            for table, values in shares.items()
        },
    }


@contextmanager
def dashboard(
    cache: Path, folder: Path | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[tuple[str, psutil.Process, float]]:
    """The dashboard as `make run` starts it where all is installed: its address, its page process, when it began.

    folder: the checkout it is started in; settings: further variables of its environment.
    """
    port, began = free_port(), time.perf_counter()
    command = [sys.executable, "-m", "iclviz", "dashboard", "--port", str(port)]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **(settings or {}), "ICLVIZ_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        while "iclviz is ready" not in process.stdout.readline():
            assert process.poll() is None, "the dashboard ended before it was ready"
        pages = next(one for one in psutil.Process(process.pid).children() if "iclviz.ui.server" in one.cmdline())
        yield f"http://localhost:{port}", pages, began
    finally:
        process.terminate()
        process.wait(60)


def first_paints(chromium: Any, cache: Path) -> list[float]:
    """Milliseconds from the start of the command until the title stands in the browser."""
    found = []
    for _ in range(ROUNDS):
        with dashboard(cache) as (address, _, began):
            found.append(first_paint(chromium, address, began))
    return found


def first_paint(chromium: Any, address: str, began: float) -> float:
    """Milliseconds from when a dashboard's command began until the title stands in the browser."""
    page = chromium.new_context(viewport=SIZE).new_page()
    page.goto(address)
    page.wait_for_selector("h1")
    taken = 1000 * (time.perf_counter() - began)
    page.context.close()
    return taken


def layer_changes(page: Any, address: str, subject: Subject) -> list[float]:
    """Milliseconds from a key on the layer's slider to the matrices of the next layer."""
    opened(page, address, "rsa", {**subject.link, "layer": FIRST_LAYER})
    return [layer_change(page, FIRST_LAYER + turn) for turn in range(1, ROUNDS + 1)]


def layer_change(page: Any, layer: int) -> float:
    """The same of one key, which leads to that layer."""
    slider = page.get_by_role("slider", name="Layer").first
    slider.focus()
    page.evaluate(f"() => {{ window.drawn = ({DRAWN})('Layer {layer},'); }}")
    slider.press("ArrowRight")
    taken = float(page.evaluate("() => window.drawn"))
    page.wait_for_timeout(300)
    return taken


def page_changes(page: Any, address: str, subject: Subject) -> dict[str, list[float]]:
    """Milliseconds from the click on a page's name until its figures are drawn."""
    for name in PAGES:
        opened(page, address, name.lower(), subject.link)
    found: dict[str, list[float]] = {name: [] for name in PAGES}
    for _ in range(ROUNDS):
        for name in PAGES:
            show_menu(page, name)
            found[name].append(page_change(page, name, page_link(page, name)))
    return found


def page_change(page: Any, name: str, link: Any) -> float:
    """The same of one click on a link: no mouse moves there, for which Playwright waits until menus stand still."""
    start = time.perf_counter()
    link.dispatch_event("click")
    page.wait_for_function(SHOWN, arg=[name, BUSY], polling="raf")
    taken = 1000 * (time.perf_counter() - start)
    page.wait_for_timeout(200)
    return taken


SHOWN = """
([name, busy]) => document.querySelector('h1')?.textContent.startsWith(name) && !document.querySelector(busy)
  && document.querySelector('.stMain .js-plotly-plot .main-svg') && !document.querySelector('[data-stale="true"]')
"""


def opened(page: Any, address: str, name: str, link: dict[str, Any]) -> None:
    """Open a page by its link and wait for every answer."""
    page.goto(f"{address}/{name}?{urlencode(link)}")
    settled(page, longest=1200)


def memory(page: Any, address: str, subject: Subject, pages: psutil.Process) -> float:
    """MB of the page process after every page was opened, and ten runs, A and B of five seeds, on the heaviest ones."""
    for seed in range(SEEDS):
        for name in HEAVIEST:
            opened(page, address, name.lower(), {**subject.link, "a_seed": seed, "b_seed": seed})
    return float(pages.memory_info().rss / 1e6)


def measured(chromium: Any, cache: Path, subject: Subject) -> Iterator[tuple[str, float, int]]:
    """What, how long or large, and what is asked."""
    with dashboard(cache) as (address, pages, _):
        page = chromium.new_context(viewport=SIZE).new_page()
        yield "layer", statistics.median(layer_changes(page, address, subject)), LIMITS["layer"]
        for name, times in page_changes(page, address, subject).items():
            yield f"page {name}", statistics.median(times), LIMITS["page"]
        yield "memory", memory(page, address, subject, pages), LIMITS["memory"]
        page.context.close()


def rows(cache: Path) -> Iterator[str]:
    """The table, line by line."""
    demo = {"a_model": DEMO_MODEL, "b_model": DEMO_MODEL, "items": 32, "a_k": 2, "b_k": 16}
    big = random_model(cache / "large-model", LAYERS, HEADS)
    subjects = (
        Subject("demo model, 30 blocks x 9 heads, 32 items", demo, 1),
        Subject(
            f"synthetic, {LAYERS} blocks x {HEADS} heads, 256 items",
            {**demo, "a_model": big, "b_model": big, "items": 256},
            2,
        ),
    )
    for subject in subjects:
        record(subject, cache)
    yield "| what is opened | what is waited for | measured | asked |"
    yield "| --- | --- | --- | --- |"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox"])
        paint = statistics.median(first_paints(chromium, cache))
        yield f"| any | first paint | {paint:,.0f} ms | {LIMITS['first paint']:,} ms |"
        for subject in subjects:
            for what, value, limit in measured(chromium, cache, subject):
                unit = "MB" if what == "memory" else "ms"
                yield f"| {subject.name} | {what} | {value:,.0f} {unit} | {limit * subject.factor:,} {unit} |"


def write(path: Path, lines: Sequence[str], marks: tuple[str, str] = MARKS) -> None:
    """Put the table into a document, between its marks."""
    start, end = marks
    text = path.read_text(encoding="utf-8")
    before, rest = text.split(start)
    path.write_text(f"{before}{start}\n{chr(10).join(lines)}\n{end}{rest.split(end)[1]}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--write", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        cache = asked.cache or Path(scratch, "cache")
        os.environ["ICLVIZ_CACHE"] = str(cache)
        lines = []
        for line in rows(cache):
            print(line, flush=True)
            lines.append(line)
    if asked.write:
        write(asked.write, lines)


if __name__ == "__main__":
    main()
