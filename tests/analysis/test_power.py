from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from iclviz import analysis
from iclviz.analysis.power import MOST_GROUPS, needed_groups, p_of_means, power_of
from iclviz.errors import AnalysisError
from tests.analysis.conftest import make_recording

N, U = 48, 24


def pilot(n_seeds=1, spread=1.0, seed=0):
    """A and B over seeds; the difference varies between groups and does not within them."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(U), N // U)
    a = replace(make_recording(N, groups={"label": groups}), scores={"right": np.zeros(N)})
    of_groups = spread * rng.normal(size=U)[groups]
    sides = [
        replace(a, scores={"right": of_groups + 0.1 * rng.normal(size=N) + 0.2 * place}) for place in range(n_seeds)
    ]
    return analysis.compare([a] * n_seeds, sides)


def test_of_one_seed_the_test_is_students():
    table = np.random.default_rng(0).normal(0.3, 1, size=(5, 1, 12))
    expected = [ttest_1samp(one[0], 0).pvalue for one in table]
    np.testing.assert_allclose(p_of_means(table), expected)


def test_larger_effects_need_fewer_groups_and_more_power_needs_more():
    small, large = (analysis.power_plan(pilot(), "right", effect) for effect in (0.4, 0.8))
    assert small.groups[0] > large.groups[0] > 0
    assert analysis.power_plan(pilot(), "right", 0.8, 0.95).groups[0] > large.groups[0]
    assert large.reached[0] >= 0.8
    assert (large.pilot_groups, large.pilot_seeds, large.items_per_group) == (U, 1, 2)
    assert large.pilot_power > 0.8
    assert "about" in large.lines()[1]


def test_it_is_about_what_the_textbook_says_where_everything_is_normal():
    """16 over the squared effect in standard deviations, and a few more for a pilot that knows the spread badly."""
    table = np.random.default_rng(3).normal(size=(1, 400))
    groups, _ = needed_groups(table / table.std(), 0.5, 0.8, 1, 0)
    assert 30 <= groups <= 40
    assert power_of(table, 0.0, 1, 30) == pytest.approx(0.05, abs=0.03)


def test_seeds_that_vary_cannot_be_made_up_for_by_groups():
    plan = analysis.power_plan(pilot(n_seeds=4), "right", 0.7)
    assert plan.seeds == (2, 3, 5, 10)
    assert plan.groups[0] == 0
    assert plan.groups[-1] > 0
    assert f"more than {MOST_GROUPS} groups" in plan.lines()[1]


def test_a_pilot_that_tells_nothing_is_refused():
    with pytest.raises(AnalysisError, match="Run a pilot of more items"):
        analysis.power_plan(pilot(spread=0.0).only(np.arange(4)), "right", 0.5)
    with pytest.raises(AnalysisError, match="power between 0 and 1"):
        analysis.power_plan(pilot(), "right", 0.0)
