import time

import numpy as np
import pytest

from iclviz.analysis.probing import layer_transfer, probe, probe_transfer
from iclviz.analysis.probing.folds import group_folds
from iclviz.errors import AnalysisError
from tests.oracles import probing as oracle

N, GROUPS = 32, np.repeat(np.arange(16), 2)


def conditions(rng, y, d=40, n_layers=3):
    """A and B (n, L + 1, d): both hold y along one direction, B shifted and stretched, in the last layer only."""
    direction = rng.normal(size=d)
    a, b = rng.normal(size=(2, len(y), n_layers, d))
    for x in (a, b):
        x[:, -1] += 1.5 * y[:, None] * direction
    return a, 7.0 * b + rng.normal(size=d)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_transfer_of_classes_is_that_of_all_dimensions(n_classes):
    rng = np.random.default_rng(0)
    y = GROUPS % n_classes
    a, b = conditions(rng, y)
    folds = group_folds(GROUPS, 5, 3)
    result = probe_transfer(a, y, b, GROUPS, strength=0.1, seed=3)
    expected = [oracle.class_transfer(a[:, layer], y, b[:, layer], folds, [0.1] * len(folds)) for layer in range(3)]
    assert np.allclose(result.score, expected)
    assert result.measure == "balanced accuracy"
    assert result.score[-1] > 0.9
    assert (result.low <= result.score).all()
    assert (result.score <= result.high).all()


def test_transfer_of_numbers_is_that_of_all_dimensions():
    rng = np.random.default_rng(0)
    y = rng.normal(size=16)[GROUPS]
    a, b = conditions(rng, y)
    folds = group_folds(GROUPS, 5, 3)
    result = probe_transfer(a, y, b, GROUPS, strength=0.1, seed=3)
    expected = [oracle.number_transfer(a[:, layer], y, b[:, layer], folds, [0.1] * len(folds)) for layer in range(3)]
    assert np.allclose(result.score, expected)
    assert result.measure == "R2"
    assert result.score[-1] > 0.7


def test_transfer_of_components_is_that_of_the_components_of_the_training_side():
    rng = np.random.default_rng(0)
    y = rng.normal(size=N)
    a, b = conditions(rng, y)
    said, means = np.empty((2, N))
    for train, test in group_folds(np.arange(N), 5, 0):
        one, other = (oracle.standardised(x[:, 2], train) for x in (a, b))
        pca = oracle.PCA(4, svd_solver="full").fit(one[train])
        model = oracle.Ridge(alpha=0.1).fit(pca.transform(one[train]), y[train])
        said[test], means[test] = model.predict(pca.transform(other[test])), y[train].mean()
    result = probe_transfer(a, y, b, strength=0.1, dimensions=4)
    assert result.score[2] == pytest.approx(1 - ((said - y) ** 2).sum() / ((means - y) ** 2).sum())


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_transfer_to_itself_is_the_probe(kind):
    rng = np.random.default_rng(0)
    y = {"classes": GROUPS % 3, "numbers": rng.normal(size=16)[GROUPS]}[kind]
    a, _ = conditions(rng, y.astype(float))
    expected = probe(a, y, GROUPS, n_permutations=0, n_controls=0)
    result = probe_transfer(a, y, a, GROUPS)
    for name in ("score", "low", "high"):
        assert np.allclose(getattr(result, name), getattr(expected, name))
    assert np.allclose(np.diag(layer_transfer(a, y, GROUPS)), expected.score)


def test_another_direction_in_the_other_condition_does_not_transfer():
    rng = np.random.default_rng(0)
    y = GROUPS % 2
    (a, _), (_, b) = (conditions(rng, y) for _ in range(2))
    assert probe(b, y, GROUPS, n_permutations=0, n_controls=0).score[-1] > 0.9
    assert probe_transfer(a, y, b, GROUPS).score[-1] < 0.8


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_transfer_between_layers_is_that_of_all_dimensions(kind):
    rng = np.random.default_rng(0)
    y = {"classes": GROUPS % 3, "numbers": rng.normal(size=16)[GROUPS]}[kind]
    transfer = {"classes": oracle.class_transfer, "numbers": oracle.number_transfer}[kind]
    x, _ = conditions(rng, y.astype(float))
    x[:, 1] = 0.5 * x[:, 1] + 3 * x[:, 2]
    folds = group_folds(GROUPS, 4, 1)
    found = layer_transfer(x, y, GROUPS, strength=0.1, n_folds=4, seed=1)
    expected = [
        [transfer(x[:, one], y, x[:, other], folds, [0.1] * len(folds)) for other in range(3)] for one in range(3)
    ]
    assert np.allclose(found, expected)


def test_layers_without_a_value_in_either_condition_are_nan():
    rng = np.random.default_rng(0)
    y = GROUPS % 2
    a, b = conditions(rng, y)
    a[:, 0], b[3, 1, 5] = 1.5, np.nan
    result = probe_transfer(a, y, b, GROUPS)
    assert np.isnan(result.score).tolist() == [True, True, False]
    assert set(result.missing) == {0, 1}
    matrix = layer_transfer(a, y, GROUPS)
    assert np.isnan(matrix[0]).all()
    assert np.isnan(matrix[:, 0]).all()
    assert np.isfinite(matrix[1:, 1:]).all()


def test_what_cannot_be_probed_cannot_be_transferred():
    x = np.random.default_rng(0).normal(size=(N, 3, 8))
    result = probe_transfer(x, np.zeros(N, dtype=int), x)
    assert "one value only" in result.reason
    assert np.isnan(result.score).all()
    assert np.isnan(layer_transfer(x, np.zeros(N, dtype=int))).all()


def test_items_without_a_label_are_left_out_on_both_sides():
    rng = np.random.default_rng(0)
    y = np.array(["low", "high"])[GROUPS % 2]
    a, b = conditions(rng, GROUPS % 2)
    gaps = np.concatenate([y, [""] * 4])
    more = (np.concatenate([x, x[:4]]) for x in (a, b))
    found = probe_transfer(next(more), gaps, next(more), np.append(GROUPS, [90, 91, 92, 93]))
    assert np.allclose(found.score, probe_transfer(a, y, b, GROUPS).score)


def test_both_conditions_must_fit():
    x = np.zeros((5, 2, 3))
    with pytest.raises(AnalysisError, match=r"\(5, 2, 4\) do not fit"):
        probe_transfer(x, np.zeros(5), np.zeros((5, 2, 4)))


def test_every_pair_of_thirty_layers_takes_seconds():
    rng = np.random.default_rng(0)
    x, groups = rng.normal(size=(64, 31, 576)).astype(np.float32), np.arange(64) // 4
    start = time.perf_counter()
    assert layer_transfer(x, groups % 4, groups).shape == (31, 31)
    assert time.perf_counter() - start < 20
