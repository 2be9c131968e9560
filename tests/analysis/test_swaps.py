import numpy as np
import pytest
from scipy.stats import t

from iclviz.analysis.swaps import jackknife_interval, swapped_mean

UNITS = np.repeat(np.arange(12), 2)


def of_values(values):
    """What items add to a side: the values of their places, (K, 2n)."""
    return lambda places: values[:, places]


def test_swaps_of_a_mean_are_its_flipped_differences():
    values = np.random.default_rng(0).normal(size=(3, 48))
    found = swapped_mean(of_values(values), UNITS)
    differences = values[:, 24:] - values[:, :24]
    np.testing.assert_allclose(found.difference, differences.mean(axis=1))
    of_units = differences.reshape(3, 12, 2).mean(axis=2)
    error = of_units.std(axis=1, ddof=1) / np.sqrt(12)
    np.testing.assert_allclose(found.observed, differences.mean(axis=1) / error)
    assert found.null.shape == (200, 3)
    assert found.reason is None


def test_sides_that_are_alike_have_no_difference_in_any_rearrangement():
    values = np.tile(np.random.default_rng(0).normal(size=(2, 24)), 2)
    found = swapped_mean(of_values(values), UNITS)
    assert not found.observed.any()
    assert not found.null.any()


def test_with_few_groups_there_is_a_reason_and_no_null():
    found = swapped_mean(of_values(np.random.default_rng(0).normal(size=(2, 8))), np.arange(4))
    assert "few" in found.reason
    assert found.null.shape == (0, 2)


def test_the_interval_of_a_mean_is_students():
    values = np.random.default_rng(0).normal(size=(9, 2))
    without = np.stack([np.delete(values, place, axis=0).mean(axis=0) for place in range(9)])
    low, high = jackknife_interval(values.mean(axis=0), without)
    half = t.ppf(0.975, 8) * values.std(axis=0, ddof=1) / 3
    np.testing.assert_allclose(np.stack([low, high]), values.mean(axis=0) + np.array([[-1], [1]]) * half)


@pytest.mark.parametrize("stretch", [1.0, 4.0])
def test_a_logarithm_is_that_of_the_mean(stretch):
    values = np.random.default_rng(0).random((2, 48)) + 1
    values[:, 24:] = values[:, :24] / stretch
    found = swapped_mean(of_values(values), UNITS, logarithm=True)
    np.testing.assert_allclose(found.difference, np.log(stretch), atol=1e-12)
