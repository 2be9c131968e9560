from dataclasses import dataclass, field, fields

import pytest

from iclviz.fields import Classified, changes
from iclviz.spec import Demonstrations, RunSpec


@dataclass(frozen=True)
class Small(Classified):
    text: str = field(metadata=changes("tokens", "text"))
    shown: int = field(default=0, metadata=changes("tokens", "what is shown", begins_alike=True))
    steering: int = field(default=0, metadata=changes("forward", "steering"))
    longest: int = field(default=1, metadata=changes("decoding", "longest response"))
    tables: tuple[str, ...] | None = field(default=None, metadata=changes("kept", "tables"))


@pytest.mark.parametrize("value", [None, 3, field(default=3), field(default=3, metadata={"changes": "colour"})])
def test_a_field_that_does_not_say_what_it_changes_is_refused_where_it_is_declared(value):
    with pytest.raises(TypeError, match="The field steering of Steered does not say what it changes"):

        class Steered(RunSpec):
            steering: int | None = value


def test_every_field_of_a_spec_says_what_it_changes_and_has_a_title():
    said = RunSpec.fields_that("tokens", "forward", "decoding", "kept")
    assert list(said) == [entry.name for entry in fields(RunSpec)]
    assert all(RunSpec.title(name) for name in said)


def test_fields_are_told_apart_by_what_they_change():
    assert Small.fields_that("tokens") == ("text", "shown")
    assert Small.fields_that("decoding", "kept") == ("longest", "tables")
    assert Small("a", 2, 3).part("forward") == (3,)
    assert Small.title("longest") == "longest response"


def test_differences_are_told_by_field_from_here_to_the_other():
    assert Small("a", 1).differences(Small("b", 1, longest=2)) == {"text": ("a", "b"), "longest": (1, 2)}
    assert Small("a").differences(Small("a")) == {}


@pytest.mark.parametrize(
    ("other", "may", "shares"),
    [
        (Small("b"), True, False),
        (Small("a", 5), True, True),
        (Small("a", steering=1), False, True),
        (Small("a", longest=9, tables=("x",)), True, True),
    ],
)
def test_runs_go_together_that_are_equal_in_what_changes_the_forward_pass(other, may, shares):
    assert Small("a").may_run_with(other) is may
    assert Small("a").shares_text_with(other) is shares


def test_what_one_keeps_another_may_keep_as_well():
    assert Small("a", tables=("x", "y")).keeps_all_of(Small("a", tables=("y",)))
    assert Small("a").keeps_all_of(Small("a"))
    assert not Small("a").keeps_all_of(Small("a", tables=("y",)))


def test_a_field_that_came_later_is_written_only_where_it_holds_something():
    written = RunSpec("m", "t", Demonstrations()).to_dict()
    assert "attention_items" not in written
    assert written["max_new_tokens"] is None
    assert RunSpec("m", "t", attention_items=(1,)).to_dict()["attention_items"] == [1]


def test_what_two_keep_is_kept_together():
    spec = RunSpec("m", "t")
    one, other = spec.with_(attention_items=(1,), record=("b",)), spec.with_(attention_items=(0,), poolings=("last",))
    both = one.keeping_also(other)
    assert (both.attention_items, both.record, both.poolings) == ((0, 1), ("b",), ("last",))
    assert both.keeps_all_of(one)
    assert both.keeps_all_of(other)
