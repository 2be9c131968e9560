import numpy as np
import pytest

from iclviz.analysis import measured, measured_change
from iclviz.analysis.comparison import compare
from iclviz.analysis.measure import Measuring
from iclviz.analysis.measures import measure_named
from iclviz.analysis.measures.class_distance import item_distances
from iclviz.analysis.probing.folds import group_folds
from iclviz.analysis.probing.row_space import gram
from iclviz.errors import AnalysisError

MEASURE = measure_named("class_distance")
GROUPS = np.repeat(np.arange(16), 3)


def slowly(x, labels, folds):
    """The class distance of one layer x (n, d), written out over classes, folds and items."""
    of_items = np.full(len(x), np.nan)
    for train, test in folds:
        means = {c: x[train][labels[train] == c].mean(axis=0) for c in np.unique(labels[train])}
        inner = {
            c: np.mean([x[i] @ x[j] for i in train for j in train
                        if labels[i] == labels[j] == c and GROUPS[i] != GROUPS[j]])
            for c in means
        }  # fmt: skip
        for i in test:
            c = labels[i]
            terms = [2 * (means[c] - m) @ x[i] - inner[c] + inner[d] for d, m in means.items() if d != c]
            of_items[i] = np.mean(terms)
    per_class = [of_items[labels == c].mean() for c in np.unique(labels)]
    within = sum(((x[labels == c] - x[labels == c].mean(axis=0)) ** 2).sum() for c in np.unique(labels))
    return np.mean(per_class) / (within / (len(x) - len(np.unique(labels))))


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
def test_it_is_what_sums_over_classes_folds_and_items_give(n_classes):
    rng = np.random.default_rng(0)
    labels = GROUPS % n_classes
    x = rng.normal(size=(48, 2, 7)) + np.eye(7)[labels][:, None]
    folds = group_folds(GROUPS, 5, 0)
    found = item_distances(gram(x), labels, GROUPS, folds).mean(axis=1)
    np.testing.assert_allclose(found, [slowly(x[:, layer], labels, folds) for layer in range(2)])


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
    assert "too few groups" in found.reason
    assert np.isnan(found.p).all()
    assert found.missing[2] == "no class has three groups of items"
