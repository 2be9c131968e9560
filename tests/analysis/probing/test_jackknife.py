"""The jackknife of R2: equal to fits without each group, and intervals and tests that hold what they say."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from iclviz.analysis import probe
from iclviz.analysis.probing import probe_transfer
from iclviz.analysis.probing.fitting import LEAST_SQUARES_STRENGTH
from iclviz.analysis.probing.folds import group_folds
from iclviz.analysis.probing.row_space import standardised

GROUPS = np.repeat(np.arange(10), [1, 2, 3, 4, 2, 1, 3, 2, 4, 2])
OPTIONS = {"strength": 0.3, "n_permutations": 0, "n_controls": 0}


@pytest.fixture
def made():
    rng = np.random.default_rng(0)
    y = rng.normal(size=10)[GROUPS] + 0.3 * rng.normal(size=24)
    x = rng.normal(size=(24, 2, 40))
    x[:, 1, :3] += 2 * y[:, None]
    return x, y


def _without(x, y, left_out, test_x):
    """R2 of ridge probes that never see a group, on the folds, centre and scale of all groups."""
    errors, around = 0.0, 0.0
    for train, test in group_folds(GROUPS, 5, 0):
        kept, held = train[GROUPS[train] != left_out], test[GROUPS[test] != left_out]
        fitted = Ridge(alpha=0.3).fit(standardised(x, train)[kept], y[kept])
        errors += ((fitted.predict(standardised(test_x, train)[held]) - y[held]) ** 2).sum() if len(held) else 0.0
        around += ((y[kept].mean() - y[held]) ** 2).sum()
    return 1 - errors / around


def _pseudo_values(score, without):
    logs = -np.log(1 - np.asarray(without))
    return -np.log(1 - score) - (len(logs) - 1) * (logs - logs.mean())


def test_pseudo_values_are_those_of_fits_without_each_group(made):
    x, y = made
    found = probe(x, y, GROUPS, **OPTIONS)
    for layer in range(2):
        without = [_without(x[:, layer], y, group, x[:, layer]) for group in range(10)]
        expected = _pseudo_values(found.score[layer], without)
        np.testing.assert_allclose(found.group_values[:, layer], expected[GROUPS], rtol=1e-6)


def test_the_interval_of_a_transfer_leaves_out_each_group_on_both_sides(made):
    x, y = made
    other = x + 0.5 * np.random.default_rng(1).normal(size=x.shape)
    found = probe_transfer(x, y, other, GROUPS, strength=0.3)
    values = _pseudo_values(found.score[1], [_without(x[:, 1], y, group, other[:, 1]) for group in range(10)])
    half = 2.262157 * values.std(ddof=1) / np.sqrt(10)
    expected = 1 - np.exp([half - values.mean(), -half - values.mean()])
    np.testing.assert_allclose([found.low[1], found.high[1]], expected, rtol=1e-6)


def test_the_interval_lies_around_the_score_and_below_one(made):
    found = probe(*made, GROUPS, **OPTIONS)
    assert (found.low < found.score).all()
    assert (found.score < found.high).all()
    assert (found.high < 1).all()


def test_two_groups_have_no_interval():
    x, y = np.random.default_rng(0).normal(size=(8, 1, 5)), np.arange(8.0)
    found = probe(x, y, np.repeat([0, 1], 4), **OPTIONS)
    assert np.isfinite(found.score).all()
    assert np.isnan([found.low, found.high, found.group_values[0]]).all()


def test_pseudo_values_of_classes_are_those_of_least_squares_probes_without_each_group(made):
    x, y = made[0], np.array([0, 1, 2, 1, 0, 2, 2, 1, 0, 1])[GROUPS]
    one_hot, without = np.eye(3)[y], []
    for group in range(10):
        right, counts = np.zeros(3), np.zeros(3)
        for train, test in group_folds(GROUPS, 5, 0):
            kept, held = train[GROUPS[train] != group], test[GROUPS[test] != group]
            z = standardised(x[:, 1], train)
            fitted = Ridge(alpha=LEAST_SQUARES_STRENGTH).fit(z[kept], one_hot[kept])
            if len(held):
                named = (fitted.predict(z[held]) - one_hot[kept].mean(axis=0)).argmax(axis=1)
                right += (named == y[held]) @ one_hot[held]
                counts += one_hot[held].sum(axis=0)
        without.append((right[counts > 0] / counts[counts > 0]).mean())
    found = probe(x, y, GROUPS, **OPTIONS)
    expected = found.least_squares[1] - 9 * (np.array(without) - np.mean(without))
    np.testing.assert_allclose(found.group_values[:, 1], expected[GROUPS], rtol=1e-6)
