import numpy as np
import pytest
from rsatoolbox.inference.noise_ceiling import boot_noise_ceiling
from rsatoolbox.rdm import RDMs

from iclviz.analysis import noise_ceiling, rsms
from iclviz.errors import AnalysisError

ROWS, COLUMNS = np.triu_indices(12, 1)


def stack(n_seeds=4, noise=1.0, n_layers=2):
    rng = np.random.default_rng(0)
    common = rng.normal(size=(12, n_layers, 30))
    return np.stack([rsms(common + noise * rng.normal(size=common.shape)) for _ in range(n_seeds)]).astype(float)


@pytest.mark.parametrize(
    ("ours", "theirs"), [("spearman", "spearman"), ("pearson", "corr"), ("rho-a", "rho-a"), ("tau-a", "tau-a")]
)
def test_bounds_agree_with_rsatoolbox(ours, theirs):
    rsm = stack()[:, 1]
    lower, upper = boot_noise_ceiling(RDMs(1 - rsm[:, ROWS, COLUMNS]), method=theirs)
    found = noise_ceiling(rsm, method=ours)
    assert found.lower == pytest.approx(lower, abs=1e-6)
    assert found.upper == pytest.approx(upper, abs=1e-6)


def test_layers_have_bounds_of_their_own():
    found = noise_ceiling(stack())
    assert found.lower.shape == found.upper.shape == (2,)
    assert (found.lower < found.upper).all()
    assert found.n_seeds == 4


def test_seeds_that_agree_have_a_high_ceiling_and_others_a_low_one():
    assert noise_ceiling(stack(noise=0.1)).lower[0] > 0.9
    assert noise_ceiling(stack(noise=10)).lower[0] < 0.3


def test_a_constant_matrix_has_no_ceiling():
    rsm = stack()
    rsm[0, 1] = 1.0
    found = noise_ceiling(rsm)
    assert np.isnan(found.lower[1])
    assert np.isfinite(found.lower[0])


def test_two_seeds_are_too_few():
    with pytest.raises(AnalysisError, match="at least 3"):
        noise_ceiling(stack(2))
