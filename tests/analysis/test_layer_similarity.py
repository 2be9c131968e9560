import numpy as np
import pytest
from scipy.stats import spearmanr

from iclviz.analysis import cka, cka_by_layer, rsms, second_order
from iclviz.errors import AnalysisError


def embeddings(seed=0, n=20, n_layers=3, d=30):
    return np.random.default_rng(seed).normal(size=(n, n_layers, d))


def hsic(gram_x, gram_y):
    """The unbiased estimator as Song et al. 2012 write it."""
    n = len(gram_x)
    k, h = (gram - np.diag(np.diag(gram)) for gram in (gram_x, gram_y))
    ones = np.ones(n)
    middle = (ones @ k @ ones) * (ones @ h @ ones) / ((n - 1) * (n - 2))
    return (np.trace(k @ h) + middle - 2 / (n - 2) * (ones @ k @ h @ ones)) / (n * (n - 3))


def test_cka_is_that_of_the_unbiased_estimator():
    x, y = embeddings(0)[:, 0], embeddings(1)[:, 0] + embeddings(0)[:, 0]
    gram_x, gram_y = x @ x.T, y @ y.T
    expected = hsic(gram_x, gram_y) / np.sqrt(hsic(gram_x, gram_x) * hsic(gram_y, gram_y))
    assert cka(x, y) == pytest.approx(expected)


def test_pure_noise_has_a_cka_near_zero_where_plain_cka_is_near_one():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 64, 576))
    centred = [side - side.mean(axis=0) for side in (x, y)]
    grams = [side @ side.T for side in centred]
    plain = (grams[0] * grams[1]).sum() / np.sqrt((grams[0] ** 2).sum() * (grams[1] ** 2).sum())
    assert plain > 0.85
    assert abs(cka(x, y)) < 0.1


def test_cka_does_not_mind_rotation_scale_and_shift():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 12))
    rotation = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    assert cka(x, 3 * x @ rotation + 5) == pytest.approx(1)


def test_layers_are_compared_one_by_one():
    x, y = embeddings(0), embeddings(1, n_layers=2)
    found = cka_by_layer(x, y)
    assert found.shape == (3, 2)
    assert found[2, 1] == pytest.approx(cka(x[:, 2], y[:, 1]))


def test_a_constant_layer_has_no_cka():
    x = embeddings()
    x[:, 1] = 2.0
    found = cka_by_layer(x, x)
    assert np.isnan(found[1]).all()
    assert found[0, 0] == pytest.approx(1)


def test_second_order_similarity_correlates_pairs_of_items():
    a, b = rsms(embeddings(0)), rsms(embeddings(1, n_layers=2))
    rows, columns = np.triu_indices(20, 1)
    found = second_order(a, b)
    assert found.shape == (3, 2)
    assert found[1, 0] == pytest.approx(spearmanr(a[1][rows, columns], b[0][rows, columns]).statistic)
    np.testing.assert_allclose(np.diag(second_order(a)), 1)


def test_other_items_are_refused():
    with pytest.raises(AnalysisError, match="same items"):
        second_order(rsms(embeddings()), rsms(embeddings(n=12)))
    with pytest.raises(AnalysisError, match="same items"):
        cka(np.ones((5, 2)), np.ones((6, 2)))
    with pytest.raises(AnalysisError, match="at least 4 items"):
        cka(np.ones((3, 2)), np.ones((3, 2)))
