import warnings

import numpy as np
import pytest

from iclviz.analysis import probe
from iclviz.analysis.probing import (
    _balanced_accuracies,
    _folds,
    _gains,
    _gram,
    _hat,
    _logistic,
    _permuted_labels,
    _ridge,
    _rows,
)
from iclviz.errors import AnalysisError
from tests.oracles import probing as oracle

QUICK = {"n_permutations": 99, "n_bootstrap": 100}


def embeddings(rng, n=24, n_layers=3, d=60, loc=0.0):
    return rng.normal(loc=loc, size=(n, n_layers, d))


# --- The row space


@pytest.mark.parametrize(("d", "strength"), [(60, 0.01), (60, 1.0), (5, 0.1)])
def test_logistic_regression_in_row_space_is_that_of_all_dimensions(d, strength):
    rng = np.random.default_rng(0)
    x, y = embeddings(rng, d=d, loc=5.0), np.arange(24) % 3
    x[:, 1, :3] += 2 * np.eye(3)[y]
    train, test = np.arange(18), np.arange(18, 24)
    rows = _rows(_gram(x), train, test)
    found = _logistic(rows, np.eye(3)[y[train]], np.full((3, 1), strength), 1e-7)[:, 0]
    expected = [oracle.logistic_probabilities(x[:, layer], y, train, test, strength) for layer in range(3)]
    assert np.allclose(found, expected, atol=1e-5)


def test_a_class_without_a_training_item_is_never_predicted():
    rng = np.random.default_rng(0)
    x, y = embeddings(rng), np.arange(24) % 3
    rows = _rows(_gram(x), np.arange(18), np.arange(18, 24))
    found = _logistic(rows, np.eye(5)[y[:18]], np.full((3, 1), 0.1), 1e-6)
    assert (found[..., 3:] == 0).all()
    assert np.allclose(found.sum(axis=-1), 1)


@pytest.mark.parametrize("d", [60, 5])
def test_ridge_in_row_space_is_that_of_all_dimensions(d):
    rng = np.random.default_rng(0)
    x, y = embeddings(rng, d=d, loc=5.0), rng.normal(loc=7.0, size=24)
    train, test = np.arange(18), np.arange(18, 24)
    found = _ridge(_rows(_gram(x), train, test), y[train, None], np.tile([0.01, 1.0], (3, 1)), 0.0)
    for place, strength in enumerate((0.01, 1.0)):
        expected = [oracle.ridge_predictions(x[:, layer], y, train, test, strength) for layer in range(3)]
        assert np.allclose(found[:, place, :, 0], expected)


def test_the_least_squares_probe_is_ridge_of_strength_one():
    rng = np.random.default_rng(0)
    x, y = embeddings(rng, loc=5.0), rng.normal(loc=7.0, size=24)
    folds = _folds(np.arange(24), 4, 0)
    hat, means = _hat(_gram(x), folds)
    for train, test in folds:
        expected = [oracle.ridge_predictions(x[:, layer], y, train, test, 1.0) for layer in range(3)]
        assert np.allclose((hat @ y + means @ y)[:, test], expected)


# --- Folds and labels


def test_folds_never_split_a_group_and_hold_out_every_item_once():
    rng = np.random.default_rng(0)
    groups = rng.permutation(np.repeat(np.arange(11), [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 2]))
    folds = _folds(groups, 5, 0)
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(groups)))
    for train, test in folds:
        assert not set(groups[train]) & set(groups[test])


def test_a_label_of_groups_is_permuted_between_groups():
    groups, slope = np.repeat(np.arange(9), 3), np.repeat([0, 1, 2], 9)
    labels, unit, n_units = _permuted_labels(slope, groups, 50, 0)
    assert (unit, n_units) == ("groups", 9)
    assert (np.ptp(labels.reshape(-1, 9, 3), axis=2) == 0).all()
    assert (np.sort(labels, axis=1) == np.sort(slope)).all()


def test_a_label_that_varies_inside_groups_is_permuted_inside_groups():
    groups, version = np.repeat(np.arange(9), 3), np.tile([0, 1, 2], 9)
    labels, unit, n_units = _permuted_labels(version, groups, 50, 0)
    assert (unit, n_units) == ("items within groups", 9)
    assert (np.sort(labels.reshape(-1, 9, 3), axis=2) == [0, 1, 2]).all()


# --- The probe


def test_a_planted_class_is_found_in_its_layer():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(16), 2)
    names = np.array(["low", "high"])[groups % 2]
    x = embeddings(rng, n=32, n_layers=5)
    x[:, 3] += 1.5 * (groups % 2)[:, None] * rng.normal(size=60)
    result = probe(x, names, groups, **QUICK)
    assert (result.measure, result.n_classes, result.n_units, result.unit) == ("balanced accuracy", 2, 16, "groups")
    assert np.argmax(result.score) == 3
    assert result.score[3] > 0.9
    assert result.least_squares[3] > 0.9
    assert result.p_corrected[3] <= 0.05
    assert 0.35 < result.chance[3] < 0.65
    assert result.low[3] <= result.score[3] <= result.high[3]
    assert (np.delete(result.p_corrected, 3) > 0.05).all()


def test_a_planted_number_is_found_in_its_layer():
    rng = np.random.default_rng(0)
    slope = np.repeat(rng.normal(size=15), 2)
    x = embeddings(rng, n=30)
    x[:, 1] += 3 * slope[:, None] * rng.normal(size=60)
    result = probe(x, slope, np.repeat(np.arange(15), 2), **QUICK)
    assert (result.measure, result.n_classes, result.accuracy) == ("R2", 0, None)
    assert result.score[1] > 0.8
    assert result.p_corrected[1] <= 0.05
    assert result.score[0] < 0.2
    assert result.chance[0] < 0.1


def test_what_a_group_shares_does_not_pass_for_its_label():
    """Every line has its own text; only folds that hold out lines show that the slope is not there."""
    rng = np.random.default_rng(0)
    lines = np.repeat(np.arange(16), 4)
    slope = lines % 4
    x = (3 * rng.normal(size=(16, 1, 60)))[lines] + embeddings(rng, n=64, n_layers=1)
    assert probe(x, slope, **QUICK).score[0] > 0.9
    held_out = probe(x, slope, lines, **QUICK)
    assert held_out.score[0] < 0.5
    assert held_out.p[0] > 0.05


def test_chance_for_balanced_classes_is_one_over_their_number():
    rng = np.random.default_rng(0)
    result = probe(embeddings(rng, n=48, n_layers=2), np.repeat(np.arange(12) % 4, 4), np.repeat(np.arange(12), 4))
    assert np.allclose(result.chance, 0.25, atol=0.05)


def test_equal_classes_have_a_balanced_accuracy_that_is_the_accuracy():
    result = probe(embeddings(np.random.default_rng(0)), np.arange(24) % 4, **QUICK)
    assert np.allclose(result.score, result.accuracy)


def test_unequal_classes_are_scored_and_read_as_equals():
    """Without a signal always naming the commonest class would be right of 26 items of 32, and tell nothing."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [26, 6])
    results = [probe(embeddings(rng, n=32), y, n_permutations=49, seed=seed) for seed in range(10)]
    for name in ("score", "least_squares", "chance"):
        assert np.mean([getattr(result, name) for result in results]) == pytest.approx(0.5, abs=0.07)
    x = embeddings(rng, n=32, n_layers=1)
    x[:, 0] += 1.5 * y[:, None] * rng.normal(size=60)
    found = probe(x, y, **QUICK)
    assert found.score[0] > 0.9
    assert found.least_squares[0] > 0.9
    assert found.p[0] <= 0.05


def test_the_interval_of_unequal_classes_is_as_wide_as_the_rare_one_makes_it():
    rng = np.random.default_rng(0)
    equal, unequal = (
        probe(embeddings(rng, n=32), np.repeat([0, 1], counts), **QUICK) for counts in ((16, 16), (29, 3))
    )
    width = {name: (result.high - result.low).mean() for name, result in (("equal", equal), ("unequal", unequal))}
    assert width["unequal"] > 1.5 * width["equal"]


def test_without_signal_score_and_chance_agree_where_folds_leave_classes_unequal():
    """Eight classes of four: a fold holds out what its training items lack, which pulls both below 1 / 8."""
    rng = np.random.default_rng(0)
    results = [probe(embeddings(rng, n=32), np.arange(32) % 8, n_permutations=99, seed=seed) for seed in range(20)]
    score, chance = (np.mean([getattr(result, name) for result in results]) for name in ("score", "chance"))
    assert score == pytest.approx(chance, abs=0.02)
    assert chance == pytest.approx(1 / 8, abs=0.03)


def test_both_probes_name_the_class_that_gains_most():
    """Where the logistic probe is so strongly regularised that it is linear, they name the same class of nearly all."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [12, 8, 4])
    gram, folds = _gram(embeddings(rng)), _folds(np.arange(24), 4, 0)
    hat, _ = _hat(gram, folds)
    agree = []
    for train, test in folds:
        targets = np.eye(3)[y[train]]
        said = _logistic(_rows(gram, train, test), targets, np.full((3, 1), 100.0), 1e-8)[:, 0]
        least_squares = (hat[:, test] @ np.eye(3)[y]).argmax(axis=2)
        agree.append(_gains(said, targets.mean(axis=0)).argmax(axis=2) == least_squares)
    assert np.concatenate(agree, axis=1).mean() > 0.9


def test_the_least_squares_score_is_that_of_its_predictions():
    rng = np.random.default_rng(0)
    x, y = embeddings(rng), np.repeat([0, 1, 2], [12, 8, 4])
    hat, means = _hat(_gram(x), _folds(np.arange(24), 5, 0))
    named = (hat @ np.eye(3)[y]).argmax(axis=2)
    expected = np.mean([(named == y)[:, y == label].mean(axis=1) for label in range(3)], axis=0)
    assert np.allclose(_balanced_accuracies(hat, means, y[None])[0], expected)
    assert np.allclose(probe(x, y, **QUICK).least_squares, expected)


@pytest.mark.parametrize("kind", ["groups", "within groups", "number"])
def test_noise_is_significant_one_time_in_twenty(kind):
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), 2)
    found, p = 0, []
    for seed in range(80):
        x = rng.normal(size=(12, 2, 20))[groups] + rng.normal(size=(24, 2, 20))
        y = {"groups": groups % 2, "within groups": np.tile([0, 1], 12), "number": rng.normal(size=12)[groups]}[kind]
        result = probe(x, y, groups, n_permutations=59, n_bootstrap=0, seed=seed)
        found += result.p_corrected.min() <= 0.05
        p.extend(result.p)
    assert found <= 10
    assert 0.4 < np.mean(p) < 0.65


def test_the_interval_comes_from_whole_groups():
    """Copies of an item add no information, so they must not narrow the interval."""
    rng = np.random.default_rng(0)
    x, y = embeddings(rng, n=40, n_layers=1), np.arange(40) % 2
    x[:, 0] += 0.5 * y[:, None] * rng.normal(size=60)
    single = probe(x, y, **QUICK)
    copies = np.repeat(np.arange(40), 4)
    copied = probe(x[copies], y[copies], copies, **QUICK)
    assert copied.high[0] - copied.low[0] > 0.7 * (single.high[0] - single.low[0])


def test_a_layer_in_which_items_are_the_same_is_nan_and_changes_nothing_for_the_others():
    rng = np.random.default_rng(0)
    x, y = embeddings(rng), np.arange(24) % 2
    constant = x.copy()
    constant[:, 0] = 1.5
    result, alone = probe(constant, y, **QUICK), probe(x[:, 1:], y, **QUICK)
    for name in ("score", "low", "high", "accuracy", "least_squares", "chance", "p", "p_corrected", "p_fdr"):
        assert np.isnan(getattr(result, name)[0])
        assert np.allclose(getattr(result, name)[1:], getattr(alone, name))


def test_layers_of_rounding_noise_or_without_numbers_are_nan_with_a_reason_each():
    rng = np.random.default_rng(0)
    x, y = embeddings(rng, n_layers=4).astype(np.float32), np.arange(24) % 2
    x[:, 1] = 1 + 1e-6 * rng.normal(size=(24, 60))
    x[3, 2, 5] = np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = probe(x, y, **QUICK)
    assert np.isnan(result.score).tolist() == [False, True, True, False]
    assert set(result.missing) == {1, 2}
    assert "same embedding" in result.missing[1]
    assert "not finite" in result.missing[2]


@pytest.mark.parametrize(
    ("y", "groups", "reason"),
    [
        (np.zeros(24, dtype=int), None, "one value only"),
        (np.full(24, 0.5), None, "one value only"),
        (np.arange(24) % 2, np.zeros(24), "fewer than 2 groups"),
        (np.arange(24), None, "every item has a class of its own"),
    ],
)
def test_what_cannot_be_probed_is_nan_with_a_reason(y, groups, reason):
    result = probe(embeddings(np.random.default_rng(0)), y, groups, **QUICK)
    assert reason in result.reason
    assert np.isnan(result.score).all()
    assert np.isnan(result.p).all()


def test_too_few_groups_give_a_score_and_chance_but_no_p():
    groups = np.repeat(np.arange(6), 4)
    result = probe(embeddings(np.random.default_rng(0)), groups % 2, groups, **QUICK)
    assert "too few groups (6 < 8)" in result.reason
    assert np.isfinite(result.score).all()
    assert np.isfinite(result.chance).all()
    assert np.isnan(result.p).all()


def test_items_without_a_number_are_left_out():
    rng = np.random.default_rng(0)
    x, y = embeddings(rng), rng.normal(size=24)
    with_gaps = np.concatenate([y, [np.nan] * 4])
    result = probe(np.concatenate([x, x[:4]]), with_gaps, np.arange(28), **QUICK)
    assert result.n_units == 24
    assert np.allclose(result.score, probe(x, y, np.arange(24), **QUICK).score)


def test_the_same_seed_gives_the_same_result():
    x, y = embeddings(np.random.default_rng(0)), np.arange(24) % 2
    first, again = (probe(x, y, seed=5, **QUICK) for _ in range(2))
    assert np.array_equal(first.score, again.score)
    assert np.array_equal(first.p, again.p)


def test_labels_must_match_items():
    with pytest.raises(AnalysisError, match="one label for each item"):
        probe(np.zeros((5, 2, 3)), np.zeros(4))
