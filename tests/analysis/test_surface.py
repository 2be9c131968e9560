import numpy as np
import pytest
from scipy.stats import rankdata

from iclviz.analysis import rsms, surface_control, surface_rsms
from iclviz.errors import AnalysisError
from iclviz.spans import Span

GROUPS = np.repeat(np.arange(16), 2)
CLASSES = GROUPS % 4
SAME = np.equal.outer(CLASSES, CLASSES).astype(float)


def symmetric(rng):
    noise = rng.normal(size=(32, 32))
    return noise + noise.T


def test_the_linear_control_is_the_partial_rank_correlation():
    rng = np.random.default_rng(0)
    x = rsms(rng.normal(size=(32, 2, 20)))
    surfaces = {"one": symmetric(rng) + SAME, "two": symmetric(rng)}
    found = surface_control(x, SAME, surfaces)
    rows, columns = np.triu_indices(32, 1)
    ranks = [rankdata(np.asarray(matrix)[rows, columns]) for matrix in (x[1], SAME, *surfaces.values())]
    given = np.column_stack([np.ones(len(rows)), *ranks[2:]])
    left = [values - given @ np.linalg.lstsq(given, values, rcond=None)[0] for values in ranks[:2]]
    assert found.linear[1] == pytest.approx(np.corrcoef(*left)[0, 1])
    assert found.names == ("one", "two")


def test_structure_of_its_own_is_left_when_surface_is_removed():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 3, 20))
    x[:, 1] += 1.5 * rng.normal(size=(4, 20))[CLASSES]
    found = surface_control(rsms(x), SAME, {"overlap": symmetric(rng)})
    assert np.argmax(found.linear) == np.argmax(found.matched) == 1
    assert min(found.linear[1], found.matched[1]) > 0.2


def test_what_surface_explains_is_removed_by_matching():
    rng = np.random.default_rng(0)
    surface = SAME + 0.3 * symmetric(rng)
    x = (surface**3 + 0.3 * symmetric(rng))[None]
    found = surface_control(x, SAME, {"overlap": surface})
    assert found.raw[0] > 0.2
    assert abs(found.matched[0]) < found.raw[0] / 3


def test_surface_that_does_not_vary_is_left_out():
    rng = np.random.default_rng(0)
    x = rsms(rng.normal(size=(32, 1, 20)))
    found = surface_control(x, SAME, {"flat": np.ones((32, 32))})
    assert found.names == ()
    assert found.linear[0] == pytest.approx(found.raw[0])


def test_pairs_without_a_prediction_are_left_out():
    rng = np.random.default_rng(0)
    said = SAME.copy()
    said[0] = said[:, 0] = np.nan
    x = rsms(rng.normal(size=(32, 2, 20)))
    found = surface_control(x, said, {"one": symmetric(rng)})
    alone = surface_control(x[:, 1:, 1:], SAME[1:, 1:], {"one": symmetric(np.random.default_rng(1))[1:, 1:]})
    assert np.isfinite(found.linear).all()
    np.testing.assert_allclose(found.raw, alone.raw)


def test_a_surface_of_another_size_is_refused():
    with pytest.raises(AnalysisError, match="'one' has shape"):
        surface_control(np.ones((1, 32, 32)), SAME, {"one": np.ones((3, 3))})


def test_surface_measures_of_a_recording(recording):
    record = recording(
        3,
        prompt_ids=[[1, 2, 3, 4], [1, 2, 3, 5, 6], [7, 8, 9]],
        query_start=np.array([2, 3, 0]),
        spans=[[Span("relevant", 0, 1), Span("question", 1, 4)]] * 3,
        covariates={"mean_y": np.array([1.0, 3.0, 3.0])},
        embeddings={"mean": np.random.default_rng(0).normal(size=(3, 4, 5))},
    )
    found = surface_rsms(record)
    assert found["tokens of the span"][0, 1] == 0
    assert found["tokens of the prompt"][0, 1] == pytest.approx(3 / 6)
    assert found["prompt length"][1, 2] == -2
    assert found["mean y"].tolist() == [[0, -2, -2], [-2, 0, 0], [-2, 0, 0]]
    assert found["layer 0 of the prompt"].shape == (3, 3)
    by_role = surface_rsms(record, "relevant_mean")["tokens of the span"]
    assert by_role[0, 1] == 1
    assert by_role[0, 2] == 0
