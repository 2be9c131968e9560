import json
import subprocess
import sys

import pytest
from streamlit.testing.v1 import AppTest

from iclviz.errors import ModelError
from iclviz.jobs.executors import SETTING, executor
from iclviz.jobs.queue import Queue
from iclviz.jobs.table import Progress
from iclviz.spans import ROLES
from iclviz.store import Store
from iclviz.ui.link_fields import defaults
from tests.pages.conftest import (
    OWN,
    PAGES,
    ROOT,
    TASKS,
    TIMEOUT,
    changed_model,
    charts,
    labels,
    looked_further,
    opened,
    pressed,
    read,
    record,
    said,
    sections,
    waiting,
    widget,
    with_model,
)

FIGURES = {"summary": 5, "prompts": 2, "behaviour": 3, "rsa": 2, "probing": 1, "attention": 3}
SECTIONS = {
    "rsa": [
        "B minus A",
        "Right against wrong",
        "Difference map",
        "Layers side by side",
        "Items in a plane",
        "Surface removed",
        "Layer by layer",
        "Demonstration seeds",
    ],
    "probing": ["B minus A", "Right against wrong", "Selectivity", "Confusions", "Transfer", "Parameters"],
    "attention": ["B minus A", "Right against wrong", "Over items"],
}
OF_A_TASK = {
    ("rsa", "Two hypotheses"): ("linear_regression", "reading_comprehension", "prompt_injection", OWN),
    ("rsa", "Composite to simple"): ("reading_comprehension",),
    ("attention", "Relevant against not"): ("reading_comprehension", OWN),
}
"""Section of a page -> the tasks that have it, of those with one that not all have."""


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
    assert len(charts(test)) == {"summary": 0, "prompts": 1}.get(page, FIGURES.get(page, 0))


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


@pytest.mark.parametrize("page", PAGES[1:])
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
    assert "A and B: no item has points of another line." in said(test)
    assert len(charts(test)) == 3


def test_running_asks_for_both_conditions_once(chosen, nobody):
    test = opened("run", chosen)
    pressed(test, "Run both")
    assert not test.exception
    jobs = Queue(Store()).jobs()
    assert [job.spec.demonstrations.k for job in jobs] == [2, 4]
    assert nobody.asked
    assert not {"Run A", "Run B", "Run both"} & set(labels(test))
    assert "not run yet" not in said(test)  # one place tells the state: the bar


def test_a_bar_tells_tokens_and_what_is_not_foretold_tells_its_time(chosen):
    test = opened("run", chosen)
    pressed(test, "Run both")
    queue = Queue(Store())
    first, second = queue.jobs()
    queue.start(first.key)
    queue.change(first.key, progress=Progress("running", 0, 8, 120.0, 4.0, 480, 960))
    test.run()
    (a, b) = test.get("progress")
    assert (a.proto.value, b.proto.value) == (50, 0)
    assert "480 of 960 tokens · 120 tokens/s · about 4 s left" in a.proto.text
    assert a.proto.text.startswith(":blue-badge[A]")
    assert "waiting for its turn, 0 s" in b.proto.text
    assert second.state == "queued"


def test_that_both_are_recorded_is_told_once_wherever_one_reads(chosen):
    test = opened("run", chosen)
    pressed(test, "Run both")
    record(chosen)
    for job in Queue(Store()).jobs():
        Queue(Store()).finish(job.key, "done")
    test.run()
    assert [one.value for one in test.toast] == ["A and B are recorded: read the Summary."]
    test.run()
    assert not test.toast


def test_a_job_that_ends_while_a_page_is_drawn_is_seen_to_have_ended(chosen, monkeypatch):
    """What was looked at before it ended would else stay as it was, with nothing left to watch."""
    test = opened("run", chosen)
    pressed(test, "Run A")
    (job,) = Queue(Store()).jobs()
    test.session_state["open_jobs"] = [job.key]
    Queue(Store()).finish(job.key, "done")
    reruns = []
    monkeypatch.setattr("iclviz.ui.jobs.st.rerun", lambda: reruns.append(True))
    test.run()
    assert reruns


def test_an_open_job_can_be_cancelled_and_tried_again(chosen):
    test = opened("run", chosen)
    pressed(test, "Run A")
    pressed(test, "Cancel")
    queue = Queue(Store())
    assert queue.jobs()[0].state == "cancelled"
    pressed(test, "Try again")
    assert queue.jobs()[0].state == "queued"


def test_a_failed_job_says_why(chosen):
    test = opened("run", chosen)
    pressed(test, "Run A")
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
        {"first_token": "none"},
        {"template": "[1]"},
        {"template": '{"messages": 1}'},
    ],
)
def test_nonsense_in_a_link_is_said_and_the_default_taken(parameters):
    test = app(**parameters)
    assert not test.exception
    assert next(iter(parameters)) in said(test)
    name = next(iter(parameters))
    assert test.session_state["choices"][name] == defaults()[name]


def test_first_token_and_template_are_chosen_and_kept_by_the_link(chosen):
    test = opened("run", chosen)
    widget(test.segmented_control, "First token").set_value("as is").run()
    widget(test.text_input, "What the chat template reads besides the message").set_value(
        '{"enable_thinking": true}'
    ).run()
    assert not test.exception
    assert (test.session_state["choices"]["first_token"], test.session_state["choices"]["template"]) == (
        "as is",
        {"enable_thinking": True},
    )
    again = app(first_token="as is", template='{"enable_thinking":true}')
    assert again.session_state["choices"]["template"] == {"enable_thinking": True}
    pressed(test, "Run A")
    (job,) = Queue(Store()).jobs()
    assert job.spec.first_token == "as is"


def test_a_template_that_is_no_json_is_one_sentence(chosen):
    test = opened("run", chosen)
    widget(test.text_input, "What the chat template reads besides the message").set_value("{thinking").run()
    assert not test.exception
    assert "{thinking is no JSON" in said(test)
    assert test.session_state["choices"]["template"] == {}


@pytest.mark.parametrize(
    ("page", "name"),
    [
        ("rsa", "hypothesis"),
        ("rsa", "section"),
        ("probing", "label"),
        ("attention", "over"),
        ("attention", "shaded"),
        ("behaviour", "score"),
        ("compare", "vary"),
    ],
)
def test_a_choice_of_a_link_that_a_page_does_not_have_is_said_once(page, name, chosen):
    record(chosen)
    link = {field: str(value) for field, value in chosen.items() if value != defaults()[field]}
    test = app(**link, **{name: "nonsense"}).switch_page(f"pages/{page}.py").run()
    assert not test.exception
    assert f"{name} = “nonsense”" in said(test)
    assert "nonsense" not in said(test.run())


def test_an_unknown_model_in_a_link_is_one_sentence():
    test = app(a_model="../../etc/passwd")
    assert not test.exception
    assert "A link asks for the model" in said(test)
    pressed(test, "Use this model")
    assert not test.exception
    assert "There is no" in said(test)


def test_swapping_exchanges_a_and_b():
    test = app(a_k="3")
    pressed(test, "Swap A and B")
    assert (test.session_state["choices"]["a_k"], test.session_state["choices"]["b_k"]) == (2, 3)


def test_pages_load_no_torch_and_the_first_one_no_analyses():
    code = f"""
import runpy, sys
sys.argv = ["app"]
from streamlit.testing.v1 import AppTest
test = AppTest.from_file({str(ROOT / "app.py")!r}, default_timeout=60).run()
assert not test.exception
assert "scipy.stats" not in sys.modules, "the first page loads analyses, which it need not wait for"
for page in {PAGES!r}:
    AppTest.from_file(f"{ROOT}/pages/{{page}}.py", default_timeout=60).run()
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=120)


ALIKE = {("probing", "prompt_injection"), ("probing", OWN), ("rsa", "prompt_injection")}
"""Page and task whose sections another task has all of."""


@pytest.mark.parametrize(
    ("page", "name"),
    [
        pytest.param(page, name, marks=pytest.mark.long if (page, name) in ALIKE else ())
        for page in SECTIONS
        for name in TASKS
    ],
)
def test_every_section_of_every_task_shows_a_figure_or_says_why_not(page, name, of_task):
    choices = of_task(name)
    record(choices)
    test = opened(page, choices)
    assert not test.exception
    before = len(charts(test)), len(test.info)
    offered, common = sections(test), SECTIONS[page]
    assert offered[: len(common)] == common
    further = set(offered[len(common) :])
    assert further == {section for (of, section), names in OF_A_TASK.items() if of == page and name in names}
    for section in sections(test):
        looked_further(test, section)
        assert (len(charts(test)), len(test.info)) > before, section


@pytest.mark.parametrize("page", SECTIONS)
def test_with_one_condition_every_section_shows_it_or_asks_for_the_other(page, chosen):
    record(chosen, "a")
    test = opened(page, chosen)
    for section in sections(test):
        looked_further(test, section)
        if section in ("B minus A", "Demonstration seeds", "Transfer"):
            assert "Run both A and B" in said(test), section


@pytest.mark.parametrize("page", ["behaviour", "prompts", "summary", *SECTIONS])
def test_a_condition_compared_with_itself_raises_nothing(page, chosen):
    same = {**chosen, "b_k": chosen["a_k"]}
    record(same, "a")
    test = opened(page, same)
    assert not test.exception
    for section in sections(test) if page in SECTIONS else ():
        looked_further(test, section)


@pytest.mark.parametrize("page", SECTIONS)
def test_models_of_other_depth_are_shown_and_said_not_to_compare_by_layer(page, chosen, tiny_model, tmp_path):
    shallow = changed_model(tiny_model, tmp_path / "shallow", num_hidden_layers=2)
    other = {**chosen, "b_model": str(shallow)}
    record(other)
    test = opened(page, other)
    assert not test.exception
    for section in sections(test):
        looked_further(test, section)
        assert section != "B minus A" or "different numbers of layers" in said(test)


@pytest.mark.parametrize("page", PAGES[1:])
def test_a_model_of_one_block_is_shown(page, chosen, tiny_model, tmp_path):
    one = with_model(chosen, changed_model(tiny_model, tmp_path / "one", num_hidden_layers=1))
    record(one)
    test = opened(page, one)
    assert not test.exception
    assert len(charts(test)) == FIGURES.get(page, 0)
    for section in sections(test) if page in SECTIONS else ():
        looked_further(test, section)


@pytest.mark.parametrize("page", ["run", "prompts", "behaviour"])
def test_prompt_injection_is_shown_with_its_inserted_text(page, of_task):
    choices = of_task("prompt_injection")
    record(choices)
    test = opened(page, {**choices, "item": 1})
    assert not test.exception
    assert not test.error
    assert page == "behaviour" or "iclviz-irrelevant" in " ".join(html.proto.body for html in test.get("html"))
    assert len(charts(test)) == {"behaviour": 4}.get(page, 0)


def test_any_two_roles_make_a_ratio_or_say_why_there_is_none(chosen):
    record(chosen)
    test = opened("attention", chosen)
    over, under = (widget(test.selectbox, label) for label in ("Attention to", "Relative to"))
    assert over.options == under.options == [role.capitalize() for role in ROLES]
    for role in ROLES:
        widget(test.selectbox, "Attention to").set_value(role).run()
        assert not test.exception, role
        assert len(charts(test)) == FIGURES["attention"] or "are missing" in said(test), role
    widget(test.selectbox, "Attention to").set_value("question").run()
    widget(test.selectbox, "Relative to").set_value("question")
    widget(test.selectbox, "Counted").set_value("mass")
    widget(test.selectbox, "Heads").set_value("max")
    widget(test.selectbox, "Attention of").set_value("last").run()
    assert {name: test.session_state["choices"][name] for name in ("over", "under", "per", "heads", "rows")} == {
        "over": "question", "under": "question", "per": "mass", "heads": "max", "rows": "last",
    }  # fmt: skip
    for section in sections(test):
        looked_further(test, section)


def test_strength_and_dimensions_of_a_probe_can_be_fixed_and_what_leaves_them_says_so(chosen):
    record(chosen)
    test = opened("probing", chosen)
    for control, value in (("Strength", "10"), ("Dimensions", "2")):
        before = charts(test)[0].proto.spec
        widget(test.selectbox, control).set_value(value).run()
        assert not test.exception
        assert charts(test)[0].proto.spec != before, control
    for section in sections(test):
        looked_further(test, section)
        assert any("choose the strength inside folds" in caption.value for caption in test.caption)


def test_outlier_dimensions_left_out_stay_in_further_sections(chosen):
    record(chosen)
    test = opened("rsa", chosen)
    before = charts(test)[0].proto.spec
    test.toggle[0].set_value(True).run()
    assert charts(test)[0].proto.spec != before
    looked_further(test, "B minus A")
    assert "All dimensions are kept here." in [caption.value for caption in test.caption]


def test_simple_prompts_are_run_by_a_button_and_then_shown(of_task):
    choices = of_task("reading_comprehension")
    record(choices)
    test = looked_further(opened("rsa", choices), "Composite to simple")
    pressed(test, "Run the simple prompts")
    assert len(waiting()) == 4
    assert widget(test.button, "Run the simple prompts").disabled
    for name in ("simple_same", "simple_other"):
        record(choices, prompts=name)
    test = looked_further(opened("rsa", choices), "Composite to simple")
    assert "Run the simple prompts" not in labels(test)
    assert len(charts(test)) == FIGURES["rsa"] + 1


@pytest.mark.parametrize("page", SECTIONS)
def test_a_difference_over_seeds_says_so(page, chosen):
    record(chosen, seeds=[0, 1])
    test = looked_further(opened(page, chosen), "B minus A")
    assert any(read(caption.value).endswith("For these 2 demonstration sets.") for caption in test.caption)


def test_three_seeds_have_a_noise_ceiling(chosen):
    record(chosen, seeds=[0, 1, 2])
    test = looked_further(opened("rsa", chosen), "Demonstration seeds")
    assert len(charts(test)) == FIGURES["rsa"] + 1
    assert "Run 5 demonstration seeds" in labels(test)


EXAMPLES = "x = 1, y = 2\n\nx = 2, y = 4"


def test_the_kind_custom_has_a_text_area_and_shows_what_is_typed(chosen):
    test = app(**{name: str(chosen[name]) for name in ("a_model", "b_model", "a_task", "b_task", "a_kind", "a_k")})
    pressed(test, "Use this model")
    assert not test.text_area
    widget(test.sidebar.selectbox, "Demonstrations").set_value("custom").run()
    assert "k = 2 needs as many examples of your own, and there are 0" in said(test)
    assert len(test.error) == 1
    assert not test.exception
    widget(test.sidebar.text_area, "Your examples").set_value(EXAMPLES).run()
    assert not test.error
    assert test.query_params["a_examples"] in (EXAMPLES, [EXAMPLES])
    assert "x = 2, y = 4" in " ".join(html.proto.body for html in test.get("html"))
    pressed(test, "Run A")
    assert [(one.kind, one.examples) for one in waiting()] == [("custom", tuple(EXAMPLES.split("\n\n")))]


@pytest.mark.parametrize("page", PAGES)
def test_examples_of_ones_own_are_shown_on_every_page(page, chosen):
    custom = {**chosen, "a_kind": "custom", "a_examples": EXAMPLES}
    record(custom)
    test = opened(page, custom)
    assert not test.exception
    assert not test.error


@pytest.mark.parametrize("link", [{"a_model": "org/private"}, {"vary": "model", "values": '["org/private"]'},
                                  {"a_model": "/etc"}, {"b_model": "~/.ssh"}, {"a_model": "llama-3.2-1b"}])  # fmt: skip
def test_a_model_that_only_a_link_names_is_not_looked_for_before_a_click(chosen, link, monkeypatch):
    looked_for = []

    def locate(name):
        looked_for.append(name)
        raise ModelError("There is none.")

    monkeypatch.setattr("iclviz.models.seen.locate", locate)
    for page in ("", "compare"):
        test = AppTest.from_file(str(ROOT / "app.py"), default_timeout=TIMEOUT)
        test.query_params.update(link)
        test.run()
        if page:
            test.switch_page(f"pages/{page}.py").run()
        assert not test.exception
    assert not {str(value).strip('[]"') for value in link.values()} & set(looked_for)


def test_a_click_lets_a_model_of_a_link_be_looked_for(chosen, monkeypatch):
    from iclviz.models.locating import locate

    looked_for = []
    monkeypatch.setattr("iclviz.models.seen.locate", lambda name: (looked_for.append(name), locate(name))[1])
    test = app(a_model="org/private")
    assert "A link asks for the model org/private" in said(test).replace("\\", "")
    assert "org/private" not in looked_for
    pressed(test, "Use this model")
    assert "org/private" in looked_for


def test_a_run_that_cannot_be_is_refused_on_the_page_and_makes_no_job(chosen):
    many = {**chosen, "b_task": "reading_comprehension", "b_k": 1_000_000}
    test = opened("run", many)
    assert not test.exception
    assert "k = 1,000,000 needs more than" in said(test)
    assert "Take k " in said(test)
    test = pressed(test, "Run both")
    assert "Take k " in said(test)
    assert waiting() == []


def test_runs_go_to_the_executor_that_the_setting_names(chosen, monkeypatch):
    monkeypatch.setattr("iclviz.ui.jobs.executor", executor)
    monkeypatch.setenv(SETTING, "in_process")
    test = pressed(opened("run", chosen), "Run both")
    assert not test.exception
    assert {entry.spec.demonstrations.k for entry in Store().summaries()} == {2, 4}
