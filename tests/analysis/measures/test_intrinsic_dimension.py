import warnings

import numpy as np
import pytest

from iclviz.analysis import measured, measured_change
from iclviz.analysis.comparison import compare
from iclviz.analysis.measure import Measuring
from iclviz.analysis.measures import measure_named
from iclviz.analysis.measures.intrinsic_dimension import distances, inverse_mle, inverse_two_nn, mle, two_nn

MEASURE = measure_named("intrinsic_dimension")
GROUPS = np.repeat(np.arange(16), 4)


@pytest.fixture
def library():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import skdim
    return skdim


@pytest.fixture
def of_dimension(recording):
    """A recording of 64 items in 16 groups whose layers have Gaussian states of these dimensions, turned into 50."""

    def make(*dimensions, seed=0, key="0" * 32, **fields):
        rng = np.random.default_rng(seed)
        turned = np.linalg.qr(rng.normal(size=(50, 50)))[0]
        layers = [rng.normal(size=(64, one)) @ turned[:one] for one in dimensions]
        x = np.stack(layers, axis=1).astype(np.float32)
        groups = {"class": GROUPS}
        return recording(64, len(dimensions) - 1, embeddings={"query_mean": x}, groups=groups, key=key, **fields)

    return make


@pytest.mark.parametrize("dimension", [2, 10, 40])
@pytest.mark.parametrize("neighbours", [5, 20])
def test_the_local_dimension_is_that_of_scikit_dimension(library, dimension, neighbours):
    x = np.random.default_rng(0).normal(size=(64, dimension))
    found = inverse_mle(neighbours)(distances(x[:, None]))[0]
    known = library.id.MLE(K=neighbours).fit_transform_pw(x, n_neighbors=neighbours)
    np.testing.assert_allclose(1 / found, known)
    assert mle(found[None])[0] == pytest.approx(1 / np.mean(1 / known))


@pytest.mark.parametrize("dimension", [2, 10, 40])
def test_two_neighbours_say_what_scikit_dimension_says(library, dimension):
    x = np.random.default_rng(1).normal(size=(64, dimension))
    known = library.id.TwoNN(discard_fraction=0.1).fit(x).dimension_
    assert two_nn(inverse_two_nn(distances(x[:, None])))[0] == pytest.approx(known)


@pytest.mark.parametrize("estimator", ["mle", "two_nn"])
def test_more_directions_are_a_larger_dimension_and_the_interval_holds_it(of_dimension, estimator):
    found = measured(of_dimension(2, 5, 20), "intrinsic_dimension", Measuring(own={"estimator": estimator}))
    assert (np.diff(found.estimate) > 0).all()
    assert ((found.low < found.estimate) & (found.estimate < found.high)).all()
    assert found.estimate[0] == pytest.approx(2, abs=0.6)
    assert np.isnan(found.p).all()


def test_the_bias_of_so_many_items_stands_beside_it(of_dimension):
    one = of_dimension(20)
    found = measured(one, "intrinsic_dimension")
    assert found.gaussian[2] == pytest.approx(2, abs=0.4)
    assert found.gaussian[50] < 25
    (note,) = MEASURE.notes([found], one, Measuring(), {})
    assert f"{found.gaussian[20]:.1f} (20)" in note
    assert "(5), " in note
    assert set(found.by_neighbours) == {5, 10, 20, 40}


def test_items_of_one_state_have_no_dimension_and_that_is_said(of_dimension):
    one = of_dimension(5, 5)
    one.embeddings["query_mean"][:, 0] = 1.0
    one.embeddings["query_mean"][1, 1] = one.embeddings["query_mean"][0, 1] * np.float32(1 + 2**-22)
    found = measured(one, "intrinsic_dimension")
    assert np.isnan(found.estimate[0])
    assert "same embedding" in found.missing[0] or "same state" in found.missing[0]
    assert found.n_equal.tolist() == [64, 2]
    assert (
        "2 items of a layer have an equal" in MEASURE.notes([found], one, Measuring(), {})[0]
        or "64 items" in (MEASURE.notes([found], one, Measuring(), {})[0])
    )


def test_a_change_of_dimension_is_found_where_it_is_and_nowhere_else(of_dimension):
    a, b = of_dimension(5, 5, key="a" * 32), of_dimension(5, 20, seed=1, key="b" * 32)
    test = measured_change(compare(a, b), "intrinsic_dimension")
    assert test.p_corrected[1] < 0.05 < test.p_corrected[0]
    assert test.low[1] > 0
    each = [measured(one, "intrinsic_dimension").estimate for one in (a, b)]
    np.testing.assert_allclose(test.estimate, np.log(each[1] / each[0]))


def test_layers_that_are_the_same_in_both_have_no_change(of_dimension):
    a = of_dimension(5, 5)
    test = measured_change(compare(a, of_dimension(5, 5, key="b" * 32)), "intrinsic_dimension")
    assert test.estimate.tolist() == [0, 0]
    assert np.isnan(test.p).all()


def test_over_seeds_the_change_is_tested_too(of_dimension):
    a = [of_dimension(5, seed=seed, key=f"{seed}a") for seed in range(3)]
    b = [of_dimension(20, seed=9 + seed, key=f"{seed}b") for seed in range(3)]
    test = measured_change(compare(a, b), "intrinsic_dimension")
    assert test.n_seeds == 3
    assert test.p[0] < 0.05
