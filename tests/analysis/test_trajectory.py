import numpy as np
import pytest

from iclviz.analysis.trajectory import (
    trajectory_by_layer,
    trajectory_by_outcome,
    trajectory_of_item,
    trajectory_over_candidates,
    trajectory_values,
)
from iclviz.errors import AnalysisError

N, LAYERS = 16, 4


@pytest.fixture
def recorded(recording):
    """Right items gain at each layer what wrong ones lose; the last two items have no token that tells their answer."""
    rng = np.random.default_rng(0)
    right = (np.arange(N) % 2 == 0).astype(float)
    steps = np.arange(LAYERS) * np.where(right, 1.0, -1.0)[:, None]
    logprobs = np.stack([-2 + steps, np.full((N, LAYERS), -2.0), np.full((N, LAYERS), -3.0)], axis=-1)
    logprobs += rng.normal(0, 0.01, (N, 1, 3))
    logprobs[-2:, :, 0] = np.nan
    further = {
        "trajectory": logprobs.astype(np.float32),
        "trajectory_rank": np.where(np.isnan(logprobs[..., 0]), np.nan, 3.0),
        "trajectory_entropy": np.full((N, LAYERS), 1.5),
        "trajectory_kl": np.tile(np.arange(LAYERS)[::-1], (N, 1)).astype(float),
        "trajectory_token": np.array([[" yes", " no", " so"]] * N, dtype=object),
    }
    groups = {"line": np.repeat(np.arange(N // 2), 2)}
    return recording(N, LAYERS - 1, recorded=further, scores={"prefers_right": right}, groups=groups)


def test_each_quantity_is_averaged_over_the_items_that_have_it(recorded):
    answer = trajectory_by_layer(recorded, "answer")
    np.testing.assert_allclose(answer.mean, np.nanmean(recorded.trajectory[..., 0], axis=0), rtol=1e-6)
    assert answer.n.tolist() == [N - 2] * LAYERS
    assert answer.n_units == N // 2
    assert (answer.low <= answer.mean).all()
    assert (answer.mean <= answer.high).all()
    assert trajectory_by_layer(recorded, "kl").mean.tolist() == [3, 2, 1, 0]
    assert trajectory_by_layer(recorded, "entropy").n.tolist() == [N] * LAYERS
    assert trajectory_by_layer(recorded, "rank").mean.tolist() == [3] * LAYERS


def test_the_margin_is_over_the_best_other_candidate(recorded):
    margin = trajectory_values(recorded, "margin")
    expected = recorded.trajectory[:-2, :, 0] - recorded.trajectory[:-2, :, 1:].max(-1)
    np.testing.assert_allclose(margin[:-2], expected)
    assert np.isnan(margin[-2:]).all()


def test_right_items_are_told_from_wrong_ones(recorded):
    found = trajectory_by_outcome(recorded)
    assert (found.n_right, found.n_wrong) == (N // 2 - 1, N // 2 - 1)
    np.testing.assert_allclose(found.difference, 2 * np.arange(LAYERS), atol=0.05)
    np.testing.assert_allclose(found.difference, found.right.mean - found.wrong.mean)
    assert (found.low[1:] > 0).all()


def test_where_all_are_right_nothing_is_compared(recorded, recording):
    alone = recording(N, LAYERS - 1, recorded=recorded.recorded, scores={"prefers_right": np.ones(N)})
    with pytest.raises(AnalysisError, match="No item is wrong by the score prefers_right"):
        trajectory_by_outcome(alone)


def test_candidates_that_items_share_are_told_by_their_text(recorded):
    found = trajectory_over_candidates(recorded).candidates
    assert list(found) == [" no", " so", " yes"]
    np.testing.assert_allclose(found[" yes"].mean, np.nanmean(recorded.trajectory[..., 0], axis=0), rtol=1e-6)
    np.testing.assert_allclose(found[" so"].mean, recorded.trajectory[..., 2].mean(0), rtol=1e-6)
    assert found[" yes"].n.tolist() == [N - 2] * LAYERS


def test_candidates_of_many_texts_are_told_by_their_place(recorded, recording):
    texts = np.array([[f" {item}", f" a{item}", f" b{item}"] for item in range(N)], dtype=object)
    many = recording(N, LAYERS - 1, recorded={**recorded.recorded, "trajectory_token": texts})
    found = trajectory_over_candidates(many).candidates
    assert list(found) == ["right answer", "other answer 1", "other answer 2"]
    np.testing.assert_allclose(found["other answer 1"].mean, recorded.trajectory[..., 1].mean(0), rtol=1e-6)


def test_one_item_is_shown_as_recorded(recorded):
    found = trajectory_of_item(recorded, 3)
    assert found.tokens == (" yes", " no", " so")
    np.testing.assert_allclose(found.logprobs, recorded.trajectory[3])
    with pytest.raises(AnalysisError, match="There is no item 16"):
        trajectory_of_item(recorded, N)


def test_a_recording_without_a_trajectory_says_how_to_record_it(recording):
    with pytest.raises(AnalysisError, match=r'no trajectory. Record it with record=\("trajectory",\)'):
        trajectory_by_layer(recording(N, LAYERS - 1))
    with pytest.raises(AnalysisError, match="Unknown quantity 'surprise'"):
        trajectory_by_layer(recording(N, LAYERS - 1), "surprise")
