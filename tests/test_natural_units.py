import numpy as np
import pytest

from iclviz.natural_units import NaturalUnit, plain
from iclviz.tasks import task, tasks


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.0, 3, "0"),
        (-0.0, 3, "0"),
        (12.34567, 3, "12.3"),
        (-12.34567, 3, "−12.3"),
        (1234.5, 3, "1230"),
        (0.0001234, 3, "0.000123"),
        (29.4, 2, "29"),
        (100.0, 2, "100"),
        (float("nan"), 3, "none"),
        (float("inf"), 3, "none"),
    ],
)
def test_numbers_have_few_digits_no_exponent_and_a_true_minus(value, digits, text):
    assert plain(value, digits) == text


def test_an_error_is_read_back_from_its_logarithm():
    unit = NaturalUnit("typical error", "negative log", floor=0.1)
    errors = np.array([0.0, 0.5, 12.0])
    np.testing.assert_allclose(unit.values(-np.log10(errors + 0.1)), errors, atol=1e-12)
    assert unit.is_reversed
    assert (unit.better("higher"), unit.better("lower")) == ("lower", "higher")
    assert unit.text(-np.log10(12.1)) == "12"


def test_a_share_is_said_in_percent():
    unit = NaturalUnit("right answers", "share")
    assert unit.text(0.375) == "38 %"
    assert unit.axis == "Right answers (%)"
    assert unit.better("higher") == "higher"


def test_every_score_of_every_task_has_a_unit_whose_title_has_no_unit_in_it():
    for one in tasks().values():
        for score in [one.primary.score, *one.titles]:
            unit = one.natural_unit(score)
            assert unit.title
            assert "(share)" not in unit.axis
            assert "(nats)" not in unit.title


def test_what_nobody_can_read_is_said_otherwise():
    assert task("linear_regression").natural_unit("log_accuracy").axis == "Typical error"
