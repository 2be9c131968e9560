import warnings

import numpy as np
import pytest

from iclviz.analysis import probe
from iclviz.analysis.probing import STRENGTHS
from iclviz.analysis.probing.chance import permuted_labels
from iclviz.analysis.probing.folds import group_folds
from iclviz.errors import AnalysisError
from tests.oracles import probing as oracle

QUICK = {"n_permutations": 99, "n_controls": 0}


def embeddings(rng, n=24, n_layers=3, d=60, loc=0.0):
    return rng.normal(loc=loc, size=(n, n_layers, d))


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
    results = [probe(embeddings(rng, n=32), y, n_permutations=49, n_controls=0, seed=seed) for seed in range(10)]
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


@pytest.mark.long
def test_without_signal_score_and_chance_agree_where_folds_leave_classes_unequal():
    """Eight classes of four: a fold holds out what its training items lack, which pulls both below 1 / 8."""
    rng = np.random.default_rng(0)
    results = [
        probe(embeddings(rng, n=32), np.arange(32) % 8, n_permutations=99, n_controls=0, seed=seed)
        for seed in range(20)
    ]
    score, chance = (np.mean([getattr(result, name) for result in results]) for name in ("score", "chance"))
    assert score == pytest.approx(chance, abs=0.02)
    assert chance == pytest.approx(1 / 8, abs=0.03)


@pytest.mark.parametrize("kind", ["groups", "within groups", "number"])
@pytest.mark.parametrize(
    ("n", "most", "low"), [(20, 5, 0.35), pytest.param(80, 10, 0.4, marks=pytest.mark.long)], ids=["few", "many"]
)
def test_noise_is_significant_one_time_in_twenty(kind, n, most, low):
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), 2)
    found, p = 0, []
    for seed in range(n):
        x = rng.normal(size=(12, 2, 20))[groups] + rng.normal(size=(24, 2, 20))
        y = {"groups": groups % 2, "within groups": np.tile([0, 1], 12), "number": rng.normal(size=12)[groups]}[kind]
        result = probe(x, y, groups, n_permutations=59, n_controls=0, seed=seed)
        found += result.p_corrected.min() <= 0.05
        p.extend(result.p)
    assert found <= most
    assert low < np.mean(p) < 0.65


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


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_the_same_seed_gives_the_same_bytes(kind):
    rng = np.random.default_rng(0)
    x, groups = embeddings(rng), np.arange(24) // 2
    y = {"classes": np.arange(24) % 2, "numbers": rng.normal(size=24)}[kind]
    first, again = (vars(probe(x, y, groups, n_permutations=99, seed=5)) for _ in range(2))
    for name, value in first.items():
        same = value.tobytes() == again[name].tobytes() if isinstance(value, np.ndarray) else value == again[name]
        assert same, name


# --- What each item adds


def test_item_scores_and_confusion_add_up_to_accuracy():
    rng = np.random.default_rng(0)
    x, names = embeddings(rng, n=30, n_layers=4), np.repeat(["b", "a", "c"], [14, 10, 6])
    x[:, 0] = 1.5
    result = probe(x, names, **QUICK)
    assert result.classes == ("a", "b", "c")
    assert result.item_scores.shape == result.item_evidence.shape == (30, 4)
    assert np.isnan(result.item_scores[:, 0]).all()
    assert np.isnan(result.confusion[0]).all()
    assert np.allclose(result.item_scores[:, 1:].mean(axis=0), result.accuracy[1:])
    counts = result.confusion[1:]
    assert np.array_equal(counts.sum(axis=2), np.tile([10, 14, 6], (3, 1)))
    assert np.allclose(np.trace(counts, axis1=1, axis2=2) / 30, result.accuracy[1:])
    assert np.allclose((np.diagonal(counts, axis1=1, axis2=2) / [10, 14, 6]).mean(axis=1), result.score[1:])


def test_scores_of_numbers_are_the_share_of_the_variance_that_each_item_leaves():
    rng = np.random.default_rng(0)
    result = probe(embeddings(rng), rng.normal(size=24), **QUICK)
    assert (result.item_scores <= 0).all()
    assert np.allclose(1 + result.item_scores.mean(axis=0), result.score)
    assert np.array_equal(result.item_evidence, result.item_scores)
    assert (result.confusion, result.classes) == (None, ())


def test_evidence_is_the_log_probability_of_the_true_class_over_its_share_in_training():
    rng = np.random.default_rng(0)
    x, y = embeddings(rng), np.repeat([0, 1, 2], [12, 8, 4])
    result = probe(x, y, strength=0.1, **QUICK)
    for train, test in group_folds(np.arange(24), 5, 0):
        for layer in range(3):
            probabilities = oracle.logistic_probabilities(x[:, layer], y, train, test, 0.1)
            true, shares = probabilities[np.arange(len(test)), y[test]], np.bincount(y[train]) / len(train)
            assert np.allclose(result.item_evidence[test, layer], np.log(true / shares[y[test]]), atol=1e-3)


def test_an_item_whose_class_was_not_trained_on_is_wrong_and_has_no_evidence():
    y = np.append(np.arange(23) % 2, 2)
    result = probe(embeddings(np.random.default_rng(0)), y, **QUICK)
    assert (result.item_scores[-1] == 0).all()
    assert np.isnan(result.item_evidence[-1]).all()
    assert np.isfinite(result.item_evidence[:-1]).all()
    assert np.isfinite(result.score).all()


# --- Strength and dimensions


@pytest.mark.parametrize("dimensions", [None, 3])
def test_a_given_strength_and_number_of_components_hold_in_every_fold(dimensions):
    rng = np.random.default_rng(0)
    x, y = embeddings(rng, loc=5.0), rng.normal(size=24)
    result = probe(x, y, strength=0.3, dimensions=dimensions, **QUICK)
    errors = np.empty((24, 3))
    for train, test in group_folds(np.arange(24), 5, 0):
        for layer in range(3):
            reduced = oracle.components(x[:, layer], train, dimensions or len(train))
            ridge = oracle.Ridge(alpha=0.3).fit(reduced[train], y[train])
            errors[test, layer] = (ridge.predict(reduced[test]) - y[test]) ** 2
    assert np.allclose(result.item_scores / result.item_scores.sum(axis=0), errors / errors.sum(axis=0))


@pytest.mark.parametrize("kind", ["two classes", "three classes", "numbers"])
def test_each_training_fold_chooses_its_strength_by_its_own_inner_folds(kind):
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(16), 2)
    number = rng.normal(size=16)[groups]
    y = {"two classes": groups % 2, "three classes": groups % 3, "numbers": number}[kind]
    x = embeddings(rng, n=32, d=40)
    x[:, 1:] += 0.5 * (y - y.mean())[:, None, None] * rng.normal(size=(2, 40))
    folds = group_folds(groups, 5, 0)
    inner = [group_folds(groups[train], 3, 0) for train, _ in folds]
    expected = [oracle.nested_score(x[:, layer], y, folds, inner, STRENGTHS) for layer in range(3)]
    assert np.allclose(probe(x, y, groups, **QUICK).score, expected)


@pytest.mark.parametrize(
    "options", [{"strength": 0.0}, {"strength": -1.0}, {"strength": np.nan}, {"dimensions": 0}, {"n_folds": 1}]
)
def test_nonsense_is_refused_with_the_way_on(options):
    with pytest.raises(AnalysisError, match=r"Give|Take"):
        probe(embeddings(np.random.default_rng(0)), np.arange(24) % 2, **options)


# --- Whatever comes


def test_items_without_a_class_are_left_out():
    rng = np.random.default_rng(0)
    x, names = embeddings(rng), np.array(["low", "high"])[np.arange(24) % 2]
    result = probe(np.concatenate([x, x[:4]]), [*names, "", "", "", ""], np.arange(28), **QUICK)
    alone = probe(x, names, np.arange(24), **QUICK)
    assert (result.n_units, result.classes) == (24, ("high", "low"))
    assert np.allclose(result.score, alone.score)
    assert np.array_equal(result.item_scores[:24], alone.item_scores)
    assert np.isnan(result.item_scores[24:]).all()


@pytest.mark.parametrize("y", [[""] * 24, np.full(24, np.nan)])
def test_without_any_label_there_is_a_reason(y):
    result = probe(embeddings(np.random.default_rng(0)), y, **QUICK)
    assert result.reason == result.selectivity_reason == "no item has a label"


@pytest.mark.parametrize("y", [np.array([0, 1, 1]), np.array([0.1, 0.7, 0.3])])
def test_three_items_are_enough_for_a_score(y):
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = probe(rng.normal(size=(3, 2, 10)), y, **QUICK)
    assert np.isfinite(result.score).all()
    assert "too few groups" in result.reason


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_duplicates_few_dimensions_and_half_precision_are_no_trouble(kind):
    rng = np.random.default_rng(0)
    y = {"classes": np.arange(10) % 2, "numbers": rng.normal(size=10)}[kind]
    x = rng.normal(size=(10, 3, 2)).astype(np.float16)
    x[:, 1, 1] = 0
    copies = np.repeat(np.arange(10), 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        half, full = (probe(z[copies], y[copies], copies) for z in (x, x.astype(float)))
    for name in ("score", "low", "high", "p", "selectivity", "control_score", "item_evidence"):
        assert np.isfinite(getattr(half, name)).all()
        assert np.array_equal(getattr(half, name), getattr(full, name))


@pytest.mark.parametrize("kind", ["groups", "within groups", "number"])
def test_labels_permuted_by_their_own_scheme_score_at_chance(kind):
    """Over 200 draws both probes do as the least-squares probe does on average over all permutations."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(8), 2)
    x = (rng.normal(size=(8, 1, 6))[groups] + rng.normal(size=(16, 1, 6))).repeat(2, axis=1)
    y = {"groups": groups % 2, "within groups": np.tile([0, 1], 8), "number": rng.normal(size=8)[groups]}[kind]
    options = {"strength": 1.0, "n_controls": 0}
    permuted, _, _ = permuted_labels(y, groups, 200, 0)
    drawn = [probe(x, labels, groups, n_permutations=0, **options) for labels in permuted[:200]]
    chance = probe(x, y, groups, n_permutations=2000, **options).chance[0]
    for name in ("score", "least_squares"):
        scores = np.array([getattr(result, name)[0] for result in drawn])
        assert scores.mean() == pytest.approx(chance, abs=3 * scores.std() / np.sqrt(len(scores)) + 0.02)
    if kind != "number":
        assert chance == pytest.approx(0.5, abs=0.1)


def test_labels_must_match_items():
    with pytest.raises(AnalysisError, match="one label for each item"):
        probe(np.zeros((5, 2, 3)), np.zeros(4))
