import numpy as np
import pytest

from iclviz.analysis import equivalence, paired_test, smallest_effect
from iclviz.errors import AnalysisError

GROUPS = np.repeat(np.arange(20), 3)


def change(mean=0.0, seed=0):
    values = np.random.default_rng(seed).normal(size=20)[GROUPS] + mean
    return paired_test(values[:, None], GROUPS)


def test_a_change_within_the_bound_is_as_good_as_none():
    assert equivalence(change(0.0), 2.0).p[0] < 0.05
    assert equivalence(change(1.9), 2.0).p[0] > 0.05
    assert equivalence(change(-5.0), 2.0).p[0] > 0.5


def test_the_90_percent_interval_lies_within_the_bound_exactly_where_p_is_below_5_percent():
    for seed in range(30):
        found = equivalence(change(0.7, seed), 1.0)
        assert (found.p[0] < 0.05) == (found.low[0] > -1.0 and found.high[0] < 1.0)


def test_a_bound_must_be_a_size():
    with pytest.raises(AnalysisError, match="makes no sense"):
        equivalence(change(), 0.0)


def test_the_smallest_effect_is_found_in_about_80_percent():
    size = float(np.mean([smallest_effect(change(seed=seed))[0] for seed in range(20)]))
    found = np.mean([change(size, seed).p[0] < 0.05 for seed in range(200)])
    assert 0.7 < found < 0.9
