import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iclviz.analysis.probing.chance import permuted_labels
from iclviz.analysis.probing.folds import group_folds, type_folds

CODES = st.lists(st.integers(0, 7), min_size=3, max_size=40).filter(lambda codes: len(set(codes)) > 1)
QUICKLY = settings(max_examples=60, deadline=None)


def held_out_once(folds, n):
    return sorted(np.concatenate([test for _, test in folds])) == list(range(n)) and all(
        sorted([*train, *test]) == list(range(n)) for train, test in folds
    )


@QUICKLY
@given(CODES, st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_folds_never_split_a_group_and_hold_out_every_item_once(codes, n_folds, seed):
    codes = np.array(codes)
    folds = group_folds(codes, n_folds, seed)
    assert held_out_once(folds, len(codes))
    for train, test in folds:
        assert not set(codes[train]) & set(codes[test])


@QUICKLY
@given(CODES, st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_folds_within_types_spread_each_types_items_evenly(codes, n_folds, seed):
    codes = np.array(codes)
    folds = type_folds(codes, n_folds, seed)
    assert held_out_once(folds, len(codes))
    counts = np.array([np.bincount(codes[test], minlength=8) for _, test in folds])
    assert (np.ptp(counts, axis=0) <= 1).all()
    assert np.ptp(counts.sum(axis=1)) <= 1


@pytest.mark.parametrize("split", [group_folds, type_folds])
def test_the_same_seed_draws_the_same_folds(split):
    codes = np.arange(30) // 3
    first, again, other = (split(codes, 4, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(one[1], two[1]) for one, two in zip(first, again, strict=True))
    assert not all(np.array_equal(one[1], two[1]) for one, two in zip(first, other, strict=True))


def test_a_label_of_groups_is_permuted_between_groups():
    groups, slope = np.repeat(np.arange(9), 3), np.repeat([0, 1, 2], 9)
    labels, unit, n_units = permuted_labels(slope, groups, 50, 0)
    assert (unit, n_units) == ("groups", 9)
    assert (np.ptp(labels.reshape(-1, 9, 3), axis=2) == 0).all()
    assert (np.sort(labels, axis=1) == np.sort(slope)).all()


def test_a_label_that_varies_inside_groups_is_permuted_inside_groups():
    groups, version = np.repeat(np.arange(9), 3), np.tile([0, 1, 2], 9)
    labels, unit, n_units = permuted_labels(version, groups, 50, 0)
    assert (unit, n_units) == ("items within groups", 9)
    assert (np.sort(labels.reshape(-1, 9, 3), axis=2) == [0, 1, 2]).all()
