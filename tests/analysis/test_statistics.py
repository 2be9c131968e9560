from itertools import permutations as all_orders

import numpy as np
import pytest

from iclviz.analysis.statistics import (
    benjamini_hochberg,
    mean_interval,
    p_values,
    percentile_interval,
    permutations,
    too_few,
    unit_codes,
)
from iclviz.errors import AnalysisError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_few_units_are_permuted_in_every_other_order(rng):
    drawn = permutations(np.arange(4), np.zeros(4), 100, rng)
    assert {tuple(row) for row in drawn} == set(all_orders(range(4))) - {(0, 1, 2, 3)}


def test_exchanging_like_units_is_not_counted_as_another_arrangement(rng):
    kinds = np.array([0, 0, 0, 1, 1])
    drawn = permutations(kinds, np.zeros(5), 100, rng)
    patterns = {tuple(row) for row in kinds[drawn]}
    assert len(drawn) == len(patterns) == 10 - 1
    assert tuple(kinds) not in patterns


def test_units_stay_in_their_stratum(rng):
    strata = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0, 1])
    for n_permutations in (50, 100_000):
        drawn = permutations(np.arange(10), strata, n_permutations, rng)
        assert (strata[drawn] == strata).all()
        assert (np.sort(drawn, axis=1) == np.arange(10)).all()
    assert len(drawn) == 120 * 120 - 1


def test_units_that_are_all_alike_leave_nothing_to_permute(rng):
    assert permutations(np.zeros(40, dtype=int), np.zeros(40), 1000, rng).shape == (0, 40)


def test_p_counts_the_observed_arrangement(rng):
    null = rng.normal(size=(999, 1))
    assert p_values(np.array([10.0]), null).p == pytest.approx(1 / 1000)
    assert p_values(np.array([-10.0]), null).p == pytest.approx(1.0)


def test_correction_uses_each_layers_own_null(rng):
    """A layer whose null is ten times as wide must not hide one that stands out of its own."""
    null = rng.normal(size=(999, 2)) * [1.0, 10.0]
    result = p_values(np.array([6.0, 0.0]), null)
    assert result.p_corrected[0] == pytest.approx(1 / 1000)
    assert result.p_corrected[1] > 0.5


def test_corrected_p_is_never_below_the_layers_own(rng):
    result = p_values(rng.normal(size=12), rng.normal(size=(500, 12)))
    assert (result.p_corrected >= result.p - 1e-12).all()


def test_a_layer_without_a_value_stays_out_of_the_correction(rng):
    observed, null = np.array([2.0, np.nan, 1.0]), rng.normal(size=(300, 3))
    null[:, 1] = np.nan
    result, alone = p_values(observed, null), p_values(observed[[0, 2]], null[:, [0, 2]])
    for name in ("p", "p_corrected", "p_fdr"):
        assert np.isnan(getattr(result, name)[1])
        assert np.array_equal(getattr(result, name)[[0, 2]], getattr(alone, name))


def test_benjamini_hochberg_agrees_with_its_definition():
    p = np.array([0.01, np.nan, 0.04, 0.03, 0.5])
    expected = [0.04, np.nan, 0.04 * 4 / 3, 0.04 * 4 / 3, 0.5]
    assert np.allclose(benjamini_hochberg(p), expected, equal_nan=True)
    assert np.isnan(benjamini_hochberg(np.array([np.nan]))).all()


def test_too_few_groups_are_said_in_words():
    assert too_few(8) is None
    assert "too few groups (5 < 8)" in too_few(5)


def test_percentiles_of_nothing_are_nan():
    low, high = percentile_interval(np.full((10, 2), np.nan))
    assert np.isnan(low).all()
    assert np.isnan(high).all()


def test_mean_interval_covers_the_mean_of_grouped_data_as_often_as_it_says():
    """20 groups of 5 items that share most of their noise; an item bootstrap would cover some 60 %."""
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(20), 5)
    values = rng.normal(size=(20, 400))[groups] + 0.3 * rng.normal(size=(100, 400))
    result = mean_interval(values, groups)
    covered = ((result.low < 0) & (result.high > 0)).mean()
    assert 0.88 < covered < 0.97
    by_item = mean_interval(values)
    assert ((by_item.low < 0) & (by_item.high > 0)).mean() < 0.75


def test_mean_interval_leaves_missing_values_out():
    values = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan]])
    result = mean_interval(values)
    assert result.mean[0] == 2
    assert np.isnan([result.mean[1], result.low[1], result.high[1]]).all()
    assert result.n.tolist() == [2, 0]


def test_one_group_has_a_mean_and_no_interval():
    result = mean_interval(np.array([1.0, 2.0]), ["a", "a"])
    assert result.mean == 1.5
    assert np.isnan(result.low)
    assert result.n_units == 1


def test_groups_must_match_items():
    assert unit_codes(["b", "a", "b"], 3).tolist() == [1, 0, 1]
    with pytest.raises(AnalysisError, match="one group for each item"):
        unit_codes(["a"], 3)
