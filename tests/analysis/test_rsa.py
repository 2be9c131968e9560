import warnings

import numpy as np
import pytest
from rsatoolbox.data import Dataset
from rsatoolbox.rdm import calc_rdm
from scipy import stats

from iclviz.analysis import alignment, alignment_test, recording_alignment, rsm, rsms
from iclviz.analysis.correlations import _ranks, align, pairs_of
from iclviz.analysis.hypothesis_permutations import arrangement
from iclviz.analysis.resampling import resamples
from iclviz.errors import AnalysisError
from tests.oracles import rsa as oracle

METHODS = ["spearman", "pearson", "tau-a", "rho-a"]


def same(labels):
    return (labels[:, None] == labels[None, :]).astype(float)


def nearness(values):
    return -np.abs(values[:, None] - values[None, :]).astype(float)


def noise_rsms(rng, n, n_layers=3, d=20):
    return rsms(rng.normal(size=(n, n_layers, d)))


# --- RSMs


def test_cosine_rsm_agrees_with_the_pairwise_definition():
    x = np.random.default_rng(0).normal(loc=3.0, size=(7, 5))
    assert np.allclose(rsm(x), oracle.cosine_rsm(x))
    assert np.allclose(rsm(x, center=False), oracle.cosine_rsm(x, center=False))


def test_pearson_and_euclidean_rsms_agree_with_rsatoolbox():
    x = np.random.default_rng(0).normal(loc=1.0, size=(7, 12))
    upper = np.triu_indices(7, 1)
    correlation = calc_rdm(Dataset(x), method="correlation").dissimilarities[0]
    assert np.allclose(1 - rsm(x, "pearson", center=False)[upper], correlation)
    squared = calc_rdm(Dataset(x), method="euclidean").dissimilarities[0] * x.shape[1]
    assert np.allclose(rsm(x, "euclidean")[upper] ** 2, squared)
    assert (rsm(x, "euclidean") <= 0).all()


def test_spearman_rsm_agrees_with_scipy():
    x = np.random.default_rng(0).normal(size=(6, 15)).round(1)
    assert np.allclose(rsm(x, "spearman", center=False), stats.spearmanr(x, axis=1).statistic)


def test_a_common_mean_hides_structure_unless_it_is_subtracted():
    x = np.random.default_rng(0).normal(size=(20, 50)) + 100
    upper = np.triu_indices(20, 1)
    assert rsm(x, center=False)[upper].min() > 0.99
    assert abs(rsm(x)[upper].mean()) < 0.1


@pytest.mark.parametrize("value", [0.1, 1234.567])
def test_items_that_are_all_the_same_give_nan_and_not_rounding_noise(value):
    x = np.full((9, 30), np.float32(value))
    for metric in ("cosine", "pearson", "spearman"):
        assert np.isnan(rsm(x, metric)).all()


@pytest.mark.parametrize("size", [1.0, 1e-4, 1e30])
def test_items_that_float32_rounding_keeps_apart_are_the_same(size):
    """Noise of 1e-6 of the embeddings' size has no structure to be found; a hundred times as much is kept."""
    noise = np.random.default_rng(0).normal(size=(9, 1, 30))
    hypothesis = same(np.arange(9) // 3)
    for metric in ("cosine", "pearson", "spearman", "euclidean"):
        for center in (True, False):
            rounded = (size * (3 + 1e-6 * noise)).astype(np.float32)
            real = (size * (3 + 1e-2 * noise)).astype(np.float32)
            assert np.isnan(alignment(rsms(rounded, metric, center)[0], hypothesis))
            assert np.isfinite(alignment(rsms(real, metric, center)[0], hypothesis))


def test_similarities_that_float32_rounding_keeps_apart_are_the_same():
    """Raw cosines of items that differ by some 1e-4 are 1 but for the last bits."""
    x = 1 + 1e-4 * np.random.default_rng(0).normal(size=(9, 1, 30))
    hypothesis = same(np.arange(9) // 3)
    assert np.isnan(alignment(rsms(x, center=False)[0], hypothesis))
    assert np.isfinite(alignment(rsms(x)[0], hypothesis))


def test_embeddings_that_are_not_finite_give_nan_without_a_warning():
    x = np.random.default_rng(0).normal(size=(9, 3, 30))
    x[2, 1, 4], x[5, 2, 0] = np.inf, np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for metric in ("cosine", "pearson", "spearman", "euclidean"):
            stack = rsms(x, metric, drop_largest=0.05)
            assert np.isnan(stack).all(axis=(1, 2)).tolist() == [False, True, True]
        result = alignment_test(stack, same(np.arange(9) // 3), n_permutations=50, n_bootstrap=50)
    assert np.isnan(result.estimate).tolist() == [False, True, True]
    assert set(result.missing) == {1, 2}
    assert "missing" in result.missing[1]


def test_a_recordings_layers_without_a_value_are_named_with_the_reason(recording):
    x = np.random.default_rng(0).normal(size=(9, 3, 30)).astype(np.float32)
    x[:, 0] = 1.5
    x[2, 1, 4] = np.inf
    record = recording(9, embeddings={"query_mean": x}, hypotheses={"same": same(np.arange(9) // 3)})
    missing = recording_alignment(record, "same", n_permutations=50).missing
    assert set(missing) == {0, 1}
    assert "same embedding" in missing[0]
    assert "not finite" in missing[1]


def test_an_item_without_direction_is_nan_alone():
    x = np.random.default_rng(0).normal(size=(5, 4))
    x[2] = 0
    nan = np.isnan(rsm(x, center=False))
    assert nan[2].all()
    assert nan[:, 2].all()
    assert nan.sum() == 9


def test_dropping_the_largest_dimensions_removes_an_outlier_that_carries_the_rsm():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16, 100))
    outlier = x.copy()
    outlier[:, 40] += np.repeat([-500, 500], 8)
    kept = np.delete(np.arange(100), 40)
    assert alignment(rsm(outlier), same(np.repeat([0, 1], 8))) > 0.8
    assert np.allclose(rsm(outlier, drop_largest=0.01), rsm(x[:, kept]))


def test_rsms_stack_the_layers_in_float32():
    x = np.random.default_rng(0).normal(size=(6, 4, 10)).astype(np.float16)
    stack = rsms(x)
    assert stack.shape == (4, 6, 6)
    assert stack.dtype == np.float32
    assert np.allclose(stack[2], rsm(x[:, 2]), atol=1e-6)


def test_an_unknown_metric_is_answered_with_those_that_are_known():
    with pytest.raises(AnalysisError, match="cosine, pearson, spearman, euclidean"):
        rsm(np.ones((3, 3)), "manhattan")


# --- Alignment


@pytest.mark.parametrize("method", METHODS)
def test_alignment_agrees_with_the_pairwise_definition(method):
    rng = np.random.default_rng(0)
    similarity, hypothesis = rsm(rng.normal(size=(9, 5))).round(1), same(rng.integers(3, size=9))
    hypothesis[0, 3] = hypothesis[3, 0] = similarity[1, 2] = similarity[2, 1] = np.nan
    assert alignment(similarity, hypothesis, method) == pytest.approx(oracle.alignment(similarity, hypothesis, method))


def test_rho_a_is_the_expected_rho_over_random_orders_of_ties():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=12), rng.integers(3, size=12).astype(float)
    broken = [stats.spearmanr(a, b + 1e-6 * rng.normal(size=12)).statistic for _ in range(4000)]
    assert oracle.rho_a(a, b) == pytest.approx(np.mean(broken), abs=0.01)


@pytest.mark.parametrize("method", METHODS)
def test_the_diagonal_says_nothing(method):
    rng = np.random.default_rng(0)
    similarity, hypothesis = rsm(rng.normal(size=(8, 5))), nearness(rng.normal(size=8))
    other = similarity + np.diag(rng.normal(size=8))
    assert alignment(other, hypothesis, method) == alignment(similarity, hypothesis, method)


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_side_has_no_alignment(method):
    similarity = rsm(np.random.default_rng(0).normal(size=(6, 5)))
    assert np.isnan(alignment(similarity, np.ones((6, 6)), method))
    assert np.isnan(alignment(np.ones((6, 6)), similarity, method))
    assert np.isnan(alignment(similarity, np.full((6, 6), np.nan), method))


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(AnalysisError, match="same items"):
        alignment(np.ones((3, 3)), np.ones((4, 4)))
    with pytest.raises(AnalysisError, match="tau-a"):
        alignment(np.ones((3, 3)), np.ones((3, 3)), "kendall")


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_items_are_refused_with_a_sentence(n):
    with pytest.raises(AnalysisError, match=f"at least 3 items, and there are {n}"):
        alignment_test(np.ones((2, n, n)), np.ones((n, n)))


def test_no_items_make_no_rsm():
    with pytest.raises(AnalysisError, match="some items"):
        rsms(np.ones((0, 2, 5)))


# --- The unit of permutation


def test_a_hypothesis_that_is_constant_on_groups_permutes_groups():
    lines = np.repeat(np.arange(10), [1, 2, 3, 4, 2, 2, 3, 1, 2, 2])
    slopes = np.arange(10) % 4
    units = arrangement(nearness(slopes[lines]), lines)
    assert units.unit == "groups"
    for place in units.places(20, np.random.default_rng(0)):
        permuted = units.matrix[np.ix_(place, place)]
        said = slopes[place[np.unique(lines, return_index=True)[1]]]
        assert sorted(said) == sorted(slopes)
        assert np.array_equal(permuted, nearness(said[lines]))


def test_a_hypothesis_that_varies_inside_groups_permutes_whole_groups_of_one_size():
    rng = np.random.default_rng(0)
    sets, activity = np.repeat(np.arange(10), 3), rng.integers(5, size=30)
    hypothesis = same(activity)
    units = arrangement(hypothesis, sets)
    assert units.unit == "blocks"
    for place in units.places(20, rng):
        assert (place.reshape(10, 3) % 3 == np.arange(3)).all()
        assert (np.ptp(place.reshape(10, 3) // 3, axis=1) == 0).all()


def test_versions_that_every_document_has_are_permuted_within_documents():
    documents, injected = np.repeat(np.arange(9), 3), np.tile([0, 1, 0], 9)
    units = arrangement(same(injected), documents)
    assert units.unit == "items within groups"
    for place in units.places(20, np.random.default_rng(0)):
        assert (documents[place] == documents).all()


def test_a_diagonal_does_not_tell_two_items_apart():
    hypothesis = same(np.repeat([0, 1], 6))
    np.fill_diagonal(hypothesis, np.arange(12))
    assert len(arrangement(hypothesis, np.arange(12)).places(1000, np.random.default_rng(0))) == 924 - 1


def test_group_membership_cannot_be_tested_by_permuting_groups():
    lines = np.repeat(np.arange(10), 3)
    result = alignment_test(noise_rsms(np.random.default_rng(0), 30), same(lines), lines, n_bootstrap=50)
    assert np.isnan(result.p).all()
    assert "leaves the hypothesis as it is" in result.reason
    assert np.isfinite(alignment_test(noise_rsms(np.random.default_rng(0), 30), same(lines), n_bootstrap=50).p).all()


def test_too_few_groups_give_a_reason_and_no_p():
    lines = np.repeat(np.arange(5), 4)
    result = alignment_test(noise_rsms(np.random.default_rng(0), 20), nearness(lines), lines, n_bootstrap=50)
    assert np.isnan(np.concatenate([result.p, result.p_corrected, result.p_fdr])).all()
    assert "too few groups (5 < 8)" in result.reason
    assert np.isfinite(result.estimate).all()
    assert np.isfinite(result.low).all()


def test_groups_of_too_many_sizes_leave_too_few_that_can_trade_places():
    rng = np.random.default_rng(0)
    sets = np.repeat(np.arange(10), [3, 3, 3, 2, 2, 2, 2, 2, 4, 4])
    result = alignment_test(noise_rsms(rng, len(sets)), nearness(rng.normal(size=len(sets))), sets, n_bootstrap=0)
    assert "too few groups (5 < 8)" in result.reason


# --- p


@pytest.mark.parametrize("method", METHODS)
def test_p_agrees_with_permuting_the_matrix_item_by_item(method):
    rng = np.random.default_rng(0)
    stack, hypothesis = noise_rsms(rng, 9), same(np.array([0] * 2 + [1] * 7))
    result = alignment_test(stack, hypothesis, method=method, n_bootstrap=0)
    assert result.n_permutations == 36 - 1
    for layer, similarity in enumerate(stack.astype(float)):
        splits = [np.isin(np.arange(9), (i, j)).astype(int) for i in range(9) for j in range(i)]
        null = np.array([oracle.alignment(similarity, same(split), method) for split in splits])
        reached = null >= oracle.alignment(similarity, hypothesis, method) - 1e-9
        assert result.p[layer] == pytest.approx(reached.mean())


def test_gaps_that_move_with_the_permutation_are_left_out_each_time():
    rng = np.random.default_rng(0)
    stack, hypothesis = noise_rsms(rng, 8, n_layers=2), same(np.array([0, 0, 1, 1, 1, 1, 1, 1]))
    hypothesis[0, 1] = hypothesis[1, 0] = np.nan
    hypothesis[0, 2:] = hypothesis[2:, 0] = 0.5
    result = alignment_test(stack, hypothesis, n_bootstrap=0)
    orders = [(i, j) for i in range(8) for j in range(8) if i != j]
    for layer, similarity in enumerate(stack.astype(float)):
        null = []
        for i, j in orders:
            order = [i, j, *(k for k in range(8) if k not in (i, j))]
            null.append(oracle.alignment(similarity[np.ix_(order, order)], hypothesis))
        assert result.n_permutations == len(orders) - 1
        assert result.p[layer] == pytest.approx(np.mean(np.array(null) >= null[0] - 1e-9))


def test_structure_is_found_in_the_layer_that_has_it():
    rng = np.random.default_rng(0)
    lines = np.repeat(np.arange(12), 3)
    slopes = (np.arange(12) % 4)[lines]
    x = rng.normal(size=(36, 6, 40))
    x[:, 4] += 2 * slopes[:, None] * rng.normal(size=40)
    result = alignment_test(rsms(x), nearness(slopes), lines, n_permutations=500, n_bootstrap=200)
    assert np.argmax(result.estimate) == 4
    assert result.p_corrected[4] < 0.01
    assert result.low[4] > 0.3
    assert (np.delete(result.p_corrected, 4) > 0.05).all()


def test_the_null_mean_of_an_alignment_is_that_of_permuted_hypotheses_and_not_zero():
    """Lines of two items that resemble each other align with any slopes, since a line has one slope with itself."""
    rng = np.random.default_rng(0)
    lines = np.repeat(np.arange(16), 2)
    x = 2 * rng.normal(size=(16, 1, 20))[lines] + rng.normal(size=(32, 1, 20))
    slopes = np.arange(16) % 4
    stack, hypothesis = rsms(x), nearness(slopes[lines])
    result = alignment_test(stack, hypothesis, lines, n_permutations=500, n_bootstrap=0)
    permuted = [alignment(stack[0], nearness(rng.permutation(slopes)[lines])) for _ in range(200)]
    assert result.null_mean[0] == pytest.approx(np.mean(permuted), abs=0.02)
    assert result.null_mean[0] > 0.05
    few = alignment_test(stack[:, :8, :8], hypothesis[:8, :8], lines[:8], n_bootstrap=0)
    assert np.isnan(few.null_mean).all()


def test_group_noise_is_called_structure_by_items_and_not_by_groups():
    """Items of a line resemble each other for any reason; a slope hypothesis must not be credited with it."""
    rng = np.random.default_rng(0)
    lines = np.repeat(np.arange(12), 4)
    hypothesis = nearness((np.arange(12) % 4)[lines])
    found = {"groups": 0, "items": 0}
    for seed in range(60):
        x = rng.normal(size=(12, 1, 10))[lines] + 0.5 * rng.normal(size=(48, 1, 10))
        for name, groups in (("groups", lines), ("items", None)):
            test = alignment_test(rsms(x), hypothesis, groups, n_permutations=99, n_bootstrap=0, seed=seed)
            found[name] += test.p[0] <= 0.05
    assert found["groups"] <= 8
    assert found["items"] >= 15


def test_corrected_p_finds_something_in_noise_one_time_in_twenty():
    rng = np.random.default_rng(2)
    hypothesis, found = same(np.repeat([0, 1], 8)), 0
    for seed in range(200):
        test = alignment_test(noise_rsms(rng, 16, 5), hypothesis, n_permutations=99, n_bootstrap=0, seed=seed)
        found += test.p_corrected.min() <= 0.05
    assert 2 <= found <= 18


def test_a_constant_layer_stays_out_and_changes_nothing_for_the_others():
    rng = np.random.default_rng(0)
    stack = noise_rsms(rng, 12, 4)
    with_constant = stack.copy()
    with_constant[1] = 1.0
    with_constant[2] = np.nan
    hypothesis = nearness(rng.normal(size=12))
    result = alignment_test(with_constant, hypothesis, n_permutations=200, n_bootstrap=50)
    alone = alignment_test(stack[[0, 3]], hypothesis, n_permutations=200, n_bootstrap=50)
    for name in ("estimate", "low", "high", "null_mean", "p", "p_corrected", "p_fdr"):
        assert np.isnan(getattr(result, name)[1:3]).all()
        assert np.allclose(getattr(result, name)[[0, 3]], getattr(alone, name))


def test_the_same_seed_gives_the_same_result():
    rng = np.random.default_rng(0)
    stack, hypothesis = noise_rsms(rng, 12), nearness(rng.normal(size=12))
    first, again, other = (
        alignment_test(stack, hypothesis, n_permutations=100, n_bootstrap=100, seed=seed) for seed in (3, 3, 4)
    )
    assert np.array_equal(first.p, again.p)
    assert np.array_equal(first.low, again.low)
    assert not np.array_equal(first.low, other.low)


# --- Bootstrap


@pytest.mark.parametrize("method", METHODS)
def test_weights_give_what_a_resample_that_is_really_built_gives(method):
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(6), [1, 2, 3, 1, 2, 2])
    stack = noise_rsms(rng, 11).astype(float)
    stack[1] = stack[1].round(1)
    stack[2, 0, 5] = stack[2, 5, 0] = np.nan
    hypothesis = same(rng.integers(3, size=11))
    hypothesis[3, 4] = hypothesis[4, 3] = np.nan
    draws = rng.integers(6, size=(8, 6))
    weights = np.array([np.bincount(draw, minlength=6) for draw in draws]).astype(float)
    samples = resamples(pairs_of(stack), pairs_of(hypothesis), groups, method, weights)
    expected = [
        [oracle.resampled_alignment(layer, hypothesis, groups, draw, method) for layer in stack] for draw in draws
    ]
    assert np.allclose(samples, expected)


@pytest.mark.parametrize("method", METHODS)
def test_a_resample_in_which_one_side_is_constant_has_no_alignment(method):
    """One pair of groups in eight is predicted otherwise; without it, rounding must not pass for a correlation."""
    rng = np.random.default_rng(0)
    stack, hypothesis = noise_rsms(rng, 8), np.full((8, 8), 0.1)
    hypothesis[0, 1] = hypothesis[1, 0] = 0.7
    weights = rng.multinomial(8, np.full(8, 1 / 8), size=40).astype(float)
    samples = resamples(pairs_of(stack), pairs_of(hypothesis), np.arange(8), method, weights)
    varied = (weights[:, :2] > 0).all(axis=1)
    assert 0 < varied.sum() < 40
    assert np.isnan(samples[~varied]).all()
    assert np.isfinite(samples[varied]).all()
    assert np.isnan(align(pairs_of(stack), np.full((1, 28), 0.1), method)).all()


@pytest.mark.parametrize(("n", "least"), [(6, 4), pytest.param(60, 50, marks=pytest.mark.long)])
def test_the_interval_holds_the_truth_of_a_planted_structure(n, least):
    """The alignment in a very large sample of groups lies in the interval of most small ones."""
    rng = np.random.default_rng(0)
    direction = rng.normal(size=10)

    def draw(n):
        slopes = rng.normal(size=n)
        return rsms((slopes[:, None] * direction + 2 * rng.normal(size=(n, 10)))[:, None]), nearness(slopes)

    truth = alignment_test(*draw(600), n_permutations=0, n_bootstrap=0).estimate[0]
    inside = 0
    for seed in range(n):
        test = alignment_test(*draw(30), n_permutations=0, n_bootstrap=200, seed=seed)
        inside += test.low[0] <= truth <= test.high[0]
    assert inside >= least


@pytest.mark.parametrize("n_levels", [1, 2, 30, 400])
def test_ranks_by_counting_are_those_by_sorting(n_levels):
    values = np.random.default_rng(0).integers(n_levels, size=(5, 600)) / 7
    np.testing.assert_array_equal(_ranks(values), stats.rankdata(values, axis=1))


def test_rows_of_other_values_are_ranked_by_themselves():
    values = np.array([[1.0, 2, 2, 3], [9, 1, 2, 2], [5, 5, 4, 1]])
    np.testing.assert_array_equal(_ranks(values), stats.rankdata(values, axis=1))
