import numpy as np

from iclviz.analysis.hypothesis_permutations import arrangement


def test_copies_of_one_unit_trade_places_together():
    groups, units = np.repeat(np.arange(8), 4), np.repeat(np.arange(16), 2)
    classes = units % 2
    hypothesis = np.equal.outer(classes, classes).astype(float)
    moving = arrangement(hypothesis, groups, units)
    assert moving.unit == "units within groups"
    places = moving.places(50, np.random.default_rng(0))
    assert (places[:, ::2] + 1 == places[:, 1::2]).all()
    assert (groups[places] == groups).all()
    assert len(np.unique(places, axis=0)) > 20


def test_a_hypothesis_that_tells_copies_apart_moves_them_within_their_unit():
    groups, units = np.repeat(np.arange(8), 4), np.repeat(np.arange(16), 2)
    asked = np.tile([0, 1], 16)
    moving = arrangement(np.equal.outer(asked, asked).astype(float), groups, units)
    assert moving.unit == "items within units"
    places = moving.places(50, np.random.default_rng(0))
    assert (units[places] == units).all()
