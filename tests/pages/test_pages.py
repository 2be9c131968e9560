import json
import subprocess
import sys

import pytest
from streamlit.testing.v1 import AppTest

from iclviz.jobs.queue import Queue
from iclviz.store import Store
from tests.pages.conftest import PAGES, ROOT, TIMEOUT, opened, record, said

FIGURES = {"behaviour": 3, "rsa": 2, "probing": 1, "attention": 3}


def charts(test):
    return test.get("plotly_chart")


@pytest.mark.parametrize("page", PAGES[1:])
def test_with_an_empty_cache_a_page_says_what_to_do(page, chosen):
    test = opened(page, chosen)
    assert not test.exception
    assert "A and B have not been run yet" in said(test)
    assert [button.label for button in test.button] == ["Run A and B"]
    assert not charts(test)


@pytest.mark.parametrize("page", PAGES[1:])
def test_with_one_condition_a_page_shows_it_and_offers_the_other(page, chosen):
    record(chosen, "a")
    test = opened(page, chosen)
    assert not test.exception
    assert "B has not been run yet" in said(test)
    assert len(charts(test)) == FIGURES.get(page, 0)


@pytest.mark.parametrize("page", PAGES)
def test_with_both_conditions_a_page_shows_everything(page, chosen):
    record(chosen)
    test = opened(page, chosen)
    assert not test.exception
    assert not test.error
    assert len(charts(test)) == FIGURES.get(page, 0)


@pytest.mark.parametrize("page", PAGES)
def test_a_wrong_model_is_one_sentence(page, chosen):
    test = opened(page, {**chosen, "a_model": "nonsense"})
    assert not test.exception
    assert "There is no model 'nonsense'" in said(test)


@pytest.mark.parametrize("page", PAGES)
def test_a_damaged_recording_is_one_sentence(page, chosen):
    record(chosen, "a")
    for path in Store().folder.glob("recordings/*/arrays.safetensors"):
        path.write_bytes(b"damaged")
    test = opened(page, chosen)
    assert not test.exception
    assert "damaged" in said(test)


@pytest.mark.parametrize("page", ["rsa", "probing", "behaviour", "attention", "prompts"])
def test_different_tasks_are_not_compared_item_by_item(page, chosen):
    other = {**chosen, "b_task": "reading_comprehension", "b_k": 1}
    record(other)
    test = opened(page, other)
    assert not test.exception
    assert not test.error


def test_every_control_of_an_analysis_redraws_its_figure(chosen):
    record(chosen)
    test = opened("rsa", chosen)
    before = charts(test)[0].proto.spec
    test.slider[0].set_value(0).run()
    assert not test.exception
    assert charts(test)[0].proto.spec != before
    test.selectbox[0].set_value("slope_similarity").run()
    assert test.session_state["choices"]["hypothesis"] == "slope_similarity"
    assert not test.exception


def test_a_ratio_that_does_not_exist_is_explained_and_the_split_shown(chosen):
    plain = {**chosen, "options": {}}
    record(plain)
    test = opened("attention", plain)
    assert "the prompt has no irrelevant tokens" in said(test)
    assert len(charts(test)) == 1


def test_running_queues_both_conditions_once_and_starts_a_worker(chosen, no_worker):
    test = opened("run", chosen)
    next(button for button in test.button if button.label == "Run both").click().run()
    assert not test.exception
    jobs = Queue(Store()).jobs()
    assert [job.spec.demonstrations.k for job in jobs] == [2, 4]
    assert no_worker
    assert all(button.disabled for button in test.button if button.label in ("Run A", "Run B", "Run both"))


def test_an_open_job_can_be_cancelled_and_tried_again(chosen):
    test = opened("run", chosen)
    next(button for button in test.button if button.label == "Run A").click().run()
    next(button for button in test.button if button.label == "Cancel").click().run()
    queue = Queue(Store())
    assert queue.jobs()[0].state == "cancelled"
    next(button for button in test.button if button.label == "Try again").click().run()
    assert queue.jobs()[0].state == "queued"


def test_a_failed_job_says_why(chosen):
    test = opened("run", chosen)
    next(button for button in test.button if button.label == "Run A").click().run()
    Queue(Store()).finish(Queue(Store()).jobs()[0].key, "failed", "The disk is full.")
    test.run()
    assert "The disk is full." in said(test)


def test_the_exact_prompt_is_shown_before_a_run(chosen):
    test = opened("run", chosen)
    shown = " ".join(html.proto.body for html in test.get("html"))
    assert "iclviz-relevant" in shown
    assert "expected answer" in " ".join(caption.value for caption in test.caption)


def test_a_context_that_is_too_short_is_said_before_a_run(chosen):
    test = opened("run", {**chosen, "b_k": 19})
    assert "reads 256" in said(test)


def test_text_from_a_model_is_escaped(chosen):
    record({**chosen, "options": {"linear_regression": {"instruction": "<script>alert(1)</script>"}}})
    test = opened("prompts", {**chosen, "options": {"linear_regression": {"instruction": "<script>alert(1)</script>"}}})
    shown = " ".join(html.proto.body for html in test.get("html"))
    assert "<script>" not in shown
    assert "&lt;" in shown


def app(**parameters):
    test = AppTest.from_file(str(ROOT / "app.py"), default_timeout=TIMEOUT)
    for name, value in parameters.items():
        test.query_params[name] = value
    return test.run()


def test_a_link_sets_every_choice_and_keeps_it(chosen):
    test = app(a_k="3", b_kind="shuffled", items="8", options=json.dumps({"linear_regression": {"noise": 2}}))
    assert not test.exception
    choices = test.session_state["choices"]
    assert (choices["a_k"], choices["b_kind"], choices["items"]) == (3, "shuffled", 8)
    assert choices["options"] == {"linear_regression": {"noise": 2}}
    assert {name: values[0] for name, values in test.query_params.items()}.keys() == {
        "a_k",
        "b_kind",
        "items",
        "options",
    }


@pytest.mark.parametrize(
    "parameters",
    [
        {"a_k": "many"},
        {"a_k": "-1"},
        {"items": "1"},
        {"items": "9" * 30},
        {"a_task": "nonsense"},
        {"b_kind": "<b>"},
        {"options": "{"},
        {"options": '{"linear_regression": {"nonsense": 1}}'},
        {"options": "[1]"},
        {"options": '{"linear_regression": 3}'},
        {"layer": "x"},
        {"style": "fancy"},
    ],
)
def test_nonsense_in_a_link_is_said_and_the_default_taken(parameters):
    test = app(**parameters)
    assert not test.exception
    assert next(iter(parameters)) in said(test)
    name = next(iter(parameters))
    from iclviz.ui.choice import DEFAULTS

    assert test.session_state["choices"][name] == DEFAULTS[name]


def test_an_unknown_model_in_a_link_is_one_sentence():
    test = app(a_model="../../etc/passwd")
    assert not test.exception
    assert "There is no" in said(test)


def test_swapping_exchanges_a_and_b():
    test = app(a_k="3")
    next(button for button in test.button if button.label == "Swap A and B").click().run()
    assert (test.session_state["choices"]["a_k"], test.session_state["choices"]["b_k"]) == (16, 3)


def test_pages_load_no_torch():
    code = f"""
import runpy, sys
sys.argv = ["app"]
from streamlit.testing.v1 import AppTest
test = AppTest.from_file({str(ROOT / "app.py")!r}, default_timeout=60).run()
assert not test.exception
for page in {PAGES!r}:
    AppTest.from_file(f"{ROOT}/pages/{{page}}.py", default_timeout=60).run()
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=120)
