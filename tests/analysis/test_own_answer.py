from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from iclviz import analysis
from iclviz.analysis.own_answer import auroc, shown_answers
from iclviz.errors import AnalysisError
from iclviz.recording import NotRecordedError
from iclviz.spans import Mark
from tests.analysis.conftest import make_recording

N, K, L, H = 60, 4, 3, 2
SHOWN = ("good", "bad", "good", "so so")


def recorded(strength, seed=0):
    """Four demonstrations with three answers; items answer one of the first two, and attend to it in block 2 alone."""
    rng = np.random.default_rng(seed)
    own = rng.integers(2, size=N)
    attention = rng.random((N, L, H, K)) * 0.1
    attention[:, 1, 1, 0] += strength * (own == 0)
    attention[:, 1, 1, 1] += strength * (own == 1)
    tokens = [["x", " good", ".", " bad", ".", " good", ".", " so", " so", "?"]] * N
    marks = [[Mark("answer:0", 1, 2), Mark("answer:1", 3, 4), Mark("answer:2", 5, 6), Mark("answer:3", 7, 9)]] * N
    recording = make_recording(N, groups={"label": np.arange(N) // 3})
    return replace(
        recording, parsed=[["Good", "bad"][one] for one in own], tokens=tokens, marks=marks,
        recorded={"demonstration_answer_attention": attention},
    ), own  # fmt: skip


def test_demonstrations_answers_are_read_from_their_marks():
    recording, _ = recorded(1)
    assert shown_answers(recording, 0) == dict(enumerate(SHOWN))


def test_attention_that_follows_the_answer_foretells_it_in_that_block_alone():
    recording, _ = recorded(0.5)
    found = analysis.own_answer_by_block(recording)
    assert found.answers == ("bad", "good")
    assert found.estimate[1] == pytest.approx(1, abs=0.01)
    assert (found.low[[0, 2]] < 0.5).all()
    assert (found.high[[0, 2]] > 0.5).all()
    assert (found.n_items, found.n_units) == (N, 20)


def test_it_is_the_area_that_the_library_finds():
    recording, own = recorded(0.05)
    found = analysis.own_answer_by_block(recording)
    attention = recording.recorded["demonstration_answer_attention"].sum(axis=2)
    good = attention[:, :, [0, 2]].sum(axis=-1)
    for block in range(L):
        assert found.by_answer[1, block] == pytest.approx(roc_auc_score(own == 0, good[:, block]))
    ties = auroc(np.zeros((6, 1)), np.arange(6) < 2, np.ones((1, 6)))
    assert ties[0, 0] == 0.5


def test_items_without_an_answer_count_for_nothing():
    recording, _ = recorded(0.5)
    silent = replace(recording, parsed=[None, *recording.parsed[1:]])
    assert analysis.own_answer_by_block(silent).n_items == N - 1


def test_answers_that_no_demonstration_shows_and_recordings_without_it_are_refused():
    recording, _ = recorded(0.5)
    with pytest.raises(AnalysisError, match="cannot foretell"):
        analysis.own_answer_by_block(replace(recording, parsed=["other"] * N))
    with pytest.raises(NotRecordedError, match="demonstration_attention"):
        analysis.own_answer_by_block(replace(recording, recorded={}))
