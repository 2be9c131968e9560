import pytest

from iclviz.errors import SpecError
from iclviz.study import read_study, study

WHOLE = {
    "study": "kinds",
    "models": ["one", "two"],
    "tasks": {"reading": {"task": "reading_comprehension", "n_items": 8}, "linear_regression": {}},
    "conditions": {
        "none": {"kind": "none"},
        "correct": {"kind": "correct", "k": [2, 4]},
        "wrong": {"kind": "shuffled"},
    },
    "seeds": [0, 1],
    "maps": ["heads"],
    "primary": {"a": "none", "b": "correct, k = 4"},
}


def test_every_combination_is_a_run_and_no_demonstrations_are_there_once():
    found = study(WHOLE)
    assert [one.name for one in found.conditions] == ["none", "correct, k = 2", "correct, k = 4", "wrong"]
    assert len(found.cells) == 2 * 2 * (1 + 3 * 2)
    assert len({cell.spec for cell in found.cells}) == len(found.cells)
    cell = next(one for one in found.cells if (one.condition, one.seed, one.task) == ("wrong", 1, "reading"))
    assert cell.spec.task == "reading_comprehension"
    assert (cell.spec.n_items, cell.spec.demonstrations.kind, cell.spec.demonstrations.k) == (8, "shuffled", 8)
    assert len(found.map_specs) == len(found.cells)


def test_orders_multiply_with_seeds():
    found = study({**WHOLE, "orders": [0, 3]})
    assert len(found.cells) == 2 * 2 * (1 + 3 * 4)
    assert {cell.spec.demonstrations.order for cell in found.cells} == {0, 3}


def test_it_is_written_and_read_back_as_the_same(tmp_path):
    found = study(WHOLE)
    assert study(found.to_dict()) == found
    assert study(found.to_dict()).digest == found.digest
    assert study({**WHOLE, "seeds": [0]}).digest != found.digest
    path = tmp_path / "a-study.yaml"
    path.write_text("models: [one]\ntasks: linear_regression\nconditions: {none: {kind: none}}\n")
    assert read_study(path).name == "a-study"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sed": [0]}, "Did you mean seeds"),
        ({"conditions": {"none": {"kind": "none", "sed": 1}}}, "Unknown field of the condition none 'sed'"),
        ({"conditions": {}}, "names no condition"),
        ({"tasks": {"a": {"n_item": 3}}}, "Did you mean n_items"),
        ({"tasks": None}, "names no task"),
        ({"models": []}, "no list"),
        ({"seeds": [-1]}, "seeds holds -1"),
        ({"maps": ["head"]}, "Did you mean heads"),
        ({"primary": {"a": "none", "b": "correct"}}, "Unknown condition 'correct'"),
        ({"primary": {"a": "none"}}, "needs two conditions"),
        ({"study": "../up"}, "no name of a study"),
        ({"hidden": 1}, "neither true nor false"),
        ({"conditions": {"none": {"kind": "none", "k": "many"}}}, "not a whole number"),
        ({"seeds": list(range(9999))}, "Take 10,000 or fewer"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named_with_the_nearest_right_one(change, said):
    with pytest.raises(SpecError) as error:
        study({**WHOLE, **change})
    assert said in str(error.value)


def test_hidden_names_tell_nothing_until_all_is_there():
    found = study({**WHOLE, "hidden": True})
    names = [one.name for one in found.conditions]
    hidden = [found.shown_name(name, False) for name in names]
    assert sorted(hidden) == [f"condition {place}" for place in range(1, 5)]
    assert [found.shown_name(name, True) for name in names] == names


def test_a_file_that_is_none_is_refused_with_its_name(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("study: [")
    with pytest.raises(SpecError, match=r"broken.yaml.*cannot be read"):
        read_study(path)
    path.write_text("- a list")
    with pytest.raises(SpecError, match="is none"):
        read_study(path)


def test_where_models_lie_tells_no_study_from_another():
    here, there = (study({**WHOLE, "models": [f"{folder}/mine", "other"]}) for folder in ("/a", "/b"))
    assert here != there
    assert here.digest == there.digest == study({**WHOLE, "models": ["mine", "other"]}).digest
    assert [here.shown_model(one) for one in here.models] == ["mine", "other"]
    both = study({**WHOLE, "models": ["/a/mine", "/b/mine"]})
    assert [both.shown_model(one) for one in both.models] == ["mine (1)", "mine (2)"]
