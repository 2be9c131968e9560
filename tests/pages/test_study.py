import time
import zipfile
from pathlib import Path

import streamlit as st

import iclviz
from iclviz.jobs.queue import Queue
from iclviz.store import Store
from iclviz.studies import keep
from iclviz.study import study
from iclviz.ui.saving_comparison import _makings
from tests.pages.conftest import charts, labels, opened, pressed, said, text


def asked(recorded, **more):
    return study(
        {
            "study": "small",
            "models": [recorded["a_model"]],
            "tasks": {"reading": {"task": "reading_comprehension", "n_items": 8, "max_new_tokens": 1}},
            "conditions": {"none": {"kind": "none"}, "correct": {"kind": "correct", "k": [1, 2]}},
            **more,
        }
    )


def test_without_a_study_it_says_how_to_write_one(recorded):
    test = opened("study", recorded)
    assert not test.exception
    assert "No study has been started" in said(test)
    assert "iclviz study FILE.yaml --dry-run" in text(test)


def test_it_shows_the_grid_as_it_fills_and_asks_for_the_rest(recorded):
    of = asked(recorded)
    keep(of, Store())
    iclviz.run_spec(of.cells[0].spec)
    test = opened("study", recorded)
    assert not test.exception
    assert "1 of 3" in text(test)
    (shown,) = test.dataframe
    assert shown.value.loc["correct, k = 2", "reading"].startswith("–")
    pressed(test, "Run what is missing")
    assert len([job for job in Queue(Store()).jobs() if job.is_open]) == 2


def test_two_conditions_are_opened_as_a_and_b(recorded, monkeypatch):
    opened_pages = []
    monkeypatch.setattr(st, "switch_page", lambda path: opened_pages.append(Path(path).stem))
    iclviz.run_study(asked(recorded), progress=False)
    test = opened("study", recorded)
    assert not test.exception
    assert len(charts(test)) == 1
    pressed(test, "Open as A and B")
    assert not test.exception
    assert opened_pages == ["summary"]


def test_hidden_conditions_are_numbers_until_all_is_there(recorded):
    of = asked(recorded, hidden=True)
    keep(of, Store())
    iclviz.run_spec(of.cells[0].spec)
    test = opened("study", recorded)
    assert not test.exception
    (shown,) = test.dataframe
    assert sorted(shown.value.index) == ["condition 1", "condition 2", "condition 3"]
    assert "until then none can be opened" in " ".join(one.value for one in test.caption)


def test_the_comparison_that_was_meant_is_told_with_the_studys_measures(recorded):
    of = asked(recorded, primary={"a": "none", "b": "correct, k = 2"}, measures=["alignment", "attention_ratio"])
    iclviz.run_study(of, progress=False)
    test = opened("study", recorded)
    assert not test.exception
    assert any("none (A) against correct, k = 2 (B)" in one.value for one in test.subheader)
    assert "####" in text(test)
    assert "Nothing inside the model could be tested" in text(test)  # of four groups
    assert len(charts(test)) == 1 + 1 + 2


def test_the_whole_study_is_offered_as_one_file(recorded):
    of = asked(recorded)
    keep(of, Store())
    iclviz.run_spec(of.cells[0].spec)
    test = pressed(opened("study", recorded), "Save the study (ZIP)")
    assert not test.exception
    (making,) = _makings().values()
    deadline = time.monotonic() + 60
    while making.is_running and time.monotonic() < deadline:
        time.sleep(0.1)
    assert making.problem == ""
    assert [one.label for one in test.run().get("download_button")] == ["Download the study"]
    assert zipfile.ZipFile(making.file).testzip() is None
    iclviz.run_spec(of.cells[1].spec)
    assert "Save the study (ZIP)" in labels(test.run())  # it holds more now
    making.stop()
