import numpy as np
import pytest

from iclviz.analysis import alignment, alignment_difference, hypotheses_difference, paired_over_seeds, rsms
from iclviz.analysis.change import inverted, resampled_over_seeds
from iclviz.errors import AnalysisError

GROUPS = np.repeat(np.arange(16), 2)
CLASSES = GROUPS % 4
HYPOTHESIS = np.equal.outer(CLASSES, CLASSES).astype(float)


def embeddings(strength, seed, n_layers=3, at=1):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(32, n_layers, 20))
    x[:, at] += strength * rng.normal(size=(4, 20))[CLASSES]
    return x


def test_a_planted_gain_is_found_in_its_layer():
    found = alignment_difference(rsms(embeddings(0, 0)), rsms(embeddings(1.5, 1)), HYPOTHESIS, GROUPS)
    assert found.p_corrected[1] < 0.05
    assert found.low[1] < found.estimate[1] < found.high[1]
    assert (found.p_corrected[[0, 2]] > 0.05).all()
    assert (found.n_units, found.n_seeds, found.reason) == (16, 1, None)


def test_the_estimate_is_the_difference_of_the_two_alignments():
    a, b = rsms(embeddings(0.3, 0)), rsms(embeddings(1.0, 1))
    found = alignment_difference(a, b, HYPOTHESIS, GROUPS, n_bootstrap=50)
    expected = [alignment(b[layer], HYPOTHESIS) - alignment(a[layer], HYPOTHESIS) for layer in range(3)]
    np.testing.assert_allclose(found.estimate, expected)


def test_a_with_itself_has_no_difference_and_no_p():
    a = rsms(embeddings(1, 0))
    found = alignment_difference(a, a, HYPOTHESIS, GROUPS, n_bootstrap=50)
    np.testing.assert_allclose(found.estimate, 0, atol=1e-12)
    assert np.isnan(found.p).all()


def test_a_layer_that_is_constant_stays_out():
    a, b = embeddings(0, 0), embeddings(1, 1)
    a[:, 0] = b[:, 0] = 1.0
    found = alignment_difference(rsms(a), rsms(b), HYPOTHESIS, GROUPS, n_bootstrap=99)
    assert np.isnan(found.estimate[0])
    assert np.isnan(found.p_corrected[0])
    assert np.isfinite(found.p_corrected[1:]).all()


def test_several_seeds_are_averaged_and_resampled():
    a = np.stack([rsms(embeddings(0, seed)) for seed in range(5)])
    b = np.stack([rsms(embeddings(1.5, 10 + seed)) for seed in range(5)])
    found = alignment_difference(a, b, HYPOTHESIS, GROUPS, n_bootstrap=199)
    singles = [
        alignment_difference(one, two, HYPOTHESIS, GROUPS, n_bootstrap=20) for one, two in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(found.estimate, np.mean([one.estimate for one in singles], axis=0))
    assert found.n_seeds == 5
    assert found.p_corrected[1] < 0.05


def test_one_side_without_demonstrations_goes_with_every_seed_of_the_other():
    a, b = rsms(embeddings(0, 0)), np.stack([rsms(embeddings(1, seed)) for seed in range(3)])
    once = alignment_difference(a, b, HYPOTHESIS, GROUPS, n_bootstrap=50)
    repeated = alignment_difference(np.stack([a] * 3), b, HYPOTHESIS, GROUPS, n_bootstrap=50)
    np.testing.assert_allclose(once.estimate, repeated.estimate)
    np.testing.assert_allclose(once.low, repeated.low)


def test_seeds_that_differ_widen_the_interval():
    rng = np.random.default_rng(0)
    items = rng.normal(size=(1, 40, 1))
    alike = np.repeat(items, 5, axis=0)
    apart = alike + np.array([-1, -0.5, 0, 0.5, 1])[:, None, None]
    narrow, wide = (paired_over_seeds(values) for values in (alike, apart))
    np.testing.assert_allclose(narrow.estimate, wide.estimate)
    assert (wide.high - wide.low)[0] > 2 * (narrow.high - narrow.low)[0]


def test_one_seed_is_resampled_over_items_alone():
    samples = np.random.default_rng(0).normal(size=(1, 50, 2))
    np.testing.assert_array_equal(resampled_over_seeds(samples, np.zeros((1, 2)), np.random.default_rng(0)), samples[0])


def test_p_inverts_the_percentile_interval():
    samples = np.concatenate([np.full(2, -0.1), np.linspace(0.1, 1, 97)])[:, None]
    p, _, _ = inverted(np.array([0.5]), samples)
    assert p[0] == pytest.approx(2 * (1 + 2) / 100)


def test_stacks_that_do_not_go_together_are_refused():
    a = rsms(embeddings(0, 0))
    with pytest.raises(AnalysisError, match="seeds and layers"):
        alignment_difference(np.stack([a] * 2), np.stack([a] * 3), HYPOTHESIS)
    with pytest.raises(AnalysisError, match="do not fit a hypothesis"):
        alignment_difference(a[:, :5, :5], a, HYPOTHESIS)


def test_the_same_seed_gives_the_same_bytes():
    a, b = rsms(embeddings(0, 0)), rsms(embeddings(1, 1))
    first, second = (alignment_difference(a, b, HYPOTHESIS, GROUPS, n_bootstrap=99) for _ in range(2))
    assert first.p_corrected.tobytes() == second.p_corrected.tobytes()
    assert first.low.tobytes() == second.low.tobytes()


def test_the_better_of_two_hypotheses_is_found_over_pairs_of_which_both_speak():
    x = rsms(embeddings(1.5, 1))
    other = np.equal.outer(GROUPS % 3, GROUPS % 3).astype(float)
    other[0] = other[:, 0] = np.nan
    found = hypotheses_difference(x, HYPOTHESIS, other, GROUPS, n_bootstrap=199)
    assert found.p_corrected[1] < 0.05
    common = np.where(np.isnan(other), np.nan, HYPOTHESIS)
    expected = alignment(x[1], common, "rho-a") - alignment(x[1], other, "rho-a")
    assert found.estimate[1] == pytest.approx(expected)


def test_two_hypotheses_are_not_compared_by_what_favours_ties():
    with pytest.raises(AnalysisError, match="rho-a or tau-a"):
        hypotheses_difference(rsms(embeddings(0, 0)), HYPOTHESIS, HYPOTHESIS, method="spearman")


def test_many_layers_over_few_seeds_that_carry_the_spread_are_corrected_by_holm():
    rng, found = np.random.default_rng(0), 0
    for draw in range(60):
        values = 2 * rng.normal(size=(5, 1, 60)) + 0.3 * rng.normal(size=(5, 32, 60))
        found += int(np.nanmin(paired_over_seeds(values, np.repeat(np.arange(16), 2), seed=draw).p_corrected) <= 0.05)
    assert found <= 6


@pytest.mark.parametrize("seeds", [1, 3])
def test_one_group_alone_has_an_estimate_and_no_interval(seeds):
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(seeds, 4, 6, 6)) for _ in range(2))
    said = np.equal.outer(np.arange(6) % 2, np.arange(6) % 2).astype(float)
    found = alignment_difference(a + a.swapaxes(2, 3), b + b.swapaxes(2, 3), said, ["g"] * 6)
    assert np.isfinite(found.estimate).all()
    assert np.isnan(found.low).all()
    assert "too few groups" in found.reason


def test_for_one_seed_the_interval_leaves_zero_out_exactly_where_p_is_small():
    rng = np.random.default_rng(0)
    groups, decided = np.arange(12).repeat(2), []
    for number in range(40):
        change = rng.normal(size=(24, 1)) + 0.6
        test = paired_over_seeds(change[None], groups, n_bootstrap=1000, seed=number)
        decided.append(test.p[0] < 0.05)
        assert decided[-1] == bool(test.low[0] > 0 or test.high[0] < 0)
    assert 0 < np.mean(decided) < 1
