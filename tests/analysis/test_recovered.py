from dataclasses import replace

import numpy as np
import pytest

from iclviz import analysis
from iclviz.analysis.behaviour import LOGPROB, MARGIN
from iclviz.analysis.recovered import NO_GAIN, shares
from iclviz.errors import AnalysisError
from iclviz.grids.task_vector import TaskVectors
from iclviz.questions.codec import decode, encode
from tests.analysis.conftest import make_recording
from tests.analysis.generators import effect_map

N, GROUPS = 48, np.repeat(np.arange(24), 2)


def two_runs(gain, shared, noise=0.1, seed=0):
    """A map whose sites (rows, blocks) bring back shares of a gain (n,), and both runs' recordings."""
    rng = np.random.default_rng(seed)
    base = np.stack([rng.normal(-3, 1, len(gain)), rng.normal(-2, 1, len(gain))], axis=-1)
    shared = np.asarray(shared, dtype=float)
    effects = shared[..., None] * gain + noise * rng.normal(size=(*shared.shape, len(gain)))
    logprobs = np.broadcast_to(base, (*shared.shape, 1, *base.shape)).copy()
    logprobs[..., 0] += effects[:, :, None]
    acted = np.ones((*shared.shape, 1, len(gain)), dtype=int)
    made = effect_map(base, logprobs, acted, grid=TaskVectors(shown="correct"))
    own = make_recording(len(gain), groups={"label": GROUPS})
    margin = base[:, 0] - base[:, 1] + gain
    other = replace(own, scores={MARGIN: margin, LOGPROB: base[:, 0] + 2 * gain})
    return made, own, other


def test_the_share_is_the_mean_effect_over_the_mean_gain():
    gain = np.random.default_rng(1).normal(2, 1, N)
    found = analysis.recovered_share(two_runs(gain, [[0.0, 0.5, 1.0], [0.1, 0.1, -0.5]]))
    np.testing.assert_allclose(found.estimate, [[0, 0.5, 1], [0.1, 0.1, -0.5]], atol=0.03)
    assert ((found.low < found.estimate) & (found.estimate < found.high)).all()
    assert found.gain == pytest.approx(gain.mean())
    assert (found.outcome, found.n_units, found.n_items, found.reason) == ("margin", 24, N, None)
    assert [(one.first, one.second) for one in found.chosen] == [(0, 3), (1, found.chosen[1].second)]
    assert found.chosen[0].low < 1 < found.chosen[0].high
    of_answer = analysis.recovered_share(two_runs(gain, [[0.5]]), "answer")
    assert of_answer.estimate[0, 0] == pytest.approx(0.25, abs=0.02)
    assert decode(encode(found)).estimate.tolist() == found.estimate.tolist()


@pytest.mark.parametrize("gain", [np.zeros(N), np.random.default_rng(0).normal(0, 1, N)], ids=["none", "noise"])
def test_of_no_difference_no_share_comes_back(gain):
    found = analysis.recovered_share(two_runs(gain, [[0.5]]))
    assert found.reason == NO_GAIN
    assert np.isnan(found.estimate).all()
    assert not found.chosen


def test_a_difference_that_falls_is_brought_back_too():
    gain = np.random.default_rng(1).normal(-2, 1, N)
    found = analysis.recovered_share(two_runs(gain, [[0.1, 0.8, 0.2]]))
    assert found.estimate[0, 1] == pytest.approx(0.8, abs=0.03)
    assert found.chosen[0].second == 2


def test_items_without_an_effect_count_in_neither_mean():
    gain = np.linspace(1, 3, N)
    made, own, other = two_runs(gain, [[1.0]], noise=0)
    acted = made.acted.copy()
    acted[..., : N // 2] = 0
    found = analysis.recovered_share((replace(made, acted=acted), own, other))
    assert found.estimate[0, 0] == pytest.approx(1.0)


def test_runs_of_other_items_are_refused():
    made, own, other = two_runs(np.ones(N), [[1.0]])
    with pytest.raises(AnalysisError, match="different items"):
        analysis.recovered_share((made, own, replace(other, item_ids=["x"] * N)))
    with pytest.raises(AnalysisError, match="no such outcome"):
        analysis.recovered_share((made, own, replace(other, scores={})))


DESIGNS = {
    "even groups": (np.repeat(np.arange(16), 2), lambda rng, n: rng.normal(size=n)),
    "few groups": (np.repeat(np.arange(8), 4), lambda rng, n: rng.normal(size=n)),
    "unequal groups": (np.repeat(np.arange(10), [1, 1, 1, 2, 2, 3, 3, 4, 5, 6]), lambda rng, n: rng.normal(size=n)),
    "heavy tails": (np.repeat(np.arange(16), 2), lambda rng, n: rng.standard_t(3, size=n)),
}


@pytest.mark.parametrize("design", DESIGNS)
def test_intervals_hold_the_share_as_often_as_they_say(design):
    codes, noise = DESIGNS[design]
    n_groups, rng = int(codes.max()) + 1, np.random.default_rng(3)
    held = told = 0
    for _ in range(400):
        of_groups = noise(rng, n_groups)[codes]
        gain = 2 + of_groups + noise(rng, len(codes))
        effect = 0.6 * gain + 0.5 * noise(rng, n_groups)[codes] + 0.5 * noise(rng, len(codes))
        _, low, high = (float(one[0]) for one in shares(effect[:, None], gain, codes))
        told += np.isfinite(low)
        held += low <= 0.6 <= high
    assert told > 300
    assert held / told >= 0.90
