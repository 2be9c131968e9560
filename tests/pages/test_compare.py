import shutil

import pytest

from iclviz.analysis.measures import all_measures
from iclviz.curating import Annotation, annotate
from iclviz.spec import Demonstrations
from iclviz.store import Store
from iclviz.ui.compared import runs_like
from tests.pages.conftest import charts, labels, opened, pressed, record, said, waiting, widget, with_model

FIGURES = 2 + len(all_measures())


@pytest.fixture
def k_curve(chosen):
    """Conditions like A with 1, 2 and 4 demonstrations, the first and last two recorded."""
    record(chosen)
    record({**chosen, "a_k": 1}, "a")
    return chosen


@pytest.fixture
def chosen(chosen):
    """The choices with a hypothesis that so few items have a value of."""
    return {**chosen, "hypothesis": "slope_similarity"}


def legend(chart):
    import json

    return [trace["name"] for trace in json.loads(chart.proto.spec)["data"] if trace.get("name")]


def test_the_runs_like_a_are_offered_as_a_k_curve(k_curve):
    test = opened("compare", k_curve)
    assert not test.exception
    assert widget(test.multiselect, "Number of demonstrations").value == ["1", "2", "4"]
    assert len(charts(test)) == FIGURES
    assert legend(charts(test)[1]) == ["k = 1", "A: k = 2", "B: k = 4"]


def test_what_of_a_set_has_not_run_is_run_by_a_button(k_curve):
    test = opened("compare", k_curve)
    widget(test.multiselect, "Number of demonstrations").set_value(["2", "4", "3"]).run()
    assert "Not run yet: k = 3" in said(test)
    pressed(test, "Run the missing condition")
    assert [one.k for one in waiting()] == [3]
    assert len(charts(test)) == FIGURES


def test_a_value_can_be_typed_and_nonsense_is_left_out(k_curve):
    test = opened("compare", {**k_curve, "values": ["many", -1, 2, 4]})
    assert not test.exception
    assert test.session_state["choices"]["values"] == [2, 4]


@pytest.mark.parametrize("sides", ["ab", "ba"])
def test_with_and_without_demonstrations_is_a_set_whichever_is_a(sides, chosen):
    none, some = sides
    both = {**chosen, f"{none}_kind": "none", f"{none}_k": 0, f"{some}_k": 4}
    record(both)
    test = opened("compare", both)
    assert not test.exception
    assert legend(charts(test)[1]) == [f"{none.upper()}: k = 0", f"{some.upper()}: k = 4"]


def test_default_values_follow_the_conditions_and_chosen_ones_stay(k_curve):
    test = opened("compare", k_curve)
    test.session_state["choices"]["a_k"] = 3
    test.run()
    assert widget(test.multiselect, "Number of demonstrations").value == ["1", "2", "3", "4"]
    widget(test.multiselect, "Number of demonstrations").set_value(["1", "2"]).run()
    test.session_state["choices"]["a_k"] = 2
    test.run()
    assert widget(test.multiselect, "Number of demonstrations").value == ["1", "2"]


def test_one_condition_is_no_set(chosen):
    record(chosen, "a")
    test = opened("compare", chosen)
    assert "at least two" in said(test)
    assert not charts(test)


@pytest.mark.parametrize(("vary", "names"), [("kind", ["correct", "shuffled"]), ("seed", ["seed 0", "seed 1"])])
def test_kinds_and_seeds_make_sets(vary, names, chosen):
    record({**chosen, "a_kind": "shuffled"}, "a")
    record(chosen, "a", seeds=[0, 1])
    test = opened("compare", {**chosen, "vary": vary})
    assert not test.exception
    assert sorted(name.removeprefix("A: ") for name in legend(charts(test)[1])) == names


def test_orders_make_a_set_and_are_said_apart(chosen):
    for order in (0, 1):
        record({**chosen, "a_k": 2, "a_order": order}, "a")
    test = opened("compare", {**chosen, "a_k": 2, "vary": "order"})
    assert not test.exception
    assert sorted(name.removeprefix("A: ") for name in legend(charts(test)[1])) == ["order 1", "order as drawn"]


def test_models_make_a_set_though_their_depths_differ(chosen, tiny_model, tmp_path):
    from tests.pages.conftest import changed_model

    other = changed_model(tiny_model, tmp_path / "shallow", num_hidden_layers=2)
    record(chosen, "a")
    record(with_model(chosen, other), "a")
    test = opened("compare", {**chosen, "vary": "model", "values": [str(tiny_model), str(other)]})
    assert not test.exception
    assert len(charts(test)) == FIGURES


def test_averaging_takes_every_seed_of_each_condition(chosen):
    record(chosen, seeds=[0, 1, 2])
    for bands, said_of_them in (
        (True, "95 % intervals over groups of items and demonstration seeds: 3 seeds"),
        (False, "no intervals"),
    ):
        test = opened("compare", {**chosen, "averaged": True, "bands": bands})
        assert not test.exception
        assert said_of_them in charts(test)[1].proto.alt
        assert "these 3 demonstration sets" in charts(test)[1].proto.alt


def test_chosen_runs_of_several_tasks_show_those_of_the_first_one(chosen, of_task):
    record(chosen)
    record(of_task("reading_comprehension"), "a")
    from iclviz.store import Store

    keys = [entry.key for entry in sorted(Store().summaries(), key=lambda entry: entry.created)]
    test = opened("compare", {**chosen, "vary": "runs", "runs": keys})
    assert not test.exception
    assert "(another task, Reading comprehension)" in said(test)
    assert len(legend(charts(test)[1])) == 2


def test_a_set_of_one_says_why_nothing_else_is_compared_with_it(chosen):
    record(chosen, "a")
    record({**chosen, "items": 10}, "a")
    keys = [entry.key for entry in sorted(Store().summaries(), key=lambda entry: entry.created)]
    test = opened("compare", {**chosen, "vary": "runs", "runs": keys})
    assert not test.exception
    assert "(10 items, not 16)" in said(test)
    assert "A set needs at least two recorded conditions over the same items." in said(test)
    assert not charts(test)


def test_two_chosen_runs_of_one_name_are_two_conditions(chosen):
    record(chosen, "ab")
    keys = [entry.key for entry in Store().summaries()]
    for key in keys:
        annotate(Store(), key, Annotation("pilot"))
    test = opened("compare", {**chosen, "vary": "runs", "runs": keys})
    assert sorted(legend(charts(test)[1])) == sorted(f"pilot · {key[:6]}" for key in keys)


def test_without_runs_chosen_the_page_says_what_to_do(chosen):
    test = opened("compare", {**chosen, "vary": "runs"})
    assert "Choose the runs to compare" in said(test)
    assert "Run both" not in labels(test)


def test_runs_of_a_folder_whose_weights_were_changed_since_are_not_joined(chosen, tiny_model, tmp_path):
    model = shutil.copytree(tiny_model, tmp_path / "model")
    record(with_model(chosen, model), "ab")
    before, like = Store().summaries()
    assert set(runs_like(Store().load(before.key), lambda shown: True)) == {
        entry.spec.demonstrations for entry in (before, like)
    }
    with (model / "model.safetensors").open("r+b") as weights:
        weights.seek(-64, 2)
        weights.write(bytes(64))
    record(with_model({**chosen, "a_k": 3}, model), "a")
    after = Store().summaries()[0]
    assert set(runs_like(Store().load(after.key), lambda shown: True)) == {Demonstrations("correct", 3)}
