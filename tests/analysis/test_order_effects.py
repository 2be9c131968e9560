import numpy as np

from iclviz.analysis import order_effect
from iclviz.analysis.order_effects import recording_order
from tests.analysis.conftest import make_recording

GROUPS = np.repeat(np.arange(12), 8)
ORDER = np.arange(96.0)


def remembering(seed, memory):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(12, 8))
    for place in range(1, 8):
        values[:, place] = memory * values[:, place - 1] + np.sqrt(1 - memory**2) * values[:, place]
    return values.ravel()


def test_neighbours_that_are_alike_are_noticed():
    found = order_effect(remembering(0, 0.8), ORDER, GROUPS)
    assert found.p < 0.01
    assert found.neighbours > 0.2


def test_a_score_that_rises_along_the_order_is_noticed():
    values = np.random.default_rng(0).normal(size=96) + 0.5 * (np.arange(96) % 8)
    assert order_effect(values, ORDER, GROUPS).p < 0.01


def test_items_in_no_order_give_no_warning():
    found = [order_effect(remembering(seed, 0.0), ORDER, GROUPS).p < 0.01 for seed in range(40)]
    assert np.mean(found) < 0.1


def test_what_a_factor_explains_is_no_effect_of_order():
    place = np.arange(96) % 8
    values = np.random.default_rng(0).normal(size=96) + 2.0 * place
    assert order_effect(values, ORDER, GROUPS, {"place": place.astype(str)}).p > 0.01


def test_the_order_that_counts_is_the_files_and_not_the_runs():
    values, shuffled = remembering(0, 0.9), np.random.default_rng(1).permutation(96)
    recording = make_recording(
        96, scores={"right": values[shuffled]}, groups={"a": GROUPS[shuffled]}, covariates={"row": ORDER[shuffled]}
    )
    assert recording_order(recording, "right").p < 0.01
    assert recording_order(make_recording(96, scores={"right": values}, groups={"a": GROUPS}), "right") is None


def test_values_that_are_all_the_same_have_no_order():
    assert order_effect(np.zeros(96), ORDER, GROUPS) is None
