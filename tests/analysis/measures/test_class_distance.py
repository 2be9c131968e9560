from itertools import combinations

import numpy as np
import pytest

from iclviz.analysis import measured, measured_change
from iclviz.analysis.comparison import compare
from iclviz.analysis.measure import Measuring
from iclviz.analysis.measures import measure_named
from iclviz.analysis.measures.class_distance import Cells, Parts, class_distance, item_distances
from iclviz.analysis.probing.row_space import gram
from iclviz.errors import AnalysisError

MEASURE = measure_named("class_distance")
GROUPS = np.repeat(np.arange(16), 3)


def pairs(x, labels, groups, c, d):
    """The mean inner product of two items of these classes and of different groups."""
    return np.mean([x[i] @ x[j] for i in np.flatnonzero(labels == c) for j in np.flatnonzero(labels == d)
                    if groups[i] != groups[j]])  # fmt: skip


def slowly(x, labels, groups):
    """The class distance of one layer x (n, d), written out over classes and pairs of items."""
    classes, x = np.unique(labels), x - x.mean(axis=0)
    apart = [
        pairs(x, labels, groups, c, c) + pairs(x, labels, groups, d, d) - 2 * pairs(x, labels, groups, c, d)
        for c, d in combinations(classes, 2)
    ]
    within = sum(((x[labels == c] - x[labels == c].mean(axis=0)) ** 2).sum() for c in classes)
    return np.mean(apart) / (within / (len(x) - len(classes)))


@pytest.fixture
def apart(recording):
    """A recording of 48 items in 16 groups, whose three classes lie `distance` apart in the last layer."""

    def make(distance=0.0, seed=0, key="0" * 32, kind=str):
        rng = np.random.default_rng(seed)
        classes = GROUPS % 3
        x = rng.normal(size=(48, 3, 20)).astype(np.float32)
        x[:, 2, :3] += distance * np.eye(3)[classes]
        labels = {"class": classes.astype(float) if kind is float else classes.astype(str)}
        groups = {"class": GROUPS}
        return recording(48, 2, embeddings={"query_mean": x}, labels=labels, groups=groups, key=key)

    return make


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("groups", [GROUPS, np.sort(GROUPS % 7)])
def test_it_is_what_sums_over_classes_and_pairs_of_items_give(n_classes, groups):
    rng = np.random.default_rng(0)
    labels = np.arange(48) % n_classes
    x = rng.normal(size=(48, 2, 7)) + np.eye(7)[labels][:, None]
    found = class_distance(gram(x), Cells.of(labels, groups, groups))
    np.testing.assert_allclose(found, [slowly(x[:, layer], labels, groups) for layer in range(2)])


def test_the_mean_of_items_is_the_distance_where_groups_are_alike():
    rng = np.random.default_rng(0)
    labels = np.arange(48) % 3
    products = gram(rng.normal(size=(48, 2, 7)) + np.eye(7)[labels][:, None])
    found = item_distances(products, labels, GROUPS)
    np.testing.assert_allclose(found.mean(axis=1), class_distance(products, Cells.of(labels, GROUPS, GROUPS)))


@pytest.mark.parametrize("of_groups", [True, False])
@pytest.mark.parametrize("distance", [0.0, 2.0])
def test_its_error_is_how_much_it_varies_over_samples(of_groups, distance):
    rng, groups = np.random.default_rng(1), np.repeat(np.arange(24), 3)
    labels = groups % 3 if of_groups else np.arange(72) % 3
    cells = Cells.of(labels, groups, groups)
    found = []
    for _ in range(300):
        x = rng.normal(size=(72, 1, 12)) + rng.normal(size=(24, 1, 12))[groups]
        x[:, 0, :3] += distance * np.eye(3)[labels]
        parts = Parts.of(*cells.sums(gram(x)), cells)
        found.append((parts.estimate[0], parts.error[0]))
    estimates, errors = np.array(found).T
    assert 0.85 < np.sqrt((errors**2).mean()) / estimates.std() < 1.3


def test_classes_of_fewer_than_three_groups_are_left_out():
    labels = np.where(GROUPS < 2, 2, GROUPS % 2)
    products = gram(np.random.default_rng(0).normal(size=(48, 1, 5)))
    kept = GROUPS >= 2
    found = class_distance(products, Cells.of(labels, GROUPS, GROUPS))
    np.testing.assert_allclose(
        found, class_distance(products[:, kept][:, :, kept], Cells.of(labels[kept], GROUPS[kept], GROUPS[kept]))
    )
    assert np.isnan(item_distances(products, labels, GROUPS)[:, ~kept]).all()


@pytest.mark.long
def test_classes_that_do_not_differ_have_none_on_average(apart):
    found = [measured(apart(seed=seed), "class_distance").estimate for seed in range(60)]
    error = np.std(found, axis=0) / np.sqrt(60)
    assert (np.abs(np.mean(found, axis=0)) < 4 * error).all()
    assert min(np.min(one) for one in found) < 0


def test_classes_that_differ_are_found_where_they_do(apart):
    found = measured(apart(3.0), "class_distance")
    assert found.p_corrected[2] < 0.05 < found.p_corrected[:2].min()
    assert found.low[2] > 0
    assert found.reference.tolist() == [0, 0, 0]


def test_a_stretch_of_all_states_changes_nothing(apart):
    one, other = apart(2.0), apart(2.0)
    other.embeddings["query_mean"][:] *= 8
    np.testing.assert_allclose(
        measured(one, "class_distance").estimate, measured(other, "class_distance").estimate, rtol=1e-5
    )


def test_a_change_of_the_distance_is_found_and_its_estimate_is_the_difference(apart):
    a, b = apart(0.5, key="a" * 32), apart(3.0, seed=1, key="b" * 32)
    test = measured_change(compare(a, b), "class_distance")
    assert test.p_corrected[2] < 0.05 < test.p_corrected[:2].min()
    each = [measured(one, "class_distance").estimate for one in (a, b)]
    np.testing.assert_allclose(test.estimate, each[1] - each[0], rtol=1e-4, atol=1e-6)


def test_a_number_has_no_classes(apart):
    one = apart(kind=float)
    assert "number" in MEASURE.absent(one, Measuring())
    with pytest.raises(AnalysisError, match="the label is a number"):
        measured(one, "class_distance")


@pytest.mark.parametrize("groups", [GROUPS % 6, GROUPS % 3])
def test_with_few_groups_there_is_a_reason_and_no_p(apart, groups):
    one = apart(3.0)
    one.groups["class"][:] = groups
    found = measured(one, "class_distance")
    assert "too few groups" in found.reason or "fewer than two classes" in found.reason
    assert np.isnan(found.p).all()
