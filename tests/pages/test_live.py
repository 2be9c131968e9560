import pytest
import streamlit as st

from iclviz.jobs.live_acting import Acting
from iclviz.jobs.queue import Queue
from iclviz.store import Store
from tests.pages.conftest import charts, labels, opened, pressed, record, said, text, widget


@pytest.fixture(autouse=True)
def answered_at_once(monkeypatch):
    """What is asked of single items is answered in this process, while the page asks."""
    acting = {}

    def answer(table):
        one = acting.setdefault(table.store.folder, Acting(table))
        while one.answer_next():
            pass

    monkeypatch.setattr("iclviz.ui.live.ensure_live", answer)


@pytest.fixture
def recorded(of_task):
    chosen = {**of_task("reading_comprehension"), "items": 8}
    record(chosen)
    return chosen


def metric(test):
    return next(one for one in test.metric if one.label.startswith("Margin"))


def test_a_knock_out_stands_there_at_once_with_what_the_model_writes(recorded):
    test = opened("live", recorded)
    assert not test.exception
    assert not test.error
    assert len(charts(test)) == 2
    assert metric(test).delta
    assert "Writes “" in text(test)
    assert "undisturbed “" in text(test)


def test_off_shows_the_item_as_it_is(recorded):
    test = opened("live", recorded)
    widget(test.toggle, "Do it").set_value(False).run()
    assert not test.exception
    assert len(charts(test)) == 1
    assert not metric(test).delta
    assert "Run it on all items" not in labels(test)


@pytest.mark.parametrize("kind", ["knock_out", "scale", "ablate", "patch", "erase"])
def test_every_kind_can_be_chosen_and_acts(recorded, kind):
    test = opened("live", recorded)
    widget(test.selectbox, "What is done").set_value(kind).run()
    assert not test.exception
    assert not test.error, [one.value for one in test.error]
    assert metric(test).value


def test_what_cannot_be_done_to_so_few_items_is_said(recorded):
    test = opened("live", recorded)
    widget(test.selectbox, "What is done").set_value("steer").run()
    assert not test.exception
    assert "do not tell" in said(test)


def test_several_are_kept_left_out_and_taken_back(recorded):
    test = opened("live", recorded)
    pressed(test, "Keep, and add another")
    assert test.session_state["choices"]["live_acts"] == "knock_out to=relevant"
    widget(test.selectbox, "What is done").set_value("ablate").run()
    pressed(test, "Keep, and add another")
    assert test.session_state["choices"]["live_acts"] == "knock_out to=relevant; ablate"
    pressed(test, "Undo")
    assert test.session_state["choices"]["live_acts"] == "knock_out to=relevant"
    dropped = next(one for one in test.button if "blind to" in one.label)
    dropped.click().run()
    assert test.session_state["choices"]["live_acts"] == ""
    assert not test.exception


def test_what_was_tried_is_listed(recorded):
    test = opened("live", recorded)
    widget(test.selectbox, "To").set_value("question").run()
    rows = test.dataframe[0].value
    assert len(rows) >= 2
    assert "question text" in rows["Done"].iloc[0]


def test_it_is_run_on_all_items_as_condition_b(recorded, monkeypatch):
    opened_pages = []
    monkeypatch.setattr(st, "switch_page", lambda path: opened_pages.append(path.stem))
    test = pressed(opened("live", recorded), "Run it on all items")
    assert not test.exception
    assert opened_pages == ["run"]
    choices = test.session_state["choices"]
    assert (choices["a_k"], choices["b_k"], choices["a_acts"], choices["b_acts"]) == (2, 2, "", "knock_out to=relevant")
    (job,) = [job for job in Queue(Store()).jobs() if job.is_open]
    assert [one.kind for one in job.spec.interventions] == ["knock_out"]


def test_a_link_brings_what_is_done_and_the_item(recorded):
    test = opened("live", {**recorded, "live_acts": "ablate layers=2 heads=1", "item": 3})
    assert not test.exception
    assert any("heads 1" in one.label or "head 1" in one.label for one in test.button)
    assert widget(test.number_input, "Item").value == 3
