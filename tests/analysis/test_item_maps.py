import numpy as np
import pytest
from sklearn.decomposition import PCA

from iclviz.analysis import rsm
from iclviz.analysis.item_maps import clustered_order, item_map, rescaled


@pytest.fixture
def x():
    rng = np.random.default_rng(0)
    return rng.normal(size=(12, 20)) + 4 * np.repeat(rng.normal(size=(3, 20)), 4, axis=0)


def test_clusters_stand_side_by_side_whatever_the_order_of_items(x):
    shuffled = np.random.default_rng(1).permutation(12)
    order = clustered_order(rsm(x[shuffled]))
    assert sorted(order) == list(range(12))
    clusters = np.repeat([0, 1, 2], 4)[shuffled][order]
    assert (np.diff(clusters) != 0).sum() == 2


def test_an_rsm_with_gaps_keeps_its_order():
    gappy = np.eye(4)
    gappy[0, 1] = gappy[1, 0] = np.nan
    assert list(clustered_order(gappy)) == [0, 1, 2, 3]


def test_ranks_and_percentiles_are_those_of_the_pairs(x):
    similarities = rsm(x)
    pairs = similarities[np.triu_indices(12, 1)]
    ranks = rescaled(similarities, "rank")
    np.testing.assert_array_equal(np.argsort(ranks[np.triu_indices(12, 1)]), np.argsort(pairs))
    np.testing.assert_array_equal(ranks, ranks.T)
    assert np.isnan(np.diag(ranks)).all()
    assert (np.nanmin(ranks), np.nanmax(ranks)) == (1, 66)
    percentiles = rescaled(similarities, "percentile")
    assert (np.nanmin(percentiles), np.nanmax(percentiles)) == (0, 100)
    np.testing.assert_array_equal(rescaled(similarities, "raw"), similarities)


def test_pairs_without_a_value_stay_without():
    gappy = np.array([[1, np.nan, 0.2], [np.nan, 1, 0.1], [0.2, 0.1, 1]])
    assert np.isnan(rescaled(gappy, "rank")[0, 1])
    assert rescaled(gappy, "rank")[0, 2] == 2


def test_the_map_of_euclidean_distances_is_pca(x):
    found, expected = item_map(rsm(x, "euclidean"), "euclidean"), PCA(2).fit(x)
    places = expected.transform(x)
    np.testing.assert_allclose(np.abs(found.places), np.abs(places), atol=1e-6)
    np.testing.assert_allclose(found.shares, expected.explained_variance_ratio_, atol=1e-6)


@pytest.mark.parametrize("metric", ["cosine", "pearson", "spearman"])
def test_the_map_keeps_what_is_alike_together(x, metric):
    places = item_map(rsm(x, metric), metric).places
    centres = places.reshape(3, 4, 2).mean(axis=1)
    within = np.linalg.norm(places - np.repeat(centres, 4, axis=0), axis=1).max()
    between = min(np.linalg.norm(centres[a] - centres[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    assert within < between


def test_a_layer_in_which_all_items_are_the_same_has_no_map():
    assert np.isnan(item_map(np.full((4, 4), np.nan), "cosine").places).all()


def test_directions_in_a_plane_lie_as_far_apart_as_they_do():
    angles = np.array([0.1, 0.9, 2.0, 3.5, 5.0])
    directions = np.column_stack([np.cos(angles), np.sin(angles)])
    places = item_map(directions @ directions.T, "cosine").places
    distances, expected = (np.linalg.norm(one[:, None] - one, axis=2) for one in (places, directions))
    np.testing.assert_allclose(distances, expected, atol=1e-9)
