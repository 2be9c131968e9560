from dataclasses import replace

import numpy as np
import pytest

from iclviz import analysis
from iclviz.errors import AnalysisError
from iclviz.grids.competence import Competence
from iclviz.questions.codec import decode, encode
from tests.analysis.conftest import make_recording
from tests.analysis.generators import effect_map

N = 48
GRID = Competence(label="kind", control="place")
KIND = np.array(["a", "b", "c"])[np.arange(N) % 3]


def moved_map(follows, stays, n_draws=1, missing=0):
    """Three candidates; with the label moved in a block the other one has a share, with the control moved the first
    keeps a share of what it had; both (S,).
    """
    before = np.array([0.8, 0.1, 0.1])
    base = np.log(np.tile(before, (N, 1)))
    logprobs = np.empty((2, len(follows), n_draws, N, 3))
    for block, (follow, stay) in enumerate(zip(follows, stays, strict=True)):
        for draw in range(n_draws):
            other = 1 + draw % 2
            shares = np.full(3, (1 - follow) / 2)
            shares[other] = follow
            logprobs[0, block, draw] = np.log(shares)
            gone = before[0] * (1 - stay)
            logprobs[1, block, draw] = np.log(before + np.array([-gone, gone / 2, gone / 2]))
    acted = np.ones((2, len(follows), n_draws, N), dtype=int)
    acted[0, ..., :missing] = 0
    recording = make_recording(N, groups={"kind": np.arange(N) // 2}, labels={"kind": KIND, "place": KIND[::-1]})
    return effect_map(base, logprobs, acted, grid=GRID), recording


@pytest.mark.parametrize("n_draws", [1, 2, 3])
def test_it_is_one_less_the_distance_from_what_the_task_says(n_draws):
    found = analysis.competence_by_block(moved_map([0.2, 0.9], [1.0, 0.75], n_draws))
    np.testing.assert_allclose(found.estimate[0], [0.2, 0.9], atol=1e-12)
    np.testing.assert_allclose(found.estimate[1], [1.0, 1 - 0.8 * 0.25], atol=1e-12)
    np.testing.assert_allclose(found.estimate[2], found.estimate[:2].mean(axis=0))
    assert found.before == pytest.approx(0.1)
    assert found.chosen == 2
    assert found.of_chosen[0] == pytest.approx(0.85)
    assert (found.label, found.control, found.n_items, found.n_units) == ("kind", "place", N, 24)
    assert decode(encode(found)).estimate.tolist() == found.estimate.tolist()


def test_a_model_that_ignores_or_follows_everything_has_half():
    ignores = analysis.competence_by_block(moved_map([1e-9], [1.0]))
    assert ignores.estimate[2, 0] == pytest.approx(0.5)


def test_items_that_could_not_be_moved_count_for_nothing_and_classes_alike():
    found = analysis.competence_by_block(moved_map([0.9], [1.0], missing=7))
    assert found.n_items == N - 7
    assert found.estimate[0, 0] == pytest.approx(0.9)
    made, recording = moved_map([0.9], [1.0])
    rare = np.where(np.arange(N) < 3, "rare", "often")
    logprobs = made.logprobs.copy()
    logprobs[0, 0, 0, :3] = np.log([0.9, 0.05, 0.05])
    recording = replace(recording, labels={"kind": rare, "place": KIND})
    found = analysis.competence_by_block((replace(made, logprobs=logprobs), recording))
    assert found.estimate[0, 0] == pytest.approx((0.9 + 0.05) / 2)


def test_of_few_groups_no_block_is_judged():
    made, recording = moved_map([0.9], [1.0])
    few = replace(recording, groups={"kind": np.arange(N) // 12})
    assert np.isnan(analysis.competence_by_block((made, few)).of_chosen).all()


def test_random_moves_stand_beside_it():
    made, recording = moved_map([0.9], [1.0])
    controls = np.broadcast_to(made.base, (2, 1, 3, *made.base.shape)).copy()
    beside = replace(made, controls=controls, acted_controls=np.ones((2, 1, 3, N), dtype=int))
    found = analysis.competence_by_block((beside, recording))
    np.testing.assert_allclose(found.random[:, 0], [0.1, 1.0, 0.55])


def test_other_maps_and_items_without_another_candidate_are_refused():
    made, recording = moved_map([0.9], [1.0])
    with pytest.raises(AnalysisError, match="no map of moved labels"):
        analysis.competence_by_block((effect_map(made.base, made.logprobs, made.acted), recording))
    with pytest.raises(AnalysisError, match="right answer of another class"):
        analysis.competence_by_block((replace(made, acted=np.zeros_like(made.acted)), recording))
