"""Pages run by Streamlit's own test harness, over runs of a tiny model."""

import json
import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import streamlit as st
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest

import iclviz
from iclviz.answers import Answers
from iclviz.jobs.analyst import Analyst
from iclviz.jobs.executors.local import Local
from iclviz.jobs.queue import Queue
from iclviz.mapped import CONTENT
from iclviz.recorded import MANIFEST, RUN
from iclviz.resolve import resolve
from iclviz.spec import RunSpec
from iclviz.store import Store
from iclviz.tasks import task
from iclviz.ui.link_fields import defaults
from iclviz.ui.own_tasks import EXAMPLES
from iclviz.ui.page_state import EXAMPLE_BORDER

ROOT = Path(__file__).parents[2]
PAGES = ("run", "summary", "prompts", "behaviour", "rsa", "probing", "attention")
TIMEOUT = 60

OWN = "own task"
TASKS = {
    "linear_regression": {},
    "reading_comprehension": {"a_kind": "none", "a_k": 0, "b_k": 2},
    "prompt_injection": {"a_kind": "shuffled", "a_k": 1, "b_k": 1, "items": 24},
    OWN: {"a_k": 1, "b_k": 2, "items": 24},
}
"""Task -> what its comparison changes of the chosen one; the last stands for the example of a task file."""


class Nobody(Local):
    """An executor whose jobs wait; `asked` holds what was submitted."""

    asked: ClassVar[list] = []

    def submit(self, runs, asker="", tell=None):
        self.asked.append(runs)
        for key, spec in runs.items():
            self._queue.submit(spec, key, asker=asker)


@pytest.fixture(autouse=True)
def nobody(monkeypatch):
    """Pages ask for runs that nobody computes."""
    monkeypatch.setattr("iclviz.ui.jobs.executor", Nobody)
    Nobody.asked.clear()
    st.cache_data.clear()
    st.cache_resource.clear()
    return Nobody


@pytest.fixture(autouse=True)
def answers_at_once(monkeypatch):
    """Questions are answered in this process, while the page asks them; the same about the same content once.

    Recordings are read once for a test, as the analyst reads them, and anew where a test has changed them.
    """
    read = {}

    def answer(asked):
        def once(key):
            name = key, _content(asked.store, key)
            if name not in read:
                read[name] = asked.store.either(key)
            return read[name]

        kept = Answers(asked.store)._files
        questions = [job.spec for job in asked.jobs() if job.is_open]
        known = {one.digest: (one.digest, *(_content(asked.store, key) for key in one.keys)) for one in questions}
        for digest, name in known.items():
            if name in ANSWERED:
                kept.write_file(digest, BytesIO(ANSWERED[name]))
        analyst = Analyst(asked)
        monkeypatch.setattr(analyst, "_recording", once)
        while analyst.answer_next():
            pass
        for digest in known.keys() & set(kept):
            with kept.read(digest, as_file=True) as file:
                ANSWERED[known[digest]] = file.read()

    monkeypatch.setattr("iclviz.ui.answering.ensure_analyst", answer)


@pytest.fixture(autouse=True)
def nothing_beforehand(monkeypatch):
    """What a file will show is not computed by pages that are tested for something else."""
    monkeypatch.setattr("iclviz.ui.saving_comparison.prepare", lambda question: None)


@pytest.fixture(autouse=True)
def nothing_foretold(monkeypatch):
    """No process beside the page plans runs."""
    monkeypatch.setattr("iclviz.ui.foretold.Planner.answer", lambda planner, spec: None)


ANSWERED: dict = {}
"""Answers of this session, encoded, by their question and what the recordings that it asks about hold."""

RECORDED: dict = {}
"""Recordings of this session by key, in memory, each with its main score."""


def _content(store, key):
    """What tells a recording or a map from another of the same key that a test changed."""
    if store.has_map(key):
        manifest = json.loads((store.map_place(key) / CONTENT).read_text())
    else:
        manifest = json.loads((store.place(key) / MANIFEST).read_text())["checksums"]
    return str({name: sum for name, sum in manifest.items() if name != RUN})


@pytest.fixture(autouse=True)
def navigation_from_the_start(monkeypatch):
    """As the dashboard's server says it: the folder of pages is none of Streamlit's older kind."""
    begin = PagesManager.__init__

    def started(manager, *arguments, **named):
        begin(manager, *arguments, **named)
        PagesManager.uses_pages_directory = False

    monkeypatch.setattr(PagesManager, "__init__", started)


@pytest.fixture
def chosen(tiny_model):
    """Linear regression, few points against more, with the tiny model and few items."""
    lines = {"a_task": "linear_regression", "b_task": "linear_regression", "a_kind": "correct", "a_k": 2, "b_k": 4}
    return with_model({**defaults(), **lines, "items": 16, "layer": 2}, tiny_model)


@pytest.fixture(scope="session")
def long_model(tiny_model, tmp_path_factory):
    """The tiny model with a context in which documents have room."""
    return changed_model(tiny_model, tmp_path_factory.mktemp("models") / "long", max_position_embeddings=4096)


@pytest.fixture
def of_task(chosen, long_model):
    """A function: the choices that compare two conditions of a task."""

    def choices(name):
        named = task(str(EXAMPLES / "own_task.csv")).name if name == OWN else name
        return with_model({**chosen, "a_task": named, "b_task": named, **TASKS[name]}, long_model)

    return choices


def changed_model(model, folder, **config):
    """A random model like the one in a folder, with other values in its configuration."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(LlamaConfig.from_pretrained(model, **config)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(model).save_pretrained(folder)
    return folder


def with_model(chosen, model):
    """The choices with one model on both sides."""
    return {**chosen, "a_model": str(model), "b_model": str(model)}


def record(chosen, sides="ab", seeds=None, **options):
    """Run the chosen conditions, under other demonstration seeds where some are given."""
    for side in sides:
        name, kind = chosen[f"{side}_task"], chosen[f"{side}_kind"]
        examples = tuple(chosen[f"{side}_examples"].split(EXAMPLE_BORDER)) if kind == "custom" else ()
        for seed in seeds or [chosen[f"{side}_seed"]]:
            record_once(
                RunSpec(
                    chosen[f"{side}_model"],
                    name,
                    iclviz.Demonstrations(kind, chosen[f"{side}_k"], seed, examples, chosen[f"{side}_order"]),
                    chosen["items"],
                    chosen["items_seed"],
                    {**chosen["options"].get(name, {}), **options},
                )
            )


def record_once(spec):
    """Run a spec, or save what a test before this one recorded."""
    store = Store()
    key = resolve(spec, store.memo).key
    if key in store:
        return
    if key not in RECORDED:
        recording = iclviz.run_spec(spec)
        RECORDED[key] = in_memory(recording), store.summary(key).main_score
    else:
        store.save(*RECORDED[key])


def in_memory(recording):
    """A recording whose arrays do not lie in its files."""
    names = ("embeddings", "attention", "attention_last", "token_attention", "token_attention_last")
    tables = {name: {one: np.array(values) for one, values in getattr(recording, name).items()} for name in names}
    return replace(recording, **tables)


def sealed_again(entry, change):
    """A recording of the cache with what `change` does to its tables, all of them in memory."""
    store = Store()
    recording = in_memory(store.load(entry.key))
    names = ("embeddings", "attention", "attention_last", "scores")
    tables = {name: {one: np.array(values) for one, values in getattr(recording, name).items()} for name in names}
    change(**tables)
    store.delete(entry.key)
    store.save(replace(recording, **tables), entry.main_score)


def opened(page, chosen):
    """A page, run once with these choices."""
    test = AppTest.from_file(str(ROOT / "pages" / f"{page}.py"), default_timeout=TIMEOUT)
    test.session_state["choices"] = dict(chosen)
    return test.run()


def charts(test):
    """The figures on the page."""
    return test.get("plotly_chart")


def sections(test):
    """What the page offers under "Look further"."""
    return widget(test.segmented_control, "Look further").options


def looked_further(test, section):
    """The page with one of these chosen; nothing went wrong."""
    widget(test.segmented_control, "Look further").set_value(section).run()
    assert not test.exception
    assert not test.error
    return test


def pressed(test, label):
    """The page after a click on a button."""
    return widget(test.button, label).click().run()


def labels(test):
    """What the buttons say."""
    return [button.label for button in test.button]


def widget(found, label):
    """The widget of that label among some."""
    return next(one for one in found if one.label == label)


def waiting():
    """The demonstrations of the jobs that wait in the queue."""
    return sorted(
        (job.spec.demonstrations for job in Queue(Store()).jobs() if job.is_open), key=lambda one: (one.k, one.seed)
    )


def read(text):
    """A sentence as it is read: without its links to the glossary."""
    return re.sub(r"\[([^\]]+)\]\(glossary[^)]*\)", r"\1", text)


def said(test):
    """Everything that boxes on the page say."""
    return " ".join(box.value for kind in (test.error, test.warning, test.info) for box in kind)


@pytest.fixture
def recorded(of_task):
    """The choices of a comparison of few items, which are recorded."""
    chosen = {**of_task("reading_comprehension"), "items": 16}
    record(chosen)
    return chosen


def the_run(k):
    """The key of the run with so many demonstrations."""
    return next(one.key for one in iclviz.runs() if one.spec.demonstrations.k == k)


def text(test):
    """All that stands on a page as running text."""
    return " ".join(read(one.value) for one in test.markdown)
