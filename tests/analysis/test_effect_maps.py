from dataclasses import replace

import numpy as np
import pytest

from iclviz import analysis
from iclviz.analysis.effect_maps import control_effects, has_controls, item_effects, known_outcomes, usual_outcome
from iclviz.errors import AnalysisError
from iclviz.grids.attention import Attention
from iclviz.questions.codec import decode, encode
from tests.analysis.conftest import make_recording
from tests.analysis.generators import effect_map

N, HEADS, BLOCKS = 32, 3, 4
GROUPS = np.repeat(np.arange(16), 2)


def a_map(effects, base=None, acted=None, **fields):
    """effects: (heads, blocks, n) that are put into the right answer's log-probability."""
    rng = np.random.default_rng(0)
    base = rng.normal(size=(effects.shape[-1], 2)) if base is None else base
    logprobs = np.broadcast_to(base, (*effects.shape[:2], 1, *base.shape)).copy()
    logprobs[..., 0] += effects[:, :, None]
    acted = np.ones((*effects.shape[:2], 1, effects.shape[-1]), dtype=int) if acted is None else acted
    return effect_map(base, logprobs, acted, **fields)


@pytest.fixture
def recording():
    return make_recording(N, groups={"label": GROUPS})


@pytest.fixture
def noise():
    return np.random.default_rng(1).normal(scale=0.2, size=(HEADS, BLOCKS, N))


def test_the_effect_is_the_margin_with_less_the_margin_without(noise, recording):
    made = a_map(noise)
    np.testing.assert_allclose(item_effects(made), noise, atol=1e-9)
    found = analysis.effect_of_sites((made, recording))
    np.testing.assert_allclose(found.estimate, noise.mean(axis=-1), atol=1e-3)
    assert found.estimate.shape == found.p_corrected.shape == (HEADS, BLOCKS)
    assert (found.n_units, found.n_items, found.axes) == (16, N, ("head", "block"))


def test_a_planted_site_is_found_and_chosen_and_no_other(noise, recording):
    noise[1, 2] -= 2.0
    found = analysis.effect_of_sites((a_map(noise), recording))
    assert np.flatnonzero(found.p_corrected.ravel() < 0.05).tolist() == [1 * BLOCKS + 2]
    first = found.chosen[0]
    assert (first.first, first.second) == (1, 3)
    assert first.estimate == pytest.approx(-2, abs=0.15)
    assert first.p_corrected < 0.05
    assert found.strongest(1) == [(1, 2)]
    assert "head 1, block 3" in found.lines()[1]


def test_the_margin_is_over_the_best_other_candidate_wherever_that_is(recording):
    base = np.tile([-1.0, -2.0, -3.0], (N, 1))
    logprobs = np.broadcast_to(base, (1, 1, 1, N, 3)).copy()
    logprobs[..., 2] = -0.5
    made = effect_map(base, logprobs, np.ones((1, 1, 1, N), dtype=int))
    assert item_effects(made).ravel().tolist() == pytest.approx([-1.5] * N)
    assert item_effects(made, "answer").ravel().tolist() == [0.0] * N
    found = analysis.effect_of_sites((made, recording))
    assert (found.right[0, 0], found.right_base, found.base) == (0.0, 1.0, 1.0)


def test_a_task_of_one_candidate_is_about_the_answer_alone(recording):
    base = np.full((N, 1), -1.0)
    made = effect_map(base, np.full((1, 1, 1, N, 1), -2.0), np.ones((1, 1, 1, N), dtype=int))
    assert usual_outcome(made) == "answer"
    found = analysis.effect_of_sites((made, recording))
    assert found.estimate.tolist() == [[-1.0]]
    assert np.isnan(found.right).all()
    with pytest.raises(AnalysisError, match="Unknown outcome 'odds'"):
        analysis.effect_of_sites((made, recording), "odds")


def test_items_in_which_nothing_was_done_have_no_effect_and_are_counted_out(noise, recording):
    acted = np.ones((HEADS, BLOCKS, 1, N), dtype=int)
    acted[0, 0, 0, :10] = 0
    acted[2] = 0
    noise[0, 0, :10] = 100.0
    found = analysis.effect_of_sites((a_map(noise, acted=acted), recording))
    assert found.n[0, 0] == N - 10
    assert found.estimate[0, 0] == pytest.approx(noise[0, 0, 10:].mean(), abs=1e-3)
    assert np.isnan(found.estimate[2]).all()
    assert np.isnan(found.p_corrected[2]).all()


def test_what_rounding_makes_is_no_effect(recording):
    tiny = np.full((HEADS, BLOCKS, N), 5e-5)
    found = analysis.effect_of_sites((a_map(tiny), recording))
    assert (found.estimate == 0).all()
    assert np.isnan(found.p_corrected).all()
    assert found.chosen == ()
    assert "nothing that was done" in found.chosen_reason


def test_draws_of_donors_are_averaged_and_their_spread_is_told(recording):
    base = np.zeros((N, 2))
    logprobs = np.zeros((1, 1, 3, N, 2))
    logprobs[0, 0, :, :, 0] = np.array([1.0, 2.0, 6.0])[:, None]
    made = effect_map(base, logprobs, np.ones((1, 1, 3, N), dtype=int))
    found = analysis.effect_of_sites((made, recording))
    assert found.estimate[0, 0] == pytest.approx(3.0)
    assert found.between_draws[0, 0] == pytest.approx(np.std([1, 2, 6], ddof=1))


def test_beyond_controls_takes_off_what_as_many_random_tokens_do(noise, recording):
    controls = np.zeros((HEADS, BLOCKS, 2, N, 2))
    controls[..., 0] = np.array([1.0, 3.0])[:, None]
    made = a_map(noise, base=np.zeros((N, 2)), controls=controls, grid=Attention())
    assert np.unique(control_effects(made)).tolist() == [2.0]
    found = analysis.effect_of_sites((made, recording), beyond=True)
    np.testing.assert_allclose(found.estimate, noise.mean(axis=-1) - 2, atol=1e-3)
    assert found.beyond == "as many random tokens of the same prompts"


def test_heads_are_compared_with_the_others_of_their_block(recording):
    effects = np.zeros((HEADS, BLOCKS, N))
    effects[:, 1] = np.array([3.0, 1.0, 2.0])[:, None]
    made = a_map(effects)
    assert has_controls(made)
    found = analysis.effect_of_sites((made, recording), beyond=True)
    np.testing.assert_allclose(found.estimate[:, 1], [1.5, -1.5, 0.0], atol=1e-9)
    assert found.beyond == "the other heads of its block"


def test_without_controls_there_is_nothing_beyond_them(noise, recording):
    made = a_map(noise[:1])
    with pytest.raises(AnalysisError, match="has no controls"):
        analysis.effect_of_sites((made, recording), beyond=True)


@pytest.mark.parametrize(("n_groups", "has_p", "is_halved"), [(16, True, True), (8, True, False), (4, False, False)])
def test_few_groups_have_no_p_and_are_not_halved(noise, n_groups, has_p, is_halved):
    groups = {"label": np.arange(N) % n_groups}
    found = analysis.effect_of_sites((a_map(noise), make_recording(N, groups=groups)))
    assert bool(np.isfinite(found.p).any()) is has_p
    assert bool(found.chosen) is is_halved
    assert (found.reason is None) is has_p
    assert (found.chosen_reason is None) is is_halved


def test_one_site_is_told_item_by_item(noise, recording):
    made = a_map(noise)
    found = analysis.effect_on_items((made, recording), 2, 4)
    np.testing.assert_allclose(found.effect, noise[2, 3], atol=1e-9)
    assert (found.where, list(found.item_ids)) == ("head 2, block 4", list(recording.item_ids))
    for at, sentence in (((7, 4), "Unknown head '?7"), ((2, 9), "Unknown block '?9")):
        with pytest.raises(AnalysisError, match=sentence):
            analysis.effect_on_items((made, recording), *at)


def test_a_recording_of_other_items_is_refused(noise, recording):
    other = replace(recording, item_ids=[f"other-{place}" for place in range(N)])
    with pytest.raises(AnalysisError, match="different items"):
        analysis.effect_of_sites((a_map(noise), other))


def test_what_it_finds_is_kept_as_it_is(noise, recording):
    found = analysis.effect_of_sites((a_map(noise), recording))
    again = decode(encode(found))
    np.testing.assert_array_equal(again.estimate, found.estimate)
    assert again.chosen == found.chosen
    assert again.first == found.first


def test_effects_on_the_score_of_what_is_written_have_its_unit():
    rng = np.random.default_rng(0)
    n = 32
    base = np.log(rng.dirichlet([1, 1], n))
    logprobs = np.broadcast_to(base, (2, 3, 1, n, 2)).copy()
    made = effect_map(base, logprobs, np.ones((2, 3, 1, n), dtype=int))
    recording = make_recording(n, groups={"label": np.arange(n) // 2})
    with pytest.raises(AnalysisError, match="nothing was written"):
        analysis.effect_of_sites((made, recording), "score")
    scores = np.zeros((2, 3, 1, n))
    scores[1, 2] = -0.5 + 0.1 * rng.normal(size=n)
    written = replace(made, base_scores=np.ones(n), scores=1 + scores, control_scores=np.ones((2, 3, 0, n)))
    assert known_outcomes([written]) == ["margin", "answer", "score"]
    assert known_outcomes([written, made]) == ["margin", "answer"]
    found = analysis.effect_of_sites((written, recording), "score")
    assert found.estimate[1, 2] == pytest.approx(-0.5, abs=0.05)
    assert found.strongest(1) == [(1, 2)]
    assert found.lines()[0].startswith("score +1.000 with")
    alone = replace(written, base=base[:, :1], logprobs=logprobs[..., :1], controls=made.controls[..., :1])
    assert usual_outcome(alone) == "score"
