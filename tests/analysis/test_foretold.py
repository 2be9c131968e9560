from dataclasses import replace

import numpy as np
import pytest

from iclviz import analysis
from iclviz.capture.tracers.attribution_patching import AttributionPatching
from iclviz.errors import AnalysisError
from iclviz.grids.patch import Patched
from iclviz.mapping import Axis
from tests.analysis.conftest import make_recording
from tests.analysis.generators import effect_map, trace

N, L = 32, 6


def both(agrees=True, **donor):
    """A trace over three places, the last of which no item has, and the map of true patches over the first two."""
    rng = np.random.default_rng(0)
    slope = np.array([np.linspace(0, 2, L), np.linspace(1, -1, L)])
    effect = np.full((N, 3, L), np.nan)
    effect[:, :2] = slope + 0.1 * rng.normal(size=(N, 2, L))
    true = np.sinh(slope if agrees else -slope)
    base = np.tile([-1.0, -2.0], (N, 1))
    logprobs = np.broadcast_to(base, (2, L, 1, N, 2)).copy()
    logprobs[..., 0] += true[:, :, None, None]
    made = effect_map(base, logprobs, np.ones((2, L, 1, N), dtype=int), grid=Patched(shown="none", k=0))
    made = replace(made, axes=(Axis("place", ("last", "query")), Axis("block", tuple(range(1, L + 1)))))
    followed = trace(
        AttributionPatching(**(donor or {"shown": "none", "k": 0})), {"effect": effect, "margin": np.ones(N)}
    )
    return followed, make_recording(N, groups={"label": np.arange(N) // 2}), made


def test_agreement_is_that_of_ranks_over_blocks():
    found = analysis.foretold_patches(list(both()))
    np.testing.assert_allclose(found.agreement[:2], 1)
    np.testing.assert_allclose(found.signs[1], 1)
    assert np.isnan(found.agreement[2])
    assert found.has_true
    assert (found.n_items, found.n_units) == (N, 16)
    other_way = analysis.foretold_patches(list(both(agrees=False)))
    np.testing.assert_allclose(other_way.agreement[:2], -1)


def test_without_true_patches_it_says_what_is_foretold_alone():
    followed, recording, _ = both()
    found = analysis.foretold_patches([followed, recording])
    assert not found.has_true
    np.testing.assert_allclose(found.estimate[0], np.linspace(0, 2, L), atol=0.1)
    assert np.isnan(found.agreement).all()
    assert np.isnan(found.estimate[2]).all()


def test_patches_from_other_demonstrations_are_refused():
    followed, recording, made = both(shown="shuffled", k=2)
    with pytest.raises(AnalysisError, match="other demonstrations"):
        analysis.foretold_patches([followed, recording, made])
    with pytest.raises(AnalysisError, match="no trace of attribution patching"):
        analysis.foretold_patches([recording, made])
