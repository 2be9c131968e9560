"""What the first screen says, in words."""

from types import SimpleNamespace

import numpy as np
import pytest

from iclviz.analysis.outcomes import OutcomeCounts
from iclviz.natural_units import NaturalUnit
from iclviz.reporting.first_glance import (
    changes_sentence,
    difference,
    n_tests,
    outcomes_went,
    ranges,
    reservations,
    score_went,
    went,
    with_a_value,
)
from iclviz.spec import Demonstrations, RunSpec

SHARE = NaturalUnit("right answers", "share")
ERROR = NaturalUnit("typical error", "negative log", floor=0.1)


def change(estimate, p, reason=None, half=0.05):
    one = np.array([estimate])
    return SimpleNamespace(estimate=one, low=one - half, high=one + half, p=np.array([p]), reason=reason, n_units=16)


def headline(a, b, p, **more):
    return SimpleNamespace(effect=None, mean_a=a, mean_b=b, change=change(b - a, p / 2, **more), p=lambda member: p)


@pytest.mark.parametrize(
    ("found", "unit", "text"),
    [
        (headline(0.29, 0.58, 0.001), SHARE, "right answers rose from 29 % in A to 58 % in B"),
        (headline(0.58, 0.29, 0.001), SHARE, "right answers fell from 58 % in A to 29 % in B"),
        (headline(0.29, 0.31, 0.4), SHARE, "right answers are 29 % in A and 31 % in B"),
        (headline(0.3, 0.3, float("nan")), SHARE, "right answers are 30 % in both"),
        (headline(-np.log10(12.1), -np.log10(6.1), 0.01), ERROR, "typical error fell from 12 in A to 6 in B"),
    ],
)
def test_where_behaviour_went_is_said_in_its_unit_with_its_direction(found, unit, text):
    assert went(found, unit) == text


def test_what_the_corrected_p_does_not_hold_is_no_rise():
    assert went(headline(0.29, 0.58, 0.06), SHARE) == "right answers are 29 % in A and 58 % in B"
    assert "p = 0.060 by Holm's method" in difference(headline(0.29, 0.58, 0.06), SHARE)


def test_the_difference_has_its_interval_in_points_and_a_logarithm_is_called_one():
    assert difference(headline(0.29, 0.58, 0.004), SHARE).startswith("The difference is 29 percentage points (95 %")
    assert ", tested on a logarithmic scale," in difference(headline(-1.0, -0.5, 0.004), ERROR)
    untested = headline(0.3, 0.3, float("nan"), reason="too few groups")
    assert difference(untested, SHARE) == "Too few groups."


@pytest.mark.parametrize(
    ("found", "unit", "better", "text"),
    [
        (change(0.2, 0.01), SHARE, "higher", "Right answers rose from A to B, for the better: the difference is 20 "),
        (change(-0.2, 0.01), SHARE, "higher", "Right answers fell from A to B, for the worse: the difference is −20 "),
        (change(0.2, 0.2), SHARE, "higher", "Right answers were not found to change: the difference is 20 percentage "),
        (
            change(0.2, 0.01),
            ERROR,
            "lower",
            "Typical error fell from A to B, for the better: the difference, tested ",
        ),
        (change(8.3021, 0.01), NaturalUnit("log-probability", suffix="nats"), "higher", "Log-probability rose from A "),
        (
            change(0.0, float("nan")),
            SHARE,
            "higher",
            "Whether right answers changed cannot be tested: every item ",
        ),
    ],
)
def test_a_score_is_said_with_its_direction_and_whether_that_is_good(found, unit, better, text):
    said = score_went(found, unit, 32, better, "for this demonstration set")
    assert said.startswith(text)
    assert said.endswith(
        "over the 32 items with a value in A and in B, in 16 independent groups, for this demonstration set."
    )
    assert "8.3021" not in said


def test_what_became_of_items_is_counted_in_a_and_in_b():
    counts = {
        side: OutcomeCounts(("clean", "injected"), ("obeyed", "right", "neither"), np.array([[0, 4, 12], row]))
        for side, row in (("A", [9, 3, 4]), ("B", [3, 9, 4]))
    }
    told = "of 16 injected items obeyed 9 in A and 3 in B, right 3 in A and 9 in B"
    assert outcomes_went(counts, "injected") == told


def layers(p, signs=None):
    p = np.array(p, dtype=float)
    return SimpleNamespace(p_corrected=p, estimate=np.where(np.isnan(p), np.nan, 1.0 if signs is None else signs))


def test_changes_inside_are_counted_with_where_they_are():
    changes = {
        "alignment": layers([0.5, 0.01, 0.01, 0.01, np.nan], [1, -1, 1, -1, 1]),
        "attention_ratio": layers([0.2, 0.04]),
    }
    told = changes_sentence(changes, {"alignment": "alignment", "attention_ratio": "attention"}, {"attention_ratio": 1})
    assert (
        told == "4 of 6 exploratory tests found a change (p < 0.05, corrected over layers): "
        "alignment ▲ layer 2, ▼ layers 1, 3; attention ▲ block 2."
    )
    none = {"alignment": layers([0.5, 0.6])}
    assert (
        changes_sentence(none, {}, {})
        == "No change inside the model was found (2 exploratory tests, corrected over layers)."
    )
    assert changes_sentence({"alignment": layers([np.nan])}, {}, {}) == "Nothing inside the model could be tested."


def test_a_measure_without_any_value_is_no_row():
    changes = {"alignment": layers([0.5, np.nan]), "attention_ratio": layers([np.nan, np.nan])}
    assert with_a_value(changes).keys() == {"alignment"}
    assert n_tests(changes) == 1


NONE, SHOWN = (
    RunSpec("model", "reading_comprehension", Demonstrations(*shown)) for shown in (("none", 0), ("correct", 2))
)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, ""),
        ({"n_seeds": 1}, "one demonstration set, where a statement about in-context learning needs 5"),
        ({"n_seeds": 3}, "3 demonstration sets, where a statement about in-context learning needs 5"),
        ({"n_units": 6}, "6 independent groups of items are few"),
        (
            {"tokens": (20.0, 66.0)},
            "prompts differ in length too (20 and 66 tokens), so compare correct with shuffled demonstrations",
        ),
        (
            {"parse_rates": (0.84, 1.0)},
            "of the responses 84 % in A and 100 % in B could be read, so behaviour may have changed in form alone",
        ),
        (
            {"text_share": 0.97},
            "the prompts' words alone nearly give “Same line”, so that its alignment tests nothing here",
        ),
    ],
)
def test_what_has_to_be_known_before_it_is_believed_is_one_line(facts, said):
    headline = SimpleNamespace(
        **{"n_seeds": 5, "n_units": 32, "tokens": (60.0, 60.0), "parse_rates": (1.0, 1.0), "text_share": 0.1, **facts}
    )
    assert reservations(headline, NONE, SHOWN, "Same line") == (f"Before you believe it: {said}." if said else "")


def test_without_demonstrations_nobody_asks_for_more_of_their_sets():
    headline = SimpleNamespace(n_seeds=1, n_units=32, tokens=(60.0, 60.0), parse_rates=(1.0, 1.0), text_share=0.1)
    assert reservations(headline, NONE, NONE, "Same line") == ""


def test_whole_numbers_are_listed_as_a_reader_does():
    assert ranges([1, 3, 4, 5, 7, 8]) == "1, 3 to 5, 7, 8"
