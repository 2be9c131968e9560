import numpy as np
import pytest

from iclviz.analysis import join, score_summary
from iclviz.errors import AnalysisError
from iclviz.reporting.scope import demonstration_scope
from iclviz.spec import Demonstrations, RunSpec


def test_a_score_is_summed_up_over_items_and_resampled_by_the_coarsest_groups(recording):
    groups = {"line": np.arange(6), "slope": np.array([0, 0, 0, 1, 1, 1])}
    record = recording(
        6, scores={"main": np.array([2.0, 2, 2, 1, 1, 1])}, groups=groups, parsed=["1", None, "1", "1", None, "1"]
    )
    summary = score_summary(record, "main")
    assert (summary.mean, summary.n, summary.n_unparsed, summary.n_units) == (1.5, 6, 2, 2)
    assert (summary.low, summary.high, summary.is_share) == (1, 2, False)
    assert score_summary(record, "main", groups=groups["line"]).n_units == 6


def test_items_without_a_score_are_counted_apart(recording):
    record = recording(4, scores={"error": np.array([1.0, np.nan, 3.0, np.nan])}, parsed=["1", None, "3", None])
    summary = score_summary(record, "error")
    assert (summary.mean, summary.n, summary.n_unparsed) == (2.0, 2, 2)
    assert np.array_equal(summary.values, [1, np.nan, 3, np.nan], equal_nan=True)


def test_some_items_can_be_chosen(recording):
    record = recording(4, scores={"main": np.arange(4.0)}, parsed=[None, "1", "2", "3"])
    summary = score_summary(record, "main", items=np.array([3, 0]))
    assert summary.item_ids == ("item-3", "item-0")
    assert (summary.mean, summary.n_unparsed) == (1.5, 1)


def test_an_unknown_score_is_answered_with_those_that_are_known(recording):
    with pytest.raises(AnalysisError, match="Known: main"):
        score_summary(recording(scores={"main": np.zeros(6)}), "accuracy")


def test_recordings_are_joined_on_item_ids_and_not_on_positions(recording):
    a = recording(4, item_ids=["w", "x", "y", "z"])
    b = recording(3, item_ids=["z", "v", "x"])
    joined = join(a, b)
    assert joined.item_ids == ("x", "z")
    assert (joined.a.tolist(), joined.b.tolist()) == ([1, 3], [2, 0])


def test_items_that_both_could_be_read_of(recording):
    a = recording(3, parsed=["1", None, "1"])
    b = recording(3, parsed=[None, "1", "1"])
    assert join(a, b, parsed_in_both=True).item_ids == ("item-2",)
    with pytest.raises(AnalysisError, match="No response could be read in both"):
        join(recording(2, parsed=["1", None]), recording(2, parsed=[None, "1"]), parsed_in_both=True)


def test_recordings_without_common_items_say_so(recording):
    with pytest.raises(AnalysisError, match=r"no item in common.*same item seed"):
        join(recording(2, item_ids=["a", "b"]), recording(2, item_ids=["c", "d"]))


def test_a_score_of_zeros_and_ones_has_an_interval_with_a_width(recording):
    summary = score_summary(recording(32, scores={"exact": np.ones(32)}), "exact")
    assert summary.is_share
    assert 0.85 < summary.low < 0.95
    assert summary.high == 1


def test_a_statement_is_limited_to_the_demonstration_sets_that_were_shown(recording):
    def shown(*sets):
        specs = [
            RunSpec("model", "task", demonstrations=Demonstrations(kind, k, seed, (), *order))
            for kind, k, seed, *order in sets
        ]
        return demonstration_scope(recording(1, spec=spec) for spec in specs)

    assert shown(("none", 0, 0)) == shown(("correct", 0, 3)) == ""
    assert shown(("none", 0, 0), ("correct", 8, 3)) == "for this demonstration set only (seed 3)"
    assert shown(("correct", 8, 3, 2)) == "for this demonstration set only (seed 3, order 2)"
    reordered = shown(("correct", 8, 3), ("correct", 8, 3, 2))
    assert reordered == "for these demonstration sets only (seed 3; seed 3, order 2)"
    assert shown(("correct", 8, 3), ("shuffled", 8, 1)) == "for these demonstration sets only (one seed each: 1, 3)"
