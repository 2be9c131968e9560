import numpy as np
import pytest

from iclviz.analysis import probe
from iclviz.analysis.probing.folds import type_folds
from iclviz.analysis.probing.labels import Label
from iclviz.analysis.probing.selectivity import _control_labels
from iclviz.errors import AnalysisError
from tests.oracles import probing as oracle

QUICK = {"n_permutations": 0}


def typed(rng, n_types=16, copies=4, d=60, noise=0.3):
    """Types (n,), a random direction (n, d) of each item's type, and noise (n, d)."""
    types = np.repeat(np.arange(n_types), copies)
    return types, rng.normal(size=(n_types, d))[types], noise * rng.normal(size=(len(types), d))


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_a_probe_that_only_memorises_types_is_not_selective(kind):
    rng = np.random.default_rng(0)
    types, identity, noise = typed(rng)
    y = {"classes": rng.permutation(16)[types] % 2, "numbers": rng.normal(size=16)[types]}[kind]
    result = probe((identity + noise)[:, None], y, types, **QUICK)
    assert result.control_score[0] > 0.8
    assert abs(result.selectivity[0]) < 0.1


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_a_direction_of_the_label_is_read_selectively(kind):
    """Two dimensions of type identity cannot hold random labels of 16 types, but the label has its own."""
    rng = np.random.default_rng(0)
    types, identity, noise = typed(rng, d=3)
    y = {"classes": types % 2, "numbers": rng.normal(size=16)[types]}[kind]
    identity[:, 0] = 3.0 * y
    result = probe((identity + noise)[:, None], y, types, **QUICK)
    assert result.selectivity[0] > 0.25
    assert result.selectivity[0] + result.control_score[0] > 0.9


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_both_tasks_are_scored_as_in_all_dimensions_on_folds_that_spread_types(kind):
    rng = np.random.default_rng(0)
    types, identity, noise = typed(rng, d=8)
    y = {"classes": types % 3, "numbers": rng.normal(size=16)[types]}[kind]
    transfer = {"classes": oracle.class_transfer, "numbers": oracle.number_transfer}[kind]
    x, folds = identity + noise, type_folds(types, 5, 0)
    real, *control = (
        transfer(x, values, x, folds, [0.1] * 5) for values in (y, *_control_labels(Label.of(y), types, 3, 0))
    )
    result = probe(x[:, None], y, types, strength=0.1, n_controls=3, **QUICK)
    assert result.control_score[0] == pytest.approx(np.mean(control))
    assert result.selectivity[0] == pytest.approx(real - np.mean(control))


def test_a_label_that_varies_within_types_is_read_selectively():
    rng = np.random.default_rng(0)
    types, identity, noise = typed(rng, d=4)
    version = np.tile([0, 1, 0, 1], 16)
    identity[:, 0] = 3.0 * version
    x = identity + noise
    assert probe(x[:, None], version, np.arange(64), types=types, **QUICK).selectivity[0] > 0.1


def test_selectivity_is_of_layers_and_changes_nothing_else():
    rng = np.random.default_rng(0)
    types, identity, noise = typed(rng)
    x = np.stack([np.full_like(noise, 1.5), identity + noise], axis=1)
    result, without = (probe(x, types % 2, types, n_controls=n, **QUICK) for n in (5, 0))
    assert np.isnan(result.selectivity).tolist() == np.isnan(result.control_score).tolist() == [True, False]
    assert result.selectivity_reason is None
    assert np.array_equal(result.score, without.score, equal_nan=True)
    assert np.isnan(without.selectivity).all()
    assert "no control task" in without.selectivity_reason


def test_items_whose_type_does_not_repeat_take_no_part():
    rng = np.random.default_rng(0)
    types, identity, noise = typed(rng)
    x, alone = (identity + noise)[:, None], rng.normal(size=(6, 1, 60))
    result = probe(x, types % 2, np.arange(64), types=types, **QUICK)
    more = probe(
        np.vstack([x, alone]),
        np.append(types, np.arange(6)) % 2,
        np.arange(70),
        types=[*types, *range(90, 96)],
        **QUICK,
    )
    assert more.selectivity[0] == pytest.approx(result.selectivity[0])


@pytest.mark.parametrize(
    ("types", "reason"),
    [
        (None, "no type repeats"),
        (np.arange(24), "no type repeats"),
        (np.zeros(24), "one type alone repeats"),
        ([0, 0, 1, 1, *range(2, 22)], "of the items whose type repeats, the label has one value only"),
    ],
)
def test_without_types_that_repeat_selectivity_is_nan_with_a_reason(types, reason):
    y = np.repeat([0, 1], [12, 12])
    result = probe(np.random.default_rng(0).normal(size=(24, 2, 8)), y, types=types, **QUICK)
    assert reason in result.selectivity_reason
    assert np.isnan(result.selectivity).all()
    assert np.isfinite(result.score).all()


def test_control_tasks_give_each_type_the_label_of_a_random_type():
    types = np.repeat(np.arange(12), [1, 2, 3] * 4)
    label = Label.of(types // 4)
    controls = _control_labels(label, types, 200, 0)
    of_types = controls[:, np.unique(types, return_index=True)[1]]
    assert np.array_equal(of_types[:, types], controls)
    assert (np.sort(of_types, axis=1) == np.repeat([0, 1, 2], 4)).all()
    assert len(np.unique(of_types, axis=0)) > 150


def test_types_must_match_items():
    with pytest.raises(AnalysisError, match="one type for each item"):
        probe(np.zeros((5, 2, 3)), np.zeros(5), types=np.zeros(4))
