from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
import streamlit as st

from iclviz.curating import annotation, discard, discarded
from iclviz.errors import StoreError
from iclviz.jobs.queue import Queue
from iclviz.keys import key_of
from iclviz.resolve import resolve
from iclviz.spec import Demonstrations, RunSpec
from iclviz.store import Store
from iclviz.ui import runs_table
from iclviz.ui.page_state import as_text
from iclviz.ui.recorded_pairs import recorded_pairs
from tests.pages.conftest import labels, opened, pressed, record, said, widget


@pytest.fixture
def table(chosen):
    """A function: the page over two runs, the newest first, with some of them chosen."""
    record(chosen, "ab")

    def page(*places):
        test = opened("runs", chosen)
        select(test, *places)
        return test

    return page


def select(test, *places):
    """Choose rows of the table, as clicks at their left edge do."""
    test.session_state["runs"] = {"selection": {"rows": list(places), "columns": [], "cells": []}}
    test.run()
    assert not test.exception


def keys():
    return [entry.key for entry in Store().summaries()]


def test_an_empty_cache_says_where_runs_come_from(chosen):
    test = opened("runs", chosen)
    assert not test.exception
    assert "no runs yet" in said(test)


def test_every_run_is_a_row_and_so_is_a_job_that_waits(table, tiny_model):
    spec = resolve(RunSpec(str(tiny_model), "linear_regression", Demonstrations("correct", 6), 16))
    Queue(Store()).submit(spec.spec, spec.key)
    shown = table().dataframe[0].value
    assert list(shown["state"]) == ["queued", "recorded", "recorded"]
    assert list(shown["k"]) == [6, 4, 2]
    assert (shown["took"].dropna() > 0).all()


def test_words_and_values_leave_fewer_rows(table):
    test = table()
    widget(test.text_input, "Search").set_value("linear nothing-like-this").run()
    assert len(test.dataframe[0].value) == 0
    row = runs_table.runs().iloc[0]
    for shown in (f"{row['size']:.1f} MB", f"{row['recorded']:%Y-%m-%d %H:%M}", f"{row['score']:.3f}"):
        widget(test.text_input, "Search").set_value(shown).run()
        assert len(test.dataframe[0].value) >= 1, shown
    widget(test.text_input, "Search").set_value("LINEAR correct").run()
    widget(test.multiselect, "Demonstrations").set_value(["correct"]).run()
    assert len(test.dataframe[0].value) == 2


def test_two_chosen_runs_become_a_and_b_with_fewer_demonstrations_first_and_open_the_summary(table, monkeypatch):
    opened_pages = []
    monkeypatch.setattr(st, "switch_page", lambda path: opened_pages.append(Path(path).stem))
    test = pressed(table(0, 1), "Compare as A and B")
    assert not test.exception
    assert not said(test)
    assert [test.session_state["choices"][name] for name in ("a_k", "b_k")] == [2, 4]
    assert opened_pages == ["summary"]


def test_one_chosen_run_becomes_a_with_its_items_and_options(table, chosen):
    other = {**chosen, "items": 24, "options": {"linear_regression": {"noise": 1, "distractor": True}}, "a_k": 8}
    record(other, "a")
    test = pressed(table(0), "Show as A")
    assert not said(test)
    choices = test.session_state["choices"]
    assert (choices["a_k"], choices["items"], choices["b_k"]) == (8, 24, 4)
    assert choices["options"]["linear_regression"] == {"noise": 1, "distractor": True}


def test_a_run_that_the_sidebar_cannot_hold_says_so(table, chosen, tiny_model):
    import iclviz

    iclviz.run(str(tiny_model), "linear_regression", Demonstrations("correct", 3), 16, max_new_tokens=3)
    assert "cannot be shown here" in said(pressed(table(0), "Show as A"))


def test_a_name_tags_and_a_note_are_kept_and_name_the_condition(table, chosen):
    test = table(0)
    widget(test.text_input, "Name").input("Many *points*")
    widget(test.text_area, "Note").input("Distractor on.")
    pressed(test, "Save")
    newest = keys()[0]
    assert annotation(Store(), newest).name == "Many *points*"
    page = opened("behaviour", chosen)
    assert any(as_text("Many *points*") in line.value for line in page.markdown)


def test_discarding_asks_first_and_is_taken_back_at_a_click(table):
    test = table(0, 1)
    assert len(keys()) == 2
    pressed(test, "Discard")
    assert not keys()
    pressed(test, "Undo")
    assert len(keys()) == 2
    assert "Undo" not in labels(test)


def test_what_was_discarded_can_be_restored_later_or_removed_for_good(table, chosen):
    newest, oldest = keys() if keys() else (None, None)
    test = table()
    newest, oldest = keys()
    discard(Store(), newest)
    test = pressed(test.run(), "Restore all")
    assert newest in keys()
    discard(Store(), newest)
    test = pressed(test.run(), "Remove for good")
    assert not discarded(Store())
    assert keys() == [oldest]
    assert not test.exception


def test_rows_of_a_task_whose_file_is_gone_are_still_listed(chosen, table):
    table()
    store = Store()
    row = store.index[f"run:{keys()[0]}"]
    store.index[f"run:{keys()[0]}"] = {**row, "spec": {**row["spec"], "task": "gone_by_now"}}
    shown = opened("runs", chosen)
    assert not shown.exception
    assert "gone_by_now" in set(shown.dataframe[0].value["task"])


def test_what_cannot_be_read_is_named_and_removed_at_a_click(chosen, table):
    table()
    store = Store()
    damaged, *_ = keys()
    (store.place(damaged) / "run.json").write_text("{}")
    del store.index[f"run:{damaged}"]
    queue = Queue(store)
    queue._jobs["nonsense"] = {"state": 3}
    test = opened("runs", chosen)
    assert not test.exception
    assert len(test.dataframe[0].value) == 1
    assert any("damaged" in line.value and damaged in line.value for line in test.markdown)
    for _ in range(2):
        pressed(test, "Remove")
        assert not test.exception
    assert "Remove" not in labels(test)
    assert damaged not in store


def test_the_queue_that_cannot_be_opened_leaves_the_runs_to_be_discarded(chosen, table, monkeypatch):
    table()

    def full(folder):
        raise StoreError("The cache folder cannot be written (no space left).")

    monkeypatch.setattr("iclviz.ui.loading._queue", full)
    test = opened("runs", chosen)
    select(test, 0)
    pressed(test, "Discard")
    assert not test.exception
    assert len(keys()) == 1


def test_tags_are_found_one_by_one():
    import pandas as pd

    rows = pd.DataFrame({"tags": [["pilot", "old"], [], None], "task": ["a", "b", "b"]})
    assert runs_table.values_of(rows, "tags") == ["old", "pilot"]
    assert list(runs_table.filtered(rows, "", {"tags": ["old"]}).index) == [0]
    assert list(runs_table.filtered(rows, "", {"task": ["b"], "tags": []}).index) == [1, 2]


def test_a_run_that_a_sample_of_weights_told_says_so_and_is_no_choice(table, chosen):
    table()
    store = Store()
    (newest, _) = keys()
    now = store.load(newest)
    origin = replace(now.origin, model="0" * 32)
    store.save(replace(now, origin=origin, key=key_of(now.spec, origin)), store.summary(newest).main_score)
    store.delete(newest)
    test = table(0)
    assert list(test.dataframe[0].value["told"]) == ["a sample of its weights", ""]
    assert "read only a sample of its model's weights" in said(pressed(test, "Show as A"))
    assert not recorded_pairs()


def test_a_page_that_reads_large_files_of_a_model_shows_how_far_it_is(chosen, monkeypatch):
    told = []
    monkeypatch.setattr("iclviz.models.identity.SHOWN_BYTES", 1)
    monkeypatch.setattr("streamlit.progress", lambda value: Mock(progress=lambda share, text: told.append(text)))
    assert not opened("run", chosen).exception
    assert "Reading every byte of" in told[0]
