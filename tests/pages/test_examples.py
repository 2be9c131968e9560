import json

import pytest

from iclviz.jobs.queue import Queue
from iclviz.store import Store
from iclviz.ui.examples import EXAMPLES
from iclviz.ui.link_fields import fields
from tests.pages.conftest import charts, labels, opened, pressed, record

STEPS = "##### See in-context learning in a small model, in three steps"


def texts(test):
    return [one.value for one in test.markdown]


def test_the_first_page_leads_in_three_steps(chosen):
    test = opened("run", chosen)
    assert STEPS in texts(test)
    assert "Run no examples against two" in labels(test)
    pressed(test, "Run no examples against two")
    assert not test.exception
    assert {job.spec.demonstrations.k for job in Queue(Store()).jobs()} == {0, 2}
    assert sum(text.startswith(":material/check_circle:") for text in texts(test)) == 1
    assert "Read the Summary" not in labels(test)


def test_once_both_are_recorded_the_last_step_leads_to_the_summary(chosen):
    test = opened("run", chosen)
    record(chosen)
    test.run()
    assert "Read the Summary" in labels(test)


def test_the_steps_can_be_closed_and_opened_again(chosen):
    test = opened("run", chosen)
    pressed(test, "Close")
    assert STEPS not in texts(test)
    pressed(test, "Show the first steps again")
    assert STEPS in texts(test)


def test_who_has_runs_is_not_led(chosen):
    record(chosen, "a")
    assert STEPS not in texts(opened("run", chosen))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one.title)
def test_every_example_is_a_comparison_that_can_be_run(example, chosen, demo_model):
    test = opened("run", chosen)
    pressed(test, f"Run {example.title[0].lower()}{example.title[1:]}")
    assert not test.exception
    assert not test.error
    assert len(Queue(Store()).jobs()) == 2
    known = fields()
    for name, value in example.choices.items():
        assert known[name].read(str(value) if not isinstance(value, dict) else "{}") is not None


def test_where_nothing_of_the_choice_is_recorded_other_comparisons_are_offered(chosen):
    record(chosen)
    test = opened("summary", {**chosen, "items": 8})
    offered = [label for label in labels(test) if " against " in label]
    assert len(offered) == 1
    pressed(test, offered[0])
    assert (test.session_state["choices"]["items"], test.session_state["choices"]["b_k"]) == (16, 4)
    assert not test.exception


@pytest.mark.parametrize("example", [one for one in EXAMPLES if one.asks], ids=lambda one: one.title)
def test_what_a_card_asks_the_first_sentence_of_its_summary_answers(example, of_task):
    choices = of_task(example.choices["b_task"])
    record(choices)
    test = opened("summary", choices)
    assert not test.exception
    first = next(text.value for text in test.markdown if text.value.startswith("#### "))
    for words in example.asks:
        assert words in example.look.lower()
        assert words in first


def test_clean_stands_beside_injected_where_an_example_says_so(of_task):
    example = next(one for one in EXAMPLES if one.page == "behaviour")
    choices = {**of_task(example.choices["b_task"]), "split": example.choices["split"]}
    record(choices)
    test = opened("behaviour", choices)
    assert not test.exception
    shown = json.loads(next(chart.proto.spec for chart in charts(test) if "outcome-counts" in chart.proto.spec))
    rows = {str(row).lower() for trace in shown["data"] for row in trace["y"]}
    assert {f"{version} · {side}" for version in ("clean", "injected", "harmless") for side in "ab"} <= rows
