from dataclasses import replace

from iclviz.reporting.data_line import differences, other_items, shared
from iclviz.spec import Demonstrations


def test_what_two_share_is_said_once_with_items_and_groups(few_and_many):
    few, many = few_and_many
    line = shared([few, many])
    assert line.count("Linear regression") == 1
    assert f"{few.n_items} items" in line
    other = replace(many, item_ids=[f"other {place}" for place in range(many.n_items)])
    assert "none of them the same" in shared([few, other])


def test_one_recording_twice_has_one_number_of_items(few_and_many):
    few, _ = few_and_many
    assert shared([few, few]) == shared([few])


def test_why_items_are_others_is_said_by_the_first_thing_that_differs(few_and_many):
    few, many = few_and_many
    assert other_items(few, many) == ""
    ids = [f"other {place}" for place in range(few.n_items)]
    for changes, reason in (
        ({"seed": 3}, "items of seed 3, not 0"),
        ({"n_items": 10}, "10 items, not 12"),
        ({"task_options": {**few.spec.task_options, "distractor": False}}, "other task options: distractor"),
        ({}, "other items"),
    ):
        assert other_items(few, replace(many, item_ids=ids, spec=many.spec.with_(**changes))) == reason


def test_what_differs_is_said_by_its_value_in_a_and_in_b(few_and_many):
    a, b = (one.spec for one in few_and_many)
    assert differences(a, b) == {"k": (str(a.demonstrations.k), str(b.demonstrations.k))}
    assert differences(a, a) == {}
    shuffled = a.with_(demonstrations=replace(a.demonstrations, kind="shuffled"))
    assert differences(a, shuffled) == {"demonstrations": ("correct", "shuffled")}
    reordered = b.with_(demonstrations=replace(b.demonstrations, order=1))
    assert differences(b, reordered) == {"order of demonstrations": ("as drawn", "1")}
    none = a.with_(demonstrations=Demonstrations("none", 0))
    assert differences(none, a)["demonstrations"][0] == "none"


def test_models_and_tasks_have_their_titles(few_and_many):
    a, _ = (one.spec for one in few_and_many)
    other = a.with_(model="qwen3-8b", task="reading_comprehension", task_options={})
    found = differences(a, other)
    assert found["model"][1] == "Qwen3 8B"
    assert found["task"] == ("Linear regression", "Reading comprehension")
