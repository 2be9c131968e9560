import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from iclviz.analysis import right_against_wrong
from iclviz.analysis.measures import all_measures
from iclviz.errors import AnalysisError
from tests.analysis.test_measure import First

N = 64
GROUPS = np.repeat(np.arange(16), 4)


@pytest.fixture
def answered(recording, monkeypatch):
    """A recording whose items have these values (n, L + 1) of the measure "first", and are right or not."""
    monkeypatch.setattr("iclviz.analysis.measures.measure_named", lambda name: First())

    def make(values, right, **factors):
        x = np.stack([values, np.zeros_like(values)], axis=2)
        return recording(
            len(values), values.shape[1] - 1, embeddings={"query_mean": x}, groups={"class": GROUPS},
            scores={"right": np.asarray(right, float)}, factors=factors,
        )  # fmt: skip

    return make


def test_it_is_the_area_under_the_roc_curve(answered):
    rng = np.random.default_rng(0)
    values, right = rng.integers(40, size=(N, 3)).astype(float), rng.random(N) < 0.4
    values[:, 2] += 20 * right
    found = right_against_wrong(answered(values, right), "first")
    np.testing.assert_allclose(found.estimate, [roc_auc_score(right, values[:, layer]) for layer in range(3)])
    assert (found.low < found.estimate).all()
    assert (found.estimate < found.high).all()
    assert found.low[2] > 0.5
    assert (found.n_right, found.n_wrong, found.n_units) == (right.sum(), (~right).sum(), 16)


def test_values_that_differ_by_less_than_their_numbers_hold_are_equal(answered):
    right = np.arange(N) % 2 == 0
    found = right_against_wrong(answered(1e-4 * right[:, None] + np.zeros((N, 2)), right), "first")
    assert found.estimate.tolist() == [0.5, 0.5]


def test_what_the_place_of_the_text_explains_of_both_is_nothing(answered):
    rng = np.random.default_rng(1)
    position = np.arange(N) % 2
    right = rng.random(N) < np.where(position, 0.9, 0.2)
    values = rng.normal(size=(N, 2)) + 3 * position[:, None]
    values[:, 1] += 2 * right
    found = right_against_wrong(answered(values, right, position=position.astype(str)), "first")
    assert found.low[0] < 0.5 < found.high[0]
    assert found.low[1] > 0.5
    assert roc_auc_score(right, values[:, 0]) > 0.7


@pytest.mark.parametrize(("right", "words"), [(np.ones(N), "All answers are right"), (np.zeros(N), "are wrong")])
def test_answers_of_one_kind_have_nothing_to_tell_apart(answered, right, words):
    with pytest.raises(AnalysisError, match=words):
        right_against_wrong(answered(np.zeros((N, 2)), right), "first")


def test_every_measure_of_a_run_says_how_well_it_tells(few_and_many):
    one, said = few_and_many[1], set()
    one.scores["right"] = (np.arange(one.n_items) % 2).astype(float)
    for name in all_measures():
        found = right_against_wrong(one, name)
        known = found.estimate[np.isfinite(found.estimate)]
        assert ((known >= 0) & (known <= 1)).all()
        said |= {name} if len(known) else set()
    assert said >= {"attention_ratio", "intrinsic_dimension"}
