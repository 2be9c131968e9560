"""What pages tell beside their figures: each message is there where it is due, and nowhere else."""

import pytest

from iclviz.jobs.queue import Queue
from iclviz.store import Store
from tests.pages.conftest import looked_further, opened, pressed, read, record, said


def captions(test):
    """Every caption of the page."""
    return read(" ".join(one.value for one in test.caption))


@pytest.fixture
def two_tasks(chosen):
    """A and B of different tasks, with options that the tiny model has room for."""
    options = {**chosen["options"], "reading_comprehension": {"statements": 2}}
    choices = {**chosen, "b_task": "reading_comprehension", "b_kind": "none", "b_k": 0, "options": options}
    record(choices)
    return choices


DIFFERENT = {
    "behaviour": "A and B are different tasks, so their scores do not compare",
    "probing": "A and B are different tasks, so only A is shown",
    "rsa": "A and B have different items, so only A is shown",
}


@pytest.mark.parametrize("page", DIFFERENT)
def test_different_tasks_are_told_apart_and_one_task_is_not(page, two_tasks, chosen):
    assert DIFFERENT[page] in said(opened(page, two_tasks))
    record(chosen)
    assert DIFFERENT[page] not in said(opened(page, chosen))


def test_another_score_than_the_main_one_is_called_exploratory(chosen):
    record(chosen)
    assert "Exploratory: the main score" not in captions(opened("behaviour", chosen))
    assert "Exploratory: the main score" in captions(opened("behaviour", {**chosen, "score": "exact"}))


@pytest.mark.parametrize(
    ("pooling", "is_said"), [("mean", True), ("max", True), ("query_mean", False), ("last", False)]
)
def test_a_shared_beginning_is_warned_of_over_the_whole_prompt_alone(pooling, is_said, chosen):
    record(chosen)
    test = opened("rsa", {**chosen, "pooling": pooling})
    assert ("text that items share makes them alike" in said(test)) is is_said


def test_layers_that_no_figure_can_hold_are_not_played(chosen, monkeypatch):
    record(chosen)
    page = {**chosen, "played": True}
    assert "too much for one figure" not in said(opened("rsa", page))
    monkeypatch.setattr("iclviz.figures.similarity.MOST_PLAYED", 100)
    assert "too much for one figure" in said(opened("rsa", page))


def test_words_that_no_term_holds_are_said(chosen):
    test = opened("glossary", chosen)
    assert "No term holds these words" not in said(test)
    test.text_input[0].set_value("zzzz").run()
    assert "No term holds these words." in said(test)


def test_what_of_a_set_has_not_run_is_named(chosen):
    record(chosen)
    test = opened("compare", {**chosen, "vary": "k", "values": [2, 3]})
    assert "Not run yet: " in said(test)
    assert "k = 3" in said(test)
    test = opened("compare", {**chosen, "vary": "k", "values": [2, 4]})
    assert "Not run yet: " not in said(test)


def test_a_condition_of_a_set_without_a_value_is_named(of_task):
    choices = {**of_task("linear_regression"), "b_kind": "none", "b_k": 0}
    record(choices)
    test = opened("compare", {**choices, "vary": "k", "values": [0, 2]})
    assert not test.exception
    assert "no layer has a value in every run of" in said(test)


def test_simple_prompts_that_were_not_run_are_said_to_be_missing(of_task):
    choices = of_task("reading_comprehension")
    record(choices)
    test = looked_further(opened("rsa", choices), "Composite to simple")
    assert "The simple prompts of these items have not been run yet." in said(test)


def test_a_table_of_items_says_how_one_is_chosen(chosen):
    record(chosen)
    assert "The box at the left of a row opens its prompts side by side." in captions(opened("prompts", chosen))


def test_the_list_of_runs_says_how_many_there_are_and_how_to_choose(chosen):
    record(chosen)
    test = opened("runs", chosen)
    assert "2 of 2 runs · " in captions(test)
    assert "Choose rows at their left edge" in captions(test)


def test_a_job_that_is_asked_to_stop_says_so(chosen):
    queue = Queue(Store())
    test = pressed(opened("run", chosen), "Run A")
    assert "Stopping …" not in captions(test)
    (job,) = queue.jobs()
    with queue.lease(job.key):
        queue.start(job.key)
        queue.cancel(job.key)
        assert "Stopping …" in captions(opened("run", chosen))
