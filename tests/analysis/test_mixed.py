import numpy as np
import pytest

from iclviz.analysis import mixed_model, standardised

SETS = np.repeat(np.arange(20), 3)


def test_it_gives_back_what_was_put_in():
    rng = np.random.default_rng(0)
    word = np.tile(np.arange(6), 10)
    values = 1.0 + 2.0 * rng.normal(size=20)[SETS] + 0.5 * rng.normal(size=6)[word] + rng.normal(size=60)
    found = mixed_model(values, {"set": SETS, "word": word})
    assert found.reason is None
    assert found.low < 1.0 < found.high
    assert found.parts["set"] == pytest.approx(2.0, rel=0.4)
    assert found.parts["rest"] == pytest.approx(1.0, rel=0.3)


def test_sets_make_it_less_sure_than_single_items_would():
    values = 2.0 * np.random.default_rng(0).normal(size=20)[SETS] + 0.1 * np.random.default_rng(1).normal(size=60)
    found = mixed_model(values, {"set": SETS})
    naive = values.std(ddof=1) / np.sqrt(60)
    assert (found.high - found.low) / 4 > 1.4 * naive


@pytest.mark.parametrize(
    ("values", "parts", "reason"),
    [
        (np.zeros(30), {"set": np.repeat(np.arange(10), 3)}, "all the same"),
        (np.arange(5.0), {"set": np.zeros(5)}, "too few"),
        (np.arange(30.0), {"item": np.arange(30)}, "no part has several levels"),
        (np.arange(5000.0), {"set": np.repeat(np.arange(500), 10)}, "more than 1,000"),
    ],
)
def test_where_there_is_none_it_says_why(values, parts, reason):
    found = mixed_model(values, parts)
    assert reason in found.reason
    assert np.isnan(found.estimate)


def test_seeds_that_differ_make_it_less_sure():
    values = np.random.default_rng(0).normal(size=20)[SETS]
    alike, unlike = (mixed_model(values, {"set": SETS}, spread * np.arange(5.0)) for spread in (0.0, 1.0))
    assert unlike.error > 2 * alike.error
    assert unlike.degrees < 8 < alike.degrees
    assert unlike.parts["seed"] == pytest.approx(np.std(np.arange(5.0), ddof=1))


def test_the_standardised_size_is_hedges_g_of_the_groups():
    values = np.random.default_rng(0).normal(1.0, 2.0, size=20)[SETS]
    means = values[::3]
    plain = means.mean() / means.std(ddof=1)
    assert standardised(values, SETS) == pytest.approx(plain * (1 - 3 / (4 * 19 - 1)), rel=1e-3)
    assert np.isnan(standardised(np.ones(60), SETS))
