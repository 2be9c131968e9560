import numpy as np
import pytest

from iclviz.analysis.comparison import compare
from iclviz.analysis.measure import MeanOverItems, Measuring
from iclviz.analysis.measures import measure_named
from iclviz.analysis.paired import paired_test
from iclviz.analysis.statistics import mean_interval
from iclviz.errors import AnalysisError

GROUPS = np.repeat(np.arange(8), 2)


class First(MeanOverItems):
    """The first dimension of each layer; differences up to 0.01 are none."""

    name = "first"

    def of_items(self, recording, measuring, items):
        return np.asarray(recording.embeddings[measuring.pooling][items, :, 0], float)

    def resolution(self, recording, measuring, items, values):
        return np.full(values.shape[1], 0.01 / np.sqrt(2))

    def methods(self, recordings, measuring, titles, used):
        return ""


@pytest.fixture
def of_values(recording):
    """A recording whose items have some values (n, L + 1) as their first dimension."""

    def make(values):
        groups = {"class": GROUPS}
        x = np.stack([values, np.zeros_like(values)], axis=2)
        return recording(len(values), values.shape[1] - 1, embeddings={"query_mean": x}, groups=groups)

    return make


def test_a_mean_over_items_has_the_interval_of_groups_and_no_test(of_values):
    values = np.random.default_rng(0).normal(size=(16, 3))
    values[:, 2] = np.nan
    found, known = First().of_condition(of_values(values), Measuring()), mean_interval(values, GROUPS)
    for name in ("estimate", "low", "high"):
        np.testing.assert_array_equal(getattr(found, name), getattr(known, name))
    assert np.isnan(found.p).all()
    assert (found.n_units, found.missing) == (8, {2: "no item has a value"})


def test_its_change_is_tested_over_groups_and_none_where_numbers_hold_none(of_values):
    rng = np.random.default_rng(1)
    before = rng.normal(size=(16, 3))
    after = before + rng.normal(1, 1, size=(16, 3))
    after[:, 0] = before[:, 0] + rng.uniform(0, 0.009, 16)
    found = First().change(compare(of_values(before), of_values(after)), Measuring())
    assert found.estimate[0] == 0
    known = paired_test(after[:, 1:] - before[:, 1:], GROUPS)
    np.testing.assert_allclose(found.estimate[1:], known.estimate)
    np.testing.assert_allclose(found.p[1:], known.p)


def test_options_are_chosen_by_name_as_links_have_them(recording):
    one = recording(16, 2)
    ratio, dimension = measure_named("attention_ratio"), measure_named("intrinsic_dimension")
    found = Measuring().with_(ratio.options, {"rows": "last", "heads": "max"}, one)
    assert (found.rows, found.heads, found.own) == ("last", "max", {})
    neighbours = next(option for option in dimension.options if option.name == "neighbours")
    least = min(neighbours.values(one))
    own = Measuring().with_(dimension.options, {"neighbours": str(least)}, one)
    assert own.value(neighbours, one) == least
    assert own == Measuring(own={"neighbours": least})
    assert hash(own) == hash(Measuring(own={"neighbours": least}))


@pytest.mark.parametrize(
    ("chosen", "words"), [({"colour": "red"}, "colour"), ({"rows": "middle"}, "middle"), ({"heads": ""}, "heads")]
)
def test_an_option_that_there_is_not_is_refused(recording, chosen, words):
    with pytest.raises(AnalysisError, match=words):
        Measuring().with_(measure_named("attention_ratio").options, chosen, recording(16, 2))
