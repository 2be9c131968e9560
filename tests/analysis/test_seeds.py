import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from iclviz.analysis.seeds import over_seeds


def without_items(values):
    """Seeds of infinitely many items."""
    return over_seeds(values, values, values)


def test_where_items_add_nothing_the_interval_is_students_over_seeds():
    values = np.random.default_rng(0).normal(size=(5, 3))
    found, expected = without_items(values), ttest_1samp(values, 0).confidence_interval()
    np.testing.assert_allclose(found.estimate, values.mean(axis=0))
    np.testing.assert_allclose((found.low, found.high), (expected.low, expected.high))
    assert found.n_seeds == 5


def test_where_seeds_add_nothing_the_interval_is_that_over_items():
    found = over_seeds([[0.5]] * 4, [[0.4]] * 4, [[0.8]] * 4)
    np.testing.assert_allclose((found.low[0], found.high[0]), (0.4, 0.8))


def test_a_single_seed_keeps_its_own_interval():
    found = over_seeds([[0.5]], [[0.4]], [[0.6]])
    np.testing.assert_allclose((found.estimate[0], found.low[0], found.high[0]), (0.5, 0.4, 0.6))
    assert found.n_seeds == 1
    assert over_seeds([[0.5]], [[0.4]], [[0.6]], has_seeds=False).n_seeds == 0


def test_two_seeds_have_no_interval():
    found = without_items(np.array([[0.2, 0.3], [0.4, 0.1]]))
    np.testing.assert_allclose(found.estimate, [0.3, 0.2])
    assert np.isnan(found.low).all()


def test_a_layer_that_one_seed_has_no_value_of_is_empty():
    found = without_items(np.array([[0.2, np.nan], [0.4, 0.1], [0.3, 0.2]]))
    assert np.isfinite(found.estimate[0])
    assert np.isnan([found.estimate[1], found.low[1]]).all()


@pytest.mark.parametrize(("items", "seeds", "both"), [(1.0, 0.0, 0.3), (1.0, 0.3, 0.5), (0.3, 0.5, 0.3)])
def test_the_interval_covers_the_mean_over_all_sets_and_items(items, seeds, both):
    rng, n_items, n_seeds, draws = np.random.default_rng(1), 32, 5, 2000
    values = (
        rng.normal(0, items, (1, n_items, draws))
        + rng.normal(0, seeds, (n_seeds, 1, draws))
        + rng.normal(0, both, (n_seeds, n_items, draws))
    )
    mean = values.mean(axis=1)
    half = t.ppf(0.975, n_items - 1) * values.std(axis=1, ddof=1) / np.sqrt(n_items)
    found = over_seeds(mean, mean - half, mean + half)
    assert np.mean((found.low <= 0) & (found.high >= 0)) >= 0.94
