from dataclasses import replace

import numpy as np
import pytest

from iclviz import analysis
from iclviz.capture.tracers.information_flow import InformationFlow
from iclviz.capture.tracers.reweighting import Reweighting
from iclviz.errors import AnalysisError
from tests.analysis.conftest import make_recording
from tests.analysis.generators import trace

N, L, H = 40, 3, 2


def learned(gain, control, agree=1.0, seed=0):
    """A trace of which the answers' factors move the margin by a gain and random tokens' by another."""
    rng = np.random.default_rng(seed)
    first, noise = rng.normal(size=(L, H)), rng.normal(size=(L, H))
    halves = np.exp([first, agree * first + (1 - agree) * noise])
    half = (np.arange(N) // 2 % 2).astype(float)
    margin = rng.normal(1, 1, N)
    return trace(
        Reweighting(),
        {
            "factor": halves[half.astype(int)],
            "half": half,
            "margin": margin,
            "reweighted": margin + gain + 0.1 * rng.normal(size=N),
            "control": margin + control + 0.1 * rng.normal(size=N),
        },
    ), make_recording(N, groups={"label": np.arange(N) // 2})


def test_the_gain_is_told_beside_that_of_random_tokens():
    found = analysis.gain_by_reweighting(learned(0.5, 0.2))
    np.testing.assert_allclose(found.estimate, [0.5, 0.2, 0.3], atol=0.06)
    assert (found.p < 0.01).all()
    assert (found.n_items, found.n_units, found.reason) == (N, 20, None)
    assert found.right > found.right_base
    same = analysis.gain_by_reweighting(learned(0.2, 0.2))
    assert same.low[2] < 0 < same.high[2]


def test_factors_are_the_mean_of_both_halves_and_their_agreement_is_told():
    made, recording = learned(0.5, 0.2, agree=1.0)
    found = analysis.gain_by_reweighting((made, recording))
    np.testing.assert_allclose(found.factor, made.arrays["factor"][0])
    assert found.agreement == pytest.approx(1)
    assert analysis.gain_by_reweighting(learned(0.5, 0.2, agree=0.0)).agreement < 0.9


def test_items_without_a_marked_answer_count_for_nothing():
    made, recording = learned(0.5, 0.2)
    arrays = {name: values.copy() for name, values in made.arrays.items()}
    for name in ("margin", "reweighted", "control"):
        arrays[name][:3] = np.nan
    assert analysis.gain_by_reweighting((replace(made, arrays=arrays), recording)).n_items == N - 3
    none = arrays | {name: np.full(N, np.nan) for name in ("margin", "reweighted", "control")}
    with pytest.raises(AnalysisError, match="whose answer is marked"):
        analysis.gain_by_reweighting((replace(made, arrays=none), recording))
    with pytest.raises(AnalysisError, match="no trace of re-weighting"):
        analysis.gain_by_reweighting((trace(InformationFlow(), made.arrays), recording))
