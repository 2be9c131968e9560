import numpy as np
import pytest

from iclviz.analysis.label_association import association


def test_what_goes_together_wholly_has_one_and_what_does_not_about_none():
    rng = np.random.default_rng(0)
    first = np.array(["a", "b", "c", "d"] * 16)
    assert association(first, first) == pytest.approx(1)
    assert association(
        first, np.array([{"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}[one] for one in first])
    ) == pytest.approx(1)
    assert np.mean([association(first, rng.permutation(first)) for _ in range(50)]) < 0.15
    crossed = np.repeat(["x", "y"], 32)
    assert association(first, crossed) == 0


def test_what_is_the_same_for_all_has_none():
    assert np.isnan(association(np.array(["a", "b"]), np.array([1, 1])))
