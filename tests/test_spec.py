import copy
import json
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from iclviz.errors import SpecError
from iclviz.spec import DEFAULT_POOLINGS, Demonstrations, RunSpec, canonical_json, digest


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


def test_an_order_as_drawn_is_not_written_so_that_keys_stay_as_they_were():
    as_drawn = spec(demonstrations=Demonstrations("correct", 4, 1))
    assert as_drawn.to_dict()["demonstrations"] == {"kind": "correct", "k": 4, "seed": 1, "examples": []}
    other = spec(demonstrations=Demonstrations("correct", 4, 1, order=3))
    assert other.to_dict()["demonstrations"]["order"] == 3
    assert RunSpec.from_dict(json.loads(canonical_json(other.to_dict()))) == other != as_drawn


@pytest.mark.parametrize(
    ("shown", "order"),
    [
        (Demonstrations("none", 0, order=3), 0),
        (Demonstrations("correct", 0, order=3), 0),
        (Demonstrations("correct", 1, order=3), 0),
        (Demonstrations("correct", 2, order=3), 1),
        (Demonstrations("custom", 3, 7, ("a", "b", "c", "d"), 6), 1),
        (Demonstrations("correct", 3, order=5), 5),
        (Demonstrations("correct", 8, order=2**31 - 1), 2**31 - 1),
    ],
)
def test_orders_that_show_the_same_have_one_number(shown, order):
    assert shown.canonical().order == order
    assert shown.canonical().canonical() == shown.canonical()


@pytest.mark.parametrize("order", [-1, 1.5, True, "reversed", 2**31])
def test_an_order_is_a_number(order):
    with pytest.raises(SpecError, match="Demonstration order"):
        Demonstrations("correct", 4, order=order)


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
        {"task_options": {"x": float("inf")}},
        {"task_options": {"x": b"bytes"}},
        {"task_options": {"x": object()}},
        {"task_options": {"x": 10**5000}},
        {"task_options": {"x": np.array(["2020-01-01"], dtype="datetime64[D]")}},
        {"task_options": {3: 1}},
        {"task_options": None},
        {"model": None},
        {"model": b"m"},
        {"task": 3},
        {"seed": np.array([1, 2])},
        {"prompt_style": ["plain"]},
        {"dtype": np.array(["float32", "float16"])},
        {"poolings": 5},
        {"poolings": (["last"],)},
        {"poolings": "nonsense"},
        {"demonstrations": "correct"},
        {"demonstrations": None},
        {"demonstrations": 8},
        {"attention_items": 3},
        {"attention_items": None},
        {"attention_items": "03"},
        {"attention_items": (0.0,)},
        {"attention_items": (True,)},
        {"attention_items": ((0, 1),)},
    ],
)
def test_impossible_values_are_refused(changes):
    with pytest.raises(SpecError):
        spec(**changes)


@pytest.mark.parametrize("arguments", [{"k": -1}, {"k": 1.5}, {"seed": -1}, {"kind": 3}])
def test_impossible_demonstrations_are_refused(arguments):
    with pytest.raises(SpecError):
        Demonstrations(**arguments)


def test_a_list_that_holds_itself_is_refused():
    endless = []
    endless.append(endless)
    with pytest.raises(SpecError, match="JSON cannot hold"):
        spec(task_options={"x": endless})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n_items": 10_001}, "n_items = 10001 is too large. Hypotheses are n x n. Take n_items <= 10,000."),
        ({"max_new_tokens": 100_001}, "max_new_tokens = 100001 is too large. Take max_new_tokens <= 100,000."),
        ({"seed": 2**31}, "seed = 2147483648 is too large. Take seed <= 2,147,483,647."),
        ({"seed": 10**5000}, "seed = (more than 38 digits) is too large. Take seed <= 2,147,483,647."),
        ({"seed": -(10**5000)}, "seed = -(more than 38 digits) is too small. Take a seed >= 0."),
        ({"demonstrations": {"k": 2**31}}, "k = 2147483648 is too large. Take k <= 2,147,483,647."),
        ({"demonstrations": {"seed": 2**31}}, "Demonstration seed = 2147483648 is too large."),
        ({"attention_items": (-1,)}, "Attention item = -1 is too small. Give places of items, counted from 0, such as"),
        ({"n_items": 12, "attention_items": (0, 12)}, "Attention item = 12 is too large. The places of 12 items are"),
        ({"attention_items": range(17)}, "17 attention items are too many. Take 16 or fewer."),
        ({"demonstrations": {"kindd": 1}}, "Unknown field of the demonstrations 'kindd'. Did you mean kind?"),
    ],
)
def test_a_refusal_names_the_value_and_the_way_on(changes, said):
    with pytest.raises(SpecError) as refusal:
        spec(**changes)
    assert str(refusal.value).startswith(said)


def test_the_largest_values_are_taken():
    largest = spec(n_items=10_000, max_new_tokens=100_000, seed=2**31 - 1, demonstrations={"k": 2**31 - 1})
    assert largest.n_items == 10_000


STRAY = "a\udcff"


@pytest.mark.parametrize(
    "changes",
    [
        {"model": STRAY},
        {"task": STRAY},
        {"demonstrations": {"kind": STRAY}},
        {"task_options": {"instruction": STRAY}},
        {"task_options": {"words": ["a", STRAY]}},
        {"task_options": {STRAY: 1}},
        {"model_options": {"device": STRAY}},
        {"poolings": (STRAY,)},
        {"prompt_style": STRAY},
    ],
)
def test_text_that_is_no_unicode_is_refused(changes):
    with pytest.raises(SpecError):
        spec(**changes)


def test_numpy_values_are_plain_values():
    assert spec(n_items=np.int64(8), seed=np.array(3)).n_items == 8
    given = {
        "slopes": np.array([[1, 2], [3, 4]]),
        "noise": np.float32(0.5),
        "x_max": np.int64(9),
        "distractor": np.bool_(True),
        "row_format": np.str_("arrow"),
        "words": [np.float64(1.5), (np.int8(2),)],
    }
    plain = {
        "slopes": [[1, 2], [3, 4]],
        "noise": 0.5,
        "x_max": 9,
        "distractor": True,
        "row_format": "arrow",
        "words": [1.5, [2]],
    }
    assert spec(task_options=given) == spec(task_options=plain)
    assert spec(task_options=given).to_dict()["task_options"] == plain
    assert json.loads(canonical_json(spec(task_options=given).to_dict()))["task_options"] == plain


def test_a_path_names_a_model():
    assert spec(model=Path("models") / "tiny") == spec(model="models/tiny")


def test_demonstrations_may_be_a_table():
    assert spec(demonstrations={"k": 3}) == spec(demonstrations=Demonstrations(k=3))


def test_poolings_have_one_order_and_no_repeats():
    assert spec(poolings="last").poolings == ("last",)
    assert spec(poolings=["max", "last", "max"]) == spec(poolings=np.array(["last", "max"]))
    assert spec(poolings=reversed(DEFAULT_POOLINGS)).poolings == DEFAULT_POOLINGS


def test_attention_items_have_one_order_and_no_repeats():
    assert spec(attention_items=[3, 0, 3, np.int64(3)]) == spec(attention_items=np.array([0, 3]))
    assert spec(attention_items=[*range(16), 3]).attention_items == tuple(range(16))
    assert RunSpec.from_dict(spec(attention_items=(5, 0)).to_dict()).attention_items == (0, 5)


def test_a_spec_without_attention_items_is_written_as_before_there_were_any():
    before = (
        (spec(model="org/model"), "acea1e6c24d8e238ed948d4c68f6f9ea"),
        (
            RunSpec(
                "org/model", "reading_comprehension", Demonstrations("none"), 12, 3, prompt_style="chat",
                poolings=("last",), max_new_tokens=4, dtype="float16",
            ),
            "3d740806303a19e6394e9b8ecbd8bf73",
        ),
    )  # fmt: skip
    for one, known in before:
        assert digest(one.to_dict()) == digest(one.with_(attention_items=[]).to_dict()) == known
        assert digest(one.with_(attention_items=(0,)).to_dict()) != known


def test_options_cannot_be_changed_from_outside():
    slopes = [1, 2]
    given = {"slopes": slopes, "nested": {"deep": [1]}}
    made = spec(task_options=given)
    before, written = hash(made), made.to_dict()
    slopes.append(3)
    given["more"] = 1
    made.to_dict()["task_options"]["slopes"].append(3)
    for change in (
        lambda options: options.update(x=1),
        lambda options: options.pop("slopes"),
        lambda options: options.setdefault("x", 1),
        lambda options: options.clear(),
        lambda options: options.__setitem__("x", 1),
        lambda options: options.__delitem__("slopes"),
        lambda options: options.__ior__({"x": 1}),
        lambda options: options["nested"].update(x=1),
    ):
        with pytest.raises(TypeError, match="frozen"):
            change(made.task_options)
    assert (hash(made), made.to_dict()) == (before, written)


def test_options_behave_as_a_table():
    options = spec(task_options=OrderedDict(slopes=[1, 2], noise=0.5)).task_options
    assert (options["noise"], options.get("slopes"), options.get("none")) == (0.5, (1, 2), None)
    changeable = dict(options)
    changeable["noise"] = 1
    assert {**options, "noise": 1} == options | {"noise": 1} == changeable
    assert options == {"noise": 0.5, "slopes": (1, 2)}
    assert str(options) == "{'noise': 0.5, 'slopes': (1, 2)}"


@pytest.mark.parametrize(
    "copied",
    [
        copy.copy,
        copy.deepcopy,
        lambda value: pickle.loads(pickle.dumps(value)),
        lambda value: value.with_(),
        lambda value: RunSpec.from_dict(value.to_dict()),
    ],
)
def test_a_copy_is_the_same_spec_and_as_frozen(copied):
    made = spec(task_options={"slopes": [1, 2], "nested": {"deep": [1]}}, poolings=("last",))
    again = copied(made)
    assert (again, hash(again), again.to_dict()) == (made, hash(made), made.to_dict())
    with pytest.raises(TypeError, match="frozen"):
        again.task_options["x"] = 1


def test_equal_numbers_make_equal_hashes():
    assert spec(task_options={"noise": 1.0}) == spec(task_options={"noise": 1})
    assert hash(spec(task_options={"noise": 1.0})) == hash(spec(task_options={"noise": 1}))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"task": "t"}, "The field model of the spec is missing"),
        ({"model": "m", "task": "t", "itmes": 3}, "Unknown field of the spec 'itmes'"),
        ({"model": "m", "task": "t", "demonstrations": [1]}, r"demonstrations = \[1\] is no demonstration set"),
        ([1], "is not the spec"),
    ],
)
def test_a_written_spec_that_cannot_be_read_says_why(values, said):
    with pytest.raises(SpecError, match=said):
        RunSpec.from_dict(values)


def test_what_a_template_reads_is_a_part_of_the_spec_and_absent_where_nothing_is_given():
    assert "template" not in RunSpec("m", "t").to_dict()
    spec = RunSpec("m", "t", template={"tools": [{"name": "x"}], "date": "2026-03-01"})
    assert RunSpec.from_dict(spec.to_dict()) == spec
    assert spec.to_dict()["template"] == {"date": "2026-03-01", "tools": [{"name": "x"}]}


@pytest.mark.parametrize(
    "template", [{"messages": []}, {"a b": 1}, {"date": "today"}, {"date": 5}, {"strftime_now": 1}, []]
)
def test_a_template_option_that_means_nothing_is_refused(template):
    with pytest.raises(SpecError):
        RunSpec("m", "t", template=template)
