from dataclasses import dataclass

import numpy as np
import pytest

from iclviz.analysis.behaviour import ScoreSummary
from iclviz.errors import AnalysisError
from iclviz.formats import NewerError
from iclviz.questions.codec import decode, encode

SCORE = ScoreSummary("main", 1.0, float("nan"), 1.2, 3, 2, 8, False, np.array([1.0, np.nan, 2.0]), ("a", "b", "c"))


def round_trip(value):
    return decode(encode(value))


@pytest.mark.parametrize(
    "value",
    [
        None,
        "words",
        3,
        2.5,
        True,
        (1, "two", None),
        [1, [2, 3]],
        {"within": {"alignment": 0.5}},
        {3: "all items alike", 7: "none"},
        {"class": 1},
    ],
)
def test_plain_values_come_back_as_they_were(value):
    found = round_trip(value)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "array", [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(["a", "bc"]), np.array([True])]
)
def test_arrays_come_back_with_their_type(array):
    found = round_trip({"x": array})["x"]
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype


def test_a_dataclass_comes_back_whole():
    found = round_trip({"b": SCORE})["b"]
    assert type(found) is ScoreSummary
    assert np.isnan(found.low)
    assert found.item_ids == SCORE.item_ids
    np.testing.assert_array_equal(found.values, SCORE.values)


def test_what_was_read_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        round_trip(np.zeros(3))[0] = 1


@pytest.mark.parametrize("name", ["subprocess:Popen", "iclviz.store:Store", "iclviz.analysis.rsa:alignment", "json:x"])
def test_a_file_that_names_another_class_is_refused(name, monkeypatch):
    monkeypatch.setattr("iclviz.questions.codec.flattened", lambda *given: {"class": name, "fields": {}})
    with pytest.raises(ValueError, match="no result of an analysis"):
        decode(encode(None))


@dataclass
class Mine:
    value: float


def test_a_result_of_a_class_of_ones_own_is_refused_before_it_is_kept():
    with pytest.raises(AnalysisError, match="A result of the class Mine cannot be kept"):
        encode({"b": Mine(1.0)})


def test_every_flipped_byte_of_an_answer_is_noticed():
    whole = encode({"b": SCORE})
    for place in range(len(whole)):
        with pytest.raises((ValueError, NewerError)):
            decode(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
