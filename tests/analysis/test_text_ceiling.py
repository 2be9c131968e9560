import numpy as np
import pytest

from iclviz.analysis import recording_alignment, text_share
from iclviz.analysis.text_ceiling import NEARLY_ALL, largest_alignment, share_of_largest


def matrices(seed=0, n=24):
    rng = np.random.default_rng(seed)
    groups = np.arange(n) // 3
    noise = rng.random((n, n))
    return (groups[:, None] == groups).astype(float), (noise + noise.T) / 2


@pytest.mark.parametrize("method", ["spearman", "tau-a", "rho-a"])
def test_an_rsm_that_orders_pairs_as_the_hypothesis_does_reaches_all_there_is(method):
    hypothesis, noise = matrices()
    assert share_of_largest(hypothesis + 0.1 * noise, hypothesis, method) == pytest.approx(1)
    assert largest_alignment(hypothesis, method) < 1


def test_noise_reaches_hardly_any_and_a_constant_hypothesis_has_no_largest():
    hypothesis, noise = matrices()
    assert abs(share_of_largest(noise, hypothesis)) < 0.3
    assert np.isnan(largest_alignment(np.ones((6, 6))))


def test_pairs_without_a_prediction_are_left_out():
    hypothesis, noise = matrices()
    hypothesis[:6] = hypothesis[:, :6] = np.nan
    assert share_of_largest(np.where(np.isnan(hypothesis), 0, hypothesis) + 0.1 * noise, hypothesis) == pytest.approx(1)


def test_a_recordings_alignment_says_how_far_its_text_alone_goes(recording):
    rng = np.random.default_rng(0)
    groups = np.arange(32) // 2
    same = (groups[:, None] == groups).astype(float)
    words = rng.normal(size=(16, 3, 8))[groups] + 0.01 * rng.normal(size=(32, 3, 8))
    one = recording(32, embeddings={"query_mean": words.astype(np.float16)}, hypotheses={"same": same})
    assert text_share(one, "same", "query_mean") == pytest.approx(1)
    assert text_share(one, "same", "query_mean") > NEARLY_ALL
    assert recording_alignment(one, "same", n_permutations=9).text_share == pytest.approx(1)
