import json

import pytest

from iclviz.errors import SpecError
from iclviz.spec import Demonstrations, RunSpec, canonical_json, digest


def spec(**changes):
    return RunSpec(**{"model": "m", "task": "linear_regression", **changes})


def test_a_spec_survives_json():
    original = spec(
        demonstrations=Demonstrations("shuffled", 4, 2), task_options={"slopes": [1, 2]}, poolings=("mean",)
    )
    assert RunSpec.from_dict(json.loads(canonical_json(original.to_dict()))) == original


def test_equal_specs_hash_alike_whatever_the_order_of_options():
    assert hash(spec(task_options={"a": 1, "b": 2})) == hash(spec(task_options={"b": 2, "a": 1}))


def test_tuples_and_lists_in_options_are_one_spec():
    assert spec(task_options={"slopes": (1, 2)}) == spec(task_options={"slopes": [1, 2]})


def test_no_demonstrations_have_one_written_form():
    assert Demonstrations("none", 8, 3).canonical() == Demonstrations("correct", 0, 5).canonical()


def test_digest_does_not_depend_on_key_order():
    assert digest({"a": 1, "b": [1.5, None]}) == digest({"b": [1.5, None], "a": 1})


@pytest.mark.parametrize("n_items", [0, 1, -3, 2.5, True, "many"])
def test_too_few_items_are_refused_with_a_way_on(n_items):
    with pytest.raises(SpecError, match=r"n_items.*take n_items >= 2"):
        spec(n_items=n_items)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "  "},
        {"task": ""},
        {"seed": -1},
        {"prompt_style": "fancy"},
        {"dtype": "int4"},
        {"max_new_tokens": 0},
        {"poolings": ()},
        {"poolings": ("nonsense",)},
        {"task_options": {"slopes": {1, 2}}},
        {"task_options": {"noise": float("nan")}},
        {"task_options": "distractor"},
    ],
)
def test_impossible_values_are_refused(changes):
    with pytest.raises(SpecError):
        spec(**changes)


@pytest.mark.parametrize("arguments", [{"k": -1}, {"k": 1.5}, {"seed": -1}, {"kind": 3}])
def test_impossible_demonstrations_are_refused(arguments):
    with pytest.raises(SpecError):
        Demonstrations(**arguments)


def test_numpy_integers_are_whole_numbers():
    import numpy as np

    assert spec(n_items=np.int64(8)).n_items == 8
