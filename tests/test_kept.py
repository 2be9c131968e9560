"""What an older iclviz left on disk stays valid: recordings, a bundle, results, methods, links, a queue."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

import iclviz
from iclviz import analysis
from iclviz.analysis.measure import Measuring
from iclviz.jobs.queue import Queue
from iclviz.primary import primary_measuring
from iclviz.reporting.bundles import import_bundle
from iclviz.reporting.methods import methods
from iclviz.store import Store
from iclviz.tasks import task
from iclviz.ui import page_state

KEPT = Path(__file__).parent / "kept"
KEYS = json.loads((KEPT / "keys.json").read_text())
RESULTS = json.loads((KEPT / "results.json").read_text())
METHODS = json.loads((KEPT / "methods.json").read_text())
LINKS = json.loads((KEPT / "links.json").read_text())
PAIRS = {
    "lr": (["lr2s0"], ["lr4s0"]),
    "lr seeds": (["lr2s0", "lr2s1"], ["lr4s0", "lr4s1"]),
    "rc": (["rcn"], ["rc2"]),
    "pi": (["pi0"], ["pi1"]),
}
SHOWN = {"lr": PAIRS["lr seeds"], "rc": PAIRS["rc"], "pi": PAIRS["pi"]}


@pytest.fixture
def store(own_cache):
    """A cache that has taken the bundle in, and holds the other recordings as they lay."""
    shutil.copytree(KEPT / "recordings", own_cache / "recordings")
    store = Store()
    assert not import_bundle(store, KEPT / "bundle.zip").refused
    return store


@pytest.fixture
def runs(store):
    return {name: store.load(key) for name, key in KEYS.items()}


def largest(kept):
    """Of the numbers of an array, however it is nested."""
    if isinstance(kept, list):
        return max(map(largest, kept), default=0.0)
    return abs(kept) if isinstance(kept, float) and kept == kept else 0.0


def assert_same(found, kept, where, scale=0.0):
    """Every number of the kept result stands in the found one, under its name; the found one may hold more.

    scale: the largest number of the array. Processors round otherwise, and what a fit ends with is as exact as its
    largest values allow: its smallest ones differ in their sixth digit.
    """
    if isinstance(kept, dict) and "fields" in kept:
        for name, part in kept["fields"].items():
            assert_same(getattr(found, name), part, f"{where}, {name}")
    elif isinstance(kept, dict) and "table" in kept:
        assert len(found) == len(kept["table"]), where
        for name, part in kept["table"]:
            assert_same(found[name], part, f"{where}, {name}")
    elif isinstance(kept, dict):
        ((_, part),) = kept.items()  # an array, words, a tuple or a list
        assert_same(list(found), part, where, largest(part))
    elif isinstance(kept, list):
        assert len(found) == len(kept), where
        for place, (one, other) in enumerate(zip(found, kept, strict=True)):
            assert_same(one, other, f"{where}, {place}", scale)
    elif isinstance(kept, float):
        assert found == pytest.approx(kept, rel=1e-6, abs=max(1e-9, 1e-8 * scale), nan_ok=True), where
    else:
        assert found == kept, where


def of_run(one):
    """Name -> result, of one recording."""
    of = task(one.spec.task)
    hypothesis, label = primary_measuring(of, one).of(one)
    return {
        "alignment": analysis.recording_alignment(one, hypothesis, "query_mean", n_permutations=200),
        "probe": analysis.recording_probe(one, label, "query_mean", 50),
        "ratio": analysis.recording_log_ratio(one),
        "ratio by head": analysis.recording_log_ratio_by_head(one, rows="last"),
        "split": analysis.role_split(one),
        "score": analysis.score_summary(one, of.primary.score),
    }


def of_pair(comparison):
    """Name -> result, of A against B."""
    of = task(comparison.first.spec.task)
    how = primary_measuring(of, comparison.first)
    hypothesis, label = how.of(comparison.first)
    found = {
        "headline": analysis.headline(comparison, of.primary.score, how, of.contrast),
        "alignment change": analysis.alignment_change(comparison, hypothesis),
        "probe change": analysis.probe_change(comparison, label, n_permutations=100),
        "ratio change": analysis.log_ratio_change(comparison, how),
    }
    for measure in ("alignment", "probe", "attention_ratio"):
        found[f"measure change {measure}"] = analysis.measure_change(comparison, measure, how)
        if of.contrast:
            found[f"effect {measure}"] = analysis.measure_effect(comparison, of.contrast, measure, how)
    return found


@pytest.mark.parametrize("name", KEYS)
def test_a_recording_says_what_it_said(runs, name):
    for what, result in of_run(runs[name]).items():
        assert_same(result, RESULTS[f"{what} {name}"], f"{what} {name}")


@pytest.mark.parametrize("name", PAIRS)
def test_a_comparison_says_what_it_said(runs, name):
    comparison = analysis.compare(*([runs[one] for one in side] for side in PAIRS[name]))
    for what, result in of_pair(comparison).items():
        assert_same(result, RESULTS[f"{what} {name}"], f"{what} {name}")


@pytest.mark.parametrize("measure", ["alignment", "attention_ratio"])
def test_conditions_as_points_stand_where_they_stood(runs, measure):
    conditions = {name: runs[name] for name in ("lr2s0", "lr2s1", "lr4s0", "lr4s1")}
    how = primary_measuring(task("linear_regression"), runs["lr2s0"])
    score = next(iter(runs["lr2s0"].scores))
    found = analysis.across_conditions(conditions, measure, score, how)
    assert_same(found, RESULTS[f"conditions {measure}"], measure)


@pytest.mark.parametrize("name", METHODS)
def test_the_methods_paragraph_says_what_it_said(runs, name):
    """Measures that came later add sentences of their own."""
    recordings = [runs[one] for side in SHOWN[name] for one in side]
    found = methods(recordings).markdown
    for sentence in METHODS[name].split(". "):
        assert sentence in found


def test_every_recording_is_listed_and_whole(store):
    assert {entry.key for entry in store.summaries()} == set(KEYS.values())
    for key in KEYS.values():
        store.verify(key)


def test_the_script_of_a_bundle_draws_its_figures_again(tmp_path, own_cache):
    folder, to = tmp_path / "bundle", tmp_path / "rebuilt"
    shutil.unpack_archive(KEPT / "bundle.zip", folder)
    environment = {**os.environ, "ICLVIZ_CACHE": str(own_cache), "PYTHONPATH": str(KEPT.parents[1])}
    subprocess.run([sys.executable, "-W", "ignore", folder / "rebuild.py", to], check=True, env=environment)
    drawn = sorted(path.relative_to(folder / "figures") for path in (folder / "figures").rglob("*.csv"))
    assert drawn
    for path in drawn:
        kept, found = pd.read_csv(folder / "figures" / path), pd.read_csv(to / path)
        pd.testing.assert_frame_equal(found[list(kept)], kept, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("link", LINKS, ids=range(len(LINKS)))
def test_a_link_means_what_it_meant(monkeypatch, link):
    session = SimpleNamespace(session_state=_Session(), query_params=_Query(link["query"]))
    monkeypatch.setattr(page_state, "st", session)
    page_state.read_url()
    for name, value in link["choices"].items():
        assert page_state.page_state()[name] == value, name
    refused = session.session_state["refused"]
    assert [text.partition(" (not from ")[0] for text in refused] == link["refused"]
    specs = page_state.condition_specs()
    assert (specs.a.to_dict(), specs.b.to_dict()) == (link["a"], link["b"])


class _Session(dict):
    def __getattr__(self, name):
        return self[name]


class _Query(dict):
    def to_dict(self):
        return dict(self)


def test_a_queue_holds_its_jobs(own_cache):
    shutil.copytree(KEPT / "queue", own_cache / "queue")
    queue = Queue(Store())
    assert [(job.key[0], job.state, job.asker, job.spec.task) for job in queue.jobs()] == [
        ("1", "queued", "somebody", "linear_regression"),
        ("2", "failed", "", "reading_comprehension"),
        ("3", "done", "", "prompt_injection"),
    ]
    assert queue.get("2" * 32).error == "There is no model."
    assert queue.get("2" * 32).spec.attention_items == (1,)
    assert not queue.ailing()


def test_how_an_older_headline_measured_is_still_said_in_python():
    kept = Measuring(hypothesis="x", label="y", pooling="query_mean", metric="cosine", heads="mean", rows="last")
    assert eval(f"analysis.{kept!r}", {"analysis": analysis}) == kept
    assert iclviz.analysis.Measuring is Measuring
