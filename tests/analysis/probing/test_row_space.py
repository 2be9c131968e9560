import numpy as np
import pytest

from iclviz.analysis.probing.chance import Hat, balanced_accuracies
from iclviz.analysis.probing.folds import group_folds
from iclviz.analysis.probing.logistic import Precision
from iclviz.analysis.probing.models import CLASSIFIER, REGRESSOR, log_softmax
from iclviz.analysis.probing.row_space import gram, inner_products, rows
from tests.oracles import probing as oracle

TRAIN, TEST = np.arange(18), np.arange(18, 24)
EXACT = Precision(1e-7, np.float64)


def embeddings(rng, n=24, n_layers=3, d=60, loc=0.0):
    return rng.normal(loc=loc, size=(n, n_layers, d))


def outputs(model, x, targets, strengths, dimensions=None):
    """(K, M, s, C) of the held-out items, M the strengths."""
    products = gram(x)
    space = rows(products, TRAIN, dimensions)
    strengths = np.tile(strengths, (x.shape[1], 1))
    return model.fit(space, targets[None], strengths, EXACT)(inner_products(products, TRAIN, TEST))


def hat_of(x, folds):
    products = gram(x)
    hat = Hat.empty(x.shape[1], len(x))
    for train, test in folds:
        hat.add(train, test, rows(products, train), inner_products(products, train, test))
    return hat


@pytest.mark.parametrize(("d", "n_classes"), [(60, 3), (60, 2), (5, 3), (1, 3)])
def test_logistic_regression_in_row_space_is_that_of_all_dimensions(d, n_classes):
    rng = np.random.default_rng(0)
    x, y = embeddings(rng, d=d, loc=5.0), np.arange(24) % n_classes
    x[:, 1, : min(d, n_classes)] += 2 * np.eye(n_classes)[y][:, :d]
    strengths = (0.01, 0.1, 1.0)
    found = np.exp(log_softmax(outputs(CLASSIFIER, x, np.eye(n_classes)[y[TRAIN]], strengths)))
    for place, strength in enumerate(strengths):
        expected = [oracle.logistic_probabilities(x[:, layer], y, TRAIN, TEST, strength) for layer in range(3)]
        assert np.allclose(found[:, place], expected, atol=1e-5)


def test_many_labels_fitted_at_once_are_each_fitted_as_alone():
    rng = np.random.default_rng(0)
    x, labels = embeddings(rng), rng.integers(3, size=(4, 18))
    products = gram(x)
    space, targets, strengths = rows(products, TRAIN), np.eye(3)[labels], 10.0 ** rng.integers(-3, 2, size=(3, 4))
    seen = inner_products(products, TRAIN, TEST)
    together = CLASSIFIER.fit(space, targets, strengths, EXACT)(seen)
    for turn in range(4):
        alone = CLASSIFIER.fit(space, targets[[turn]], strengths[:, [turn]], EXACT)(seen)
        assert np.allclose(together[:, turn], alone[:, 0], atol=1e-8)


def test_a_class_without_a_training_item_is_never_predicted():
    found = np.exp(
        log_softmax(outputs(CLASSIFIER, embeddings(np.random.default_rng(0)), np.eye(5)[TRAIN % 3], (0.001, 0.1)))
    )
    assert (found[..., 3:] == 0).all()
    assert np.allclose(found.sum(axis=-1), 1)


@pytest.mark.parametrize("d", [60, 5, 1])
def test_ridge_in_row_space_is_that_of_all_dimensions(d):
    rng = np.random.default_rng(0)
    x, y = embeddings(rng, d=d, loc=5.0), rng.normal(loc=7.0, size=24)
    found = outputs(REGRESSOR, x, y[TRAIN, None], (0.01, 1.0))
    for place, strength in enumerate((0.01, 1.0)):
        expected = [oracle.ridge_predictions(x[:, layer], y, TRAIN, TEST, strength) for layer in range(3)]
        assert np.allclose(found[:, place, :, 0], expected)


@pytest.mark.parametrize("dimensions", [1, 3, 17, 40])
def test_leading_directions_are_principal_components_of_the_training_items(dimensions):
    rng = np.random.default_rng(0)
    x, y, number = embeddings(rng, loc=5.0), np.arange(24) % 3, rng.normal(size=24)
    classes = np.exp(log_softmax(outputs(CLASSIFIER, x, np.eye(3)[y[TRAIN]], (0.1,), dimensions)))[:, 0]
    numbers = outputs(REGRESSOR, x, number[TRAIN, None], (0.1,), dimensions)[:, 0, :, 0]
    for layer in range(3):
        reduced = oracle.components(x[:, layer], TRAIN, min(dimensions, 18))
        model = oracle.fitted_logistic(reduced[TRAIN], y[TRAIN], 0.1)
        assert np.allclose(classes[layer], model.predict_proba(reduced[TEST]), atol=1e-5)
        ridge = oracle.Ridge(alpha=0.1).fit(reduced[TRAIN], number[TRAIN])
        assert np.allclose(numbers[layer], ridge.predict(reduced[TEST]))


def test_the_least_squares_probe_is_ridge_of_strength_one():
    rng = np.random.default_rng(0)
    x, y = embeddings(rng, loc=5.0), rng.normal(loc=7.0, size=24)
    folds = group_folds(np.arange(24), 4, 0)
    hat = hat_of(x, folds)
    for train, test in folds:
        expected = [oracle.ridge_predictions(x[:, layer], y, train, test, 1.0) for layer in range(3)]
        assert np.allclose((hat.slopes @ y + hat.means @ y)[:, test], expected)


def test_the_least_squares_probe_reads_the_same_components():
    rng = np.random.default_rng(0)
    x, y = embeddings(rng), rng.normal(size=24)
    products, hat = gram(x), Hat.empty(3, 24)
    hat.add(TRAIN, TEST, rows(products, TRAIN, 4), inner_products(products, TRAIN, TEST))
    for layer in range(3):
        reduced = oracle.components(x[:, layer], TRAIN, 4)
        expected = oracle.Ridge(alpha=1.0).fit(reduced[TRAIN], y[TRAIN]).predict(reduced[TEST])
        assert np.allclose((hat.slopes[layer] @ y + hat.means @ y)[TEST], expected)


def test_training_items_that_are_the_same_but_for_rounding_tell_nothing():
    x = np.tile(np.random.default_rng(0).normal(size=60), (24, 1, 1))
    x[TEST] += 1.0
    x[3] *= 1 + 1e-15
    said = outputs(REGRESSOR, x, TRAIN[:, None].astype(float), (0.001,))
    assert np.allclose(said, TRAIN.mean())


def test_both_probes_name_the_class_that_gains_most():
    """Where the logistic probe is so strongly regularised that it is linear, they name the same class of nearly all."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [12, 8, 4])
    x, folds = embeddings(rng), group_folds(np.arange(24), 4, 0)
    products, hat = gram(x), hat_of(x, folds)
    agree = []
    for train, test in folds:
        targets = np.eye(3)[y[train]][None]
        read_out = CLASSIFIER.fit(rows(products, train), targets, np.full((3, 1), 100.0), EXACT)
        gains = CLASSIFIER.answers(read_out(inner_products(products, train, test)), targets)[:, 0]
        least_squares = (hat.slopes[:, test] @ np.eye(3)[y]).argmax(axis=2)
        agree.append(gains.argmax(axis=2) == least_squares)
    assert np.concatenate(agree, axis=1).mean() > 0.9


def test_the_least_squares_score_is_that_of_its_predictions():
    y = np.repeat([0, 1, 2], [12, 8, 4])
    hat = hat_of(embeddings(np.random.default_rng(0)), group_folds(np.arange(24), 5, 0))
    named = (hat.slopes @ np.eye(3)[y]).argmax(axis=2)
    expected = [oracle.balanced_accuracy(layer == y, y) for layer in named]
    assert np.allclose(balanced_accuracies(hat, y[None])[0], expected)
