import numpy as np
import pytest

from iclviz.analysis import best_layer, rsms
from iclviz.errors import AnalysisError

GROUPS = np.repeat(np.arange(24), 2)
SAME = np.equal.outer(GROUPS % 4, GROUPS % 4).astype(float)


def test_the_layer_with_structure_is_chosen_and_holds_in_the_other_half():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(48, 6, 20))
    x[:, 3] += 1.5 * rng.normal(size=(4, 20))[GROUPS % 4]
    found = best_layer(rsms(x), SAME, GROUPS, n_permutations=199, n_bootstrap=50)
    assert found.layer == 3
    assert found.test.p[0] < 0.05
    assert found.test.n_units == 12


def test_the_best_of_noise_is_less_good_in_the_other_half():
    rng = np.random.default_rng(0)
    gaps = []
    for seed in range(20):
        found = best_layer(
            rsms(rng.normal(size=(48, 12, 20))), SAME, GROUPS, n_permutations=9, n_bootstrap=2, seed=seed
        )
        gaps.append(found.chosen_at - found.test.estimate[0])
    assert np.mean(gaps) > 0.02


def test_too_few_groups_cannot_be_halved():
    with pytest.raises(AnalysisError, match="at least 4 groups"):
        best_layer(np.ones((2, 6, 6)), np.ones((6, 6)), np.repeat(np.arange(3), 2))
