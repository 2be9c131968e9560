from itertools import product

import numpy as np
import pytest

from iclviz.analysis import paired_test
from iclviz.analysis.paired import flips


def studentised(sums, counts):
    mean = sums.sum() / counts.sum()
    return abs(mean) / np.sqrt(((sums - mean * counts) ** 2).sum())


def test_few_groups_are_flipped_in_every_way():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(8), [1, 2, 3, 1, 2, 3, 1, 2])
    differences = rng.normal(0.8, 1.0, size=len(groups))
    found = paired_test(differences[:, None], groups)
    sums = np.array([differences[groups == group].sum() for group in range(8)])
    counts = np.bincount(groups)
    every = [studentised(np.array(signs) * sums, counts) for signs in product((1, -1), repeat=8)]
    assert found.n_permutations == 2**8 - 1
    assert found.p[0] == pytest.approx(np.mean(np.array(every) >= every[0] - 1e-12))


def test_a_random_sample_of_flips_is_drawn_where_there_are_many():
    signs = flips(40, 100, np.random.default_rng(0))
    assert signs.shape == (100, 40)
    assert set(np.unique(signs)) == {-1.0, 1.0}


def test_a_shift_is_found_in_its_column_alone():
    rng = np.random.default_rng(0)
    differences = rng.normal(size=(48, 6))
    differences[:, 2] += 1.0
    found = paired_test(differences, np.repeat(np.arange(24), 2))
    assert found.p_corrected[2] < 0.01
    assert (np.delete(found.p_corrected, 2) > 0.05).all()
    assert found.low[2] < found.estimate[2] < found.high[2]
    assert found.estimate[2] == pytest.approx(differences[:, 2].mean())


def test_groups_are_flipped_whole():
    """One group's shared difference, counted item by item, would look like much evidence."""
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(8), 20)
    differences = (rng.normal(size=8)[groups] + 0.1 * rng.normal(size=160))[:, None]
    assert paired_test(differences).p[0] < 0.05
    assert paired_test(differences, groups).p[0] > 0.05


def test_shapes_of_heads_are_kept_and_corrected_over_all_of_them():
    differences = np.random.default_rng(0).normal(size=(24, 3, 4))
    found = paired_test(differences)
    assert found.estimate.shape == found.p_corrected.shape == found.n.shape == (3, 4)
    flat = paired_test(differences.reshape(24, 12))
    np.testing.assert_array_equal(found.p_corrected.ravel(), flat.p_corrected)


def test_a_column_without_any_difference_has_a_mean_of_zero_and_no_p():
    differences = np.random.default_rng(0).normal(size=(24, 2))
    differences[:, 0] = 0
    found = paired_test(differences)
    assert found.estimate[0] == 0
    assert np.isnan(found.p[0])
    assert np.isfinite(found.p[1])


def test_items_without_a_difference_are_left_out_of_their_column():
    differences = np.random.default_rng(0).normal(size=(24, 2))
    differences[::2, 0] = np.nan
    found = paired_test(differences)
    assert found.n.tolist() == [12, 24]
    assert found.estimate[0] == pytest.approx(differences[1::2, 0].mean())


def test_too_few_groups_give_a_reason_and_no_p():
    found = paired_test(np.random.default_rng(0).normal(size=(24, 2)), np.repeat(np.arange(6), 4))
    assert found.reason == "too few groups (6 < 8): no p is given"
    assert np.isnan(found.p).all()
    assert np.isfinite(found.low).all()


def test_a_difference_that_every_item_shares_is_found():
    assert paired_test(np.ones((24, 1))).p[0] < 0.01


def test_the_same_seed_gives_the_same_bytes():
    differences = np.random.default_rng(0).normal(size=(40, 3))
    first, second = (paired_test(differences, seed=5) for _ in range(2))
    for name, value in vars(first).items():
        if isinstance(value, np.ndarray):
            assert value.tobytes() == getattr(second, name).tobytes()


@pytest.mark.parametrize("kind", ["normal", "shares", "heavy", "unequal groups", "few groups"])
def test_the_interval_leaves_zero_out_exactly_where_p_is_small(kind):
    rng = np.random.default_rng(0)
    for _ in range(60):
        n, groups = (16, np.arange(8).repeat(2)) if kind == "few groups" else (48, np.arange(16).repeat(3))
        values = rng.normal(size=n) + rng.normal(size=int(groups.max()) + 1)[groups]
        if kind == "shares":
            values = rng.integers(-1, 2, size=n).astype(float)
        if kind == "heavy":
            values = rng.standard_t(2, size=n)
        if kind == "unequal groups":
            groups = np.sort(rng.integers(12, size=n))
        test = paired_test(values[:, None] + 0.4, groups, n_permutations=199, seed=int(rng.integers(1000)))
        if np.isfinite(test.p[0]):
            assert (test.p[0] < 0.05) == bool(test.low[0] > 0 or test.high[0] < 0)


def test_without_a_p_the_interval_is_that_of_resampled_groups():
    values = np.random.default_rng(0).normal(size=12)
    test = paired_test(values[:, None], np.arange(4).repeat(3))
    assert test.reason is not None
    assert test.low[0] < test.estimate[0] < test.high[0]
