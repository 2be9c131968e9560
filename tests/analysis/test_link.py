import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from iclviz.analysis import linked
from iclviz.errors import AnalysisError

GROUPS = np.repeat(np.arange(16), 3)


def data(seed=0, n_layers=4, at=2, strength=1.5, level="within"):
    rng = np.random.default_rng(seed)
    score = rng.normal(size=48)
    if level == "between":
        score += 2 * rng.normal(size=16)[GROUPS]
    change = rng.normal(size=(48, n_layers))
    change[:, at] += strength * score
    return change, score


@pytest.mark.parametrize("level", ["within", "between"])
def test_a_planted_link_is_found_in_its_layer(level):
    change, score = data(level=level)
    link = linked({"measure": change}, score, GROUPS, level=level)["measure"]
    assert link.p_corrected[2] < 0.01
    assert (np.delete(link.p_corrected, 2) > 0.05).all()
    assert link.low[2] < link.estimate[2] < link.high[2]
    assert (link.n, link.n_units, link.n_tests, link.level) == (48, 16, 4, level)


def test_between_groups_it_is_spearmans_rho_of_their_means():
    change, score = data()
    link = linked({"measure": change}, score, GROUPS, level="between", n_bootstrap=10, n_permutations=19)["measure"]
    means = [np.array([values[group == GROUPS].mean(axis=0) for group in range(16)]) for values in (change, score)]
    expected = [spearmanr(means[0][:, layer], means[1]).statistic for layer in range(4)]
    np.testing.assert_allclose(link.estimate, expected)


def test_within_groups_it_is_the_correlation_of_ranks_less_their_groups_mean():
    change, score = data()
    link = linked({"measure": change}, score, GROUPS, n_bootstrap=10, n_permutations=19)["measure"]

    def centred(values):
        ranks = rankdata(values)
        return ranks - np.array([ranks[group == GROUPS].mean() for group in GROUPS])

    expected = [np.corrcoef(centred(change[:, layer]), centred(score))[0, 1] for layer in range(4)]
    np.testing.assert_allclose(link.estimate, expected)


def test_what_groups_share_is_no_link_within_them():
    rng = np.random.default_rng(0)
    shared = 5 * rng.normal(size=16)[GROUPS]
    score, change = (shared + rng.normal(size=48) for _ in range(2))
    within, between = (
        linked({"measure": change[:, None]}, score, GROUPS, level=level)["measure"] for level in ("within", "between")
    )
    assert between.p[0] < 0.01
    assert within.p[0] > 0.05


def test_p_is_corrected_over_all_measures_together():
    change, score = data(strength=0.35)
    noise = np.random.default_rng(5).normal(size=(48, 200))
    alone = linked({"measure": change}, score, GROUPS)["measure"]
    together = linked({"measure": change, "noise": noise}, score, GROUPS)["measure"]
    np.testing.assert_allclose(alone.p, together.p)
    assert together.p_corrected[2] > alone.p_corrected[2]
    assert together.n_tests == 204


def test_the_partial_link_takes_off_what_a_covariate_explains():
    rng = np.random.default_rng(0)
    cause = rng.normal(size=48)
    change, score = (cause + 0.3 * rng.normal(size=48) for _ in range(2))
    link = linked({"measure": change[:, None]}, score, GROUPS, covariates={"cause": cause})["measure"]
    assert link.estimate[0] > 0.7
    assert abs(link.partial[0]) < 0.4


def test_over_seeds_it_is_the_mean_of_the_seeds_links():
    parts = [data(seed) for seed in range(5)]
    changes, scores = (np.stack(values) for values in zip(*parts, strict=True))
    link = linked({"measure": changes}, scores, GROUPS)["measure"]
    singles = [linked({"measure": x}, y, GROUPS, n_permutations=9, n_bootstrap=9)["measure"] for x, y in parts]
    np.testing.assert_allclose(link.estimate, np.mean([one.estimate for one in singles], axis=0))
    assert link.n_seeds == 5


def test_items_and_layers_without_a_change_are_left_out():
    change, score = data()
    change[0, 1] = np.nan
    change[:, 3] = np.nan
    link = linked({"measure": change}, score, GROUPS, n_permutations=99, n_bootstrap=9)["measure"]
    assert link.n == 47
    assert np.isnan(link.estimate[3])
    assert np.isfinite(link.estimate[:3]).all()


@pytest.mark.parametrize(
    ("groups", "level", "reason"),
    [
        (None, "within", "no two items of one group"),
        (np.arange(48) // 12, "between", "too few groups"),
        (np.arange(48) // 12, "within", "too few groups"),
    ],
)
def test_a_level_that_the_groups_do_not_have_is_said_in_words(groups, level, reason):
    change, score = data()
    link = linked({"measure": change}, score, groups, level=level, n_bootstrap=9)["measure"]
    assert reason in link.reason
    assert np.isnan(link.p).all()


def test_a_score_that_did_not_change_has_no_link():
    change, _ = data()
    link = linked({"measure": change}, np.zeros(48), GROUPS, level="between", n_bootstrap=9)["measure"]
    assert np.isnan(link.p).all()
    assert np.isnan(link.estimate).all()


def test_two_items_are_too_few():
    link = linked({"measure": np.ones((2, 3))}, np.ones(2))["measure"]
    assert "fewer than 3 items" in link.reason


def test_unknown_levels_and_shapes_are_refused():
    change, score = data()
    with pytest.raises(AnalysisError, match="within, between"):
        linked({"measure": change}, score, level="across")
    with pytest.raises(AnalysisError, match="over the same items"):
        linked({"measure": change[:5]}, score)


def test_the_same_seed_gives_the_same_bytes():
    change, score = data()
    first, second = (linked({"m": change}, score, GROUPS, n_permutations=99, n_bootstrap=20)["m"] for _ in range(2))
    for name in ("estimate", "low", "high", "p", "p_corrected"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()


def test_without_any_measure_there_is_no_link():
    assert linked({}, np.arange(8.0)) == {}


@pytest.mark.parametrize("level", ["within", "between"])
def test_a_measure_of_which_nearly_all_items_change_alike_is_not_tested(level):
    rng = np.random.default_rng(0)
    change = np.zeros((48, 2))
    change[5, 0] = 1.0
    change[:, 1] = rng.normal(size=48)
    link = linked({"m": change}, rng.normal(size=48), GROUPS, level=level, n_permutations=19, n_bootstrap=9)["m"]
    assert link.same.tolist() == [True, False]
    assert np.isnan(link.estimate).tolist() == [True, False]
    assert link.n_tests == 1


def test_equal_values_have_equal_means_however_large_their_groups():
    groups = np.array([0, 0, 0, 1, 1, 1, 1, 1, 1, 1, *np.arange(2, 18)])
    x = np.concatenate([np.full(10, 0.1), np.random.default_rng(0).normal(size=16)])
    together = linked({"m": x[:, None]}, x, groups, level="between", n_permutations=9, n_bootstrap=0)["m"]
    assert together.estimate[0] == pytest.approx(1)
    firsts = np.unique(groups, return_index=True)[1]
    alone = linked({"m": x[firsts, None]}, x[firsts], None, level="between", n_permutations=9, n_bootstrap=0)["m"]
    assert alone.estimate[0] == pytest.approx(together.estimate[0])


def test_copies_of_one_unit_count_as_one():
    rng = np.random.default_rng(0)
    units = np.arange(48).repeat(2)
    groups = np.arange(12).repeat(8)
    x, y = rng.normal(size=(96, 1)), rng.normal(size=96)
    copied = linked({"m": x}, y, groups, factors={"unit": units}, n_permutations=199, n_bootstrap=50)["m"]
    means = [values.reshape(48, 2).mean(axis=1) for values in (x, y)]
    single = linked({"m": means[0][:, None]}, means[1], groups[::2], n_permutations=199, n_bootstrap=50)["m"]
    assert (copied.n, copied.n_units) == (48, 12)
    np.testing.assert_allclose(copied.p, single.p)
    np.testing.assert_allclose(copied.estimate, single.estimate)


def test_a_unit_lies_in_one_group():
    with pytest.raises(AnalysisError, match="A unit has items in two groups"):
        linked({"m": np.ones((4, 1))}, np.ones(4), [0, 0, 1, 1], factors={"unit": np.array(["a", "b", "a", "c"])})
