import numpy as np

from iclviz.analysis.behaviour import score_of
from iclviz.analysis.non_finite import not_numbers


def test_attention_that_is_no_number_is_told_with_items_block_and_dtype(recording):
    attention = {role: np.array(mass) for role, mass in recording(4).attention.items()}
    for mass in attention.values():
        mass[3, 1] = np.nan
    (said,) = not_numbers(recording(4, attention=attention, environment={"dtype": "float16"}))
    assert said.startswith(
        "The attention of 1 of 4 items is no number, from block 2 on: the model computed none in float16"
    )
    assert "run it again with the dtype bfloat16 or float32" in said
    assert not_numbers(recording(4)) == []


def test_an_infinite_score_is_left_out_and_told(recording):
    record = recording(4, scores={"error": np.array([1.0, np.inf, np.nan, 2.0])})
    assert not_numbers(record) == ["The score error of 1 of 4 items is infinite, and left out."]
    np.testing.assert_array_equal(score_of(record, "error"), [1, np.nan, np.nan, 2])
