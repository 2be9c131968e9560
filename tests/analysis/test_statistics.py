from itertools import permutations as all_orders

import numpy as np
import pytest

from iclviz.analysis.statistics import (
    benjamini_hochberg,
    holm,
    mean_interval,
    p_values,
    percentile_interval,
    permutations,
    share_interval,
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


def test_a_mean_of_which_one_group_alone_has_values_has_no_interval():
    for values in ([1.5, np.nan, np.nan], [1.0, np.nan, np.nan]):
        result = mean_interval(np.array(values))
        assert result.mean == values[0]
        assert np.isnan([result.low, result.high]).all()


# --- Shares


def test_independent_items_have_wilsons_interval():
    """Against its closed form (Wilson 1927) for 29 of 32."""
    result = mean_interval(np.repeat([1.0, 0.0], [29, 3]))
    n, share, z = 32, 29 / 32, 1.959964
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    assert result.is_share
    assert (result.low, result.high) == pytest.approx((middle - half, middle + half), rel=1e-5)


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("groups", [None, np.arange(32) // 2])
def test_the_interval_of_a_share_of_none_or_all_has_a_width(share, groups):
    result = mean_interval(np.full(32, share), groups)
    assert result.high - result.low > 0.09
    assert share in (result.low, result.high)


def test_items_that_a_group_shares_count_once():
    """Copies of an item add nothing: the interval is that of the groups."""
    values = np.repeat([1.0, 0.0], [10, 6])
    alone, copied = mean_interval(values), mean_interval(np.repeat(values, 3), np.repeat(np.arange(16), 3))
    assert np.allclose([copied.low, copied.high], [alone.low, alone.high])


def test_an_item_that_counts_for_nothing_changes_nothing():
    right = np.array([[1.0], [0.0], [1.0], [1.0], [0.0]])
    weights = np.array([[1.0], [1.0], [1.0], [1.0], [0.0]])
    given, left_out = share_interval(right, np.arange(5), weights), share_interval(right[:4], np.arange(4))
    assert np.allclose(given, left_out)


def test_values_that_are_no_shares_are_resampled_as_before():
    values = np.array([[1.0, 0.0], [0.0, 0.5], [1.0, 1.0], [0.0, 1.0]])
    assert mean_interval(values).is_share.tolist() == [True, False]
    assert mean_interval(values).low[1] == mean_interval(values[:, 1]).low


@pytest.mark.parametrize(("size", "alike"), [(1, 0.0), (2, 0.0), (2, 0.5), (2, 1.0)])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.97])
def test_the_interval_of_a_share_covers_it_as_often_as_it_says(size, alike, share):
    """32 items, singly or in pairs of which a part is alike; a bootstrap covers 0.97 some 60 % of the time."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(32 // size), size)
    single, shared = rng.random((32, 4000)) < share, (rng.random((32 // size, 4000)) < share)[groups]
    values = np.where((rng.random((32 // size, 4000)) < alike)[groups], shared, single).astype(float)
    result = mean_interval(values, groups)
    covered = ((result.low <= share) & (share <= result.high)).mean()
    assert 0.91 < covered < 0.995
    assert (result.high - result.low).min() > 0.05


def test_groups_must_match_items():
    assert unit_codes(["b", "a", "b"], 3).tolist() == [1, 0, 1]
    with pytest.raises(AnalysisError, match="one group for each item"):
        unit_codes(["a"], 3)


def test_holm_steps_down_from_bonferroni_and_never_falls():
    p = np.array([0.04, 0.01, 0.03, 0.5])
    np.testing.assert_allclose(holm(p), [0.09, 0.04, 0.09, 0.5])
