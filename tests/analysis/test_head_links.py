from dataclasses import replace

import numpy as np
import pytest

from iclviz import analysis
from iclviz.errors import AnalysisError
from iclviz.mapping import Axis
from tests.analysis.conftest import make_recording
from tests.analysis.generators import effect_map

N, LAYERS, HEADS = 32, 6, 4
GROUPS = {"label": np.repeat(np.arange(16), 2)}


def both(ratio, effect, noise=0.0, seed=0):
    """ratio, effect: (L, H) log attention ratio and effect of each head."""
    rng = np.random.default_rng(seed)
    logs = ratio + noise * rng.normal(size=(N, LAYERS, HEADS))
    attention = {
        role: np.full((N, LAYERS, HEADS), 0.01)
        for role in ("special", "instruction", "demonstration", "question", "response")
    }
    attention |= {"relevant": 0.1 * np.exp(logs / 2), "irrelevant": 0.1 * np.exp(-logs / 2)}
    recording = make_recording(N, LAYERS, HEADS, groups=GROUPS, attention_last=attention, attention=attention)
    base = np.zeros((N, 2))
    logprobs = np.zeros((HEADS, LAYERS, 1, N, 2))
    effects = effect + noise * rng.normal(size=(N, LAYERS, HEADS))
    logprobs[..., 0] = np.moveaxis(effects, 0, -1).swapaxes(0, 1)[:, :, None]
    return effect_map(base, logprobs, np.ones((HEADS, LAYERS, 1, N), dtype=int)), recording


def test_heads_that_attend_and_matter_go_together():
    ratio = np.random.default_rng(1).normal(size=(LAYERS, HEADS))
    found = analysis.attention_and_effect(both(ratio, -ratio, noise=0.1))
    assert found.rho < -0.95
    assert found.low <= found.rho <= found.high + 0.02
    assert found.rho_within < -0.9
    assert found.p_within < 0.01
    np.testing.assert_allclose(found.ratio, ratio, atol=0.1)
    np.testing.assert_allclose(found.effect, -ratio, atol=0.1)


def test_depth_alone_is_no_link_within_blocks():
    """Deeper blocks attend more and matter more; within a block nothing goes with anything."""
    rng = np.random.default_rng(2)
    depth = np.arange(LAYERS)[:, None] + np.zeros((LAYERS, HEADS))
    ratio, effect = (depth + 0.2 * rng.normal(size=depth.shape) for _ in range(2))
    found = analysis.attention_and_effect(both(ratio, effect, noise=0.05))
    assert found.rho > 0.9
    assert abs(found.rho_within) < 0.6
    assert found.p_within > 0.02


def test_within_blocks_p_holds_its_level():
    rng = np.random.default_rng(3)
    ps = [
        analysis.attention_and_effect(
            both(*(rng.normal(size=(LAYERS, HEADS)) for _ in range(2)), noise=0.3, seed=number),
            n_permutations=99, n_bootstrap=10,
        ).p_within
        for number in range(200)
    ]  # fmt: skip
    assert 0.01 <= np.mean(np.array(ps) <= 0.05) <= 0.10


def test_few_groups_have_no_interval():
    ratio = np.random.default_rng(1).normal(size=(LAYERS, HEADS))
    made, recording = both(ratio, ratio, noise=0.1)
    few = make_recording(N, LAYERS, HEADS, groups={"label": np.arange(N) % 4}, attention_last=recording.attention_last)
    found = analysis.attention_and_effect((made, few))
    assert np.isnan(found.low)
    assert "too few groups" in found.reason
    assert found.rho > 0.9


def test_a_map_that_is_none_of_heads_and_a_task_without_irrelevant_text_are_refused():
    ratio = np.zeros((LAYERS, HEADS))
    made, recording = both(ratio, ratio)
    other = replace(made, axes=(Axis("place", ("a", "b", "c", "d")), made.axes[1]))
    with pytest.raises(AnalysisError, match="no map of heads"):
        analysis.attention_and_effect((other, recording))
    nothing = {role: np.zeros((N, LAYERS, HEADS)) for role in recording.attention_last}
    with pytest.raises(AnalysisError):
        analysis.attention_and_effect((made, replace(recording, attention_last=nothing)))
