import numpy as np
import pytest

from iclviz.analysis import alignment, alignment_test, item_alignment, rsms, score_difference
from iclviz.analysis.behaviour import score_of
from iclviz.analysis.comparison import compare
from iclviz.analysis.resolution import held, only_rounding, resolution, same_layers, settled, tied
from tests.analysis.test_comparisons import made  # noqa: F401


def same_group(n, size):
    groups = np.arange(n) // size
    return (groups[:, None] == groups).astype(float), groups


def test_similarities_that_float16_hardly_tells_apart_have_no_alignment():
    rng = np.random.default_rng(1)
    hypothesis, groups = same_group(24, 2)
    matrix = rng.uniform(-0.0436, -0.0434, size=(24, 24))
    matrix = ((matrix + matrix.T) / 2 + 1e-4 * hypothesis).clip(-0.0436, -0.0434).astype(np.float16)
    assert np.isnan(alignment(matrix, hypothesis))
    test = alignment_test(matrix[None], hypothesis, groups, n_permutations=19, n_bootstrap=0)
    assert np.isnan(test.p).all()
    assert test.missing == {0: "its similarities are missing, or all the same"}
    assert np.isfinite(alignment(matrix.astype(np.float64), hypothesis))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_items_that_rounding_alone_keeps_apart_are_the_same(dtype):
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(1, 64)), 16, axis=0)
    rounded = (x * (1 + np.finfo(dtype).eps * rng.uniform(-1, 1, size=x.shape))).astype(dtype)
    assert only_rounding(rounded)
    assert np.isnan(rsms(rounded[:, None])).all()
    apart = (x + 0.1 * rng.normal(size=x.shape)).astype(dtype)
    assert not only_rounding(apart)


def test_the_same_numbers_in_float32_hold_what_float16_does_not():
    rng = np.random.default_rng(0)
    x = 1 + 0.001 * rng.normal(size=(16, 64))
    assert only_rounding(x.astype(np.float16))
    assert not only_rounding(x.astype(np.float32))


def test_one_large_dimension_does_not_hide_what_the_others_hold():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16, 64))
    x[:, 0] = 1000.0
    assert not only_rounding(x.astype(np.float16))


def test_a_layer_of_b_that_rounding_alone_tells_from_a_is_the_same():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(16, 2, 64)).astype(np.float16)
    b = a.copy()
    b[:, 0] = np.nextafter(a[:, 0], np.float16(10))
    b[:, 1] += np.float16(0.1)
    assert same_layers(a, b).tolist() == [True, False]


def test_ties_begin_at_the_least_value_and_reach_no_further_than_the_least_difference():
    values = np.array([0.0, 0.05, 0.09, 0.14, 3.0, np.nan, 3.05])
    np.testing.assert_array_equal(tied(values, 0.1), [0.0, 0.0, 0.0, 0.14, 3.0, np.nan, 3.0])
    np.testing.assert_array_equal(tied(values, 0.0), values)


def test_rows_have_least_differences_of_their_own():
    values = np.array([[0.0, 0.05, 1.0], [0.0, 0.05, 1.0]])
    np.testing.assert_array_equal(tied(values, np.array([0.1, 0.01])), [[0, 0, 1], [0, 0.05, 1]])


def test_a_long_run_of_close_values_keeps_its_order():
    values = np.random.default_rng(0).permutation(np.linspace(0, 1, 1001))
    found = tied(values, 0.0105)
    assert len(np.unique(found)) == 91
    assert (np.argsort(values, kind="stable")[np.argsort(np.sort(values))] >= 0).all()
    assert np.all(np.diff(found[np.argsort(values)]) >= 0)
    assert np.abs(found - values).max() <= 0.0105


def test_small_differences_are_none():
    np.testing.assert_array_equal(settled(np.array([-2e-4, 5e-5, 1e-4, np.nan]), 1e-4), [-2e-4, 0, 0, np.nan])


def test_a_measures_resolution_is_ten_times_what_rounding_moves_it():
    x = np.random.default_rng(0).uniform(0.5, 1, size=(400, 1, 8)).astype(np.float16)
    found = resolution(lambda one: one[:, :, 0], x)
    assert found[0] == pytest.approx(10 * 2**-11 / np.sqrt(12), rel=0.1)  # uniform within half a unit of 0.5 to 1


def test_matrices_in_float64_stay_as_they_are():
    matrix = np.random.default_rng(0).normal(size=(2, 5, 5))
    np.testing.assert_array_equal(held(matrix), matrix)


def test_pairs_of_the_same_two_prompts_are_ties_before_ranks():
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(8, 1, 32)), 3, axis=0).astype(np.float32)
    noisy = x * (1 + 1e-7 * rng.normal(size=x.shape)).astype(np.float32)
    hypothesis, _ = same_group(24, 3)
    np.testing.assert_allclose(item_alignment(rsms(noisy), hypothesis), item_alignment(rsms(x), hypothesis), atol=1e-12)


@pytest.mark.parametrize(("dtype", "least"), [("float32", 1e-4), ("float16", 2**-6), ("bfloat16", 2**-3)])
def test_a_change_of_log_probability_below_what_arithmetic_holds_is_none(made, dtype, least):  # noqa: F811
    rng = np.random.default_rng(0)
    before = rng.normal(size=32)

    def change_of(size):
        moved = before + size * rng.uniform(0.5, 1, 32)
        sides = [made(0, scores={"logprob_margin": margin}) for margin in (before, moved)]
        for one in sides:
            object.__setattr__(one, "spec", one.spec.with_(dtype=dtype))
        return score_difference(compare(*sides), "logprob_margin")

    assert change_of(0.9 * least).estimate[0] == 0
    assert np.isnan(change_of(0.9 * least).p[0])
    assert change_of(9 * least).p[0] < 0.05


def test_an_answer_that_nothing_tells_from_others_is_half_preferred(made):  # noqa: F811
    margin = np.array([1e-6, -1e-6, 0.0, 0.5] * 8)
    one = made(0, scores={"logprob_margin": margin, "prefers_right": (margin > 0).astype(float)})
    np.testing.assert_array_equal(score_of(one, "prefers_right")[:4], [0.5, 0.5, 0.5, 1.0])
