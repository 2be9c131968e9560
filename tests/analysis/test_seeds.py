import numpy as np
from scipy.stats import ttest_1samp

from iclviz.analysis.seeds import of_one, over_seeds


def test_the_interval_is_students_over_seeds():
    values = np.random.default_rng(0).normal(size=(5, 3))
    found = over_seeds(values)
    expected = ttest_1samp(values, 0).confidence_interval()
    np.testing.assert_allclose(found.estimate, values.mean(axis=0))
    np.testing.assert_allclose((found.low, found.high), (expected.low, expected.high))
    assert found.n_seeds == 5


def test_fewer_than_three_seeds_have_no_interval():
    found = over_seeds([[0.2, 0.3], [0.4, 0.1]])
    np.testing.assert_allclose(found.estimate, [0.3, 0.2])
    assert np.isnan(found.low).all()


def test_the_interval_covers_the_mean_of_all_sets_as_often_as_it_says():
    draws = np.random.default_rng(1).normal(1.0, 2.0, size=(5, 4000))
    found = over_seeds(draws)
    assert abs(np.mean((found.low <= 1.0) & (found.high >= 1.0)) - 0.95) < 0.012


def test_a_layer_that_one_seed_has_no_value_of_is_empty():
    found = over_seeds([[0.2, np.nan], [0.4, 0.1], [0.3, 0.2]])
    assert np.isfinite(found.estimate[0])
    assert np.isnan([found.estimate[1], found.low[1]]).all()


def test_a_single_seed_keeps_its_own_interval():
    found = of_one(0.5, 0.4, 0.6)
    assert (found.estimate[0], found.low[0], found.high[0], found.n_seeds) == (0.5, 0.4, 0.6, 1)
