import re
from collections import Counter

import numpy as np
import pytest

from iclviz.errors import SpecError
from iclviz.spec import Demonstrations
from iclviz.tasks import ReadAnswers, task

ROW = re.compile(r"(?:(f|g): )?x = (\d+), y = (-?[\d.]+)\n")
TASK = task("linear_regression")


def made(n_items=32, seed=0, **options):
    resolved = TASK.resolve_options(options, "plain")
    return TASK.data(n_items, seed, resolved), resolved


NOTHING = Demonstrations("none", 0)


def scored(data, options, parsed, demonstrations=NOTHING):
    answers = ReadAnswers(["" if value is None else value for value in parsed], parsed, np.full((len(parsed), 1), -2.0))
    return TASK.score(data, answers, demonstrations, options)


def rows(data, options, index, kind="correct", k=8, seed=0):
    """(role, line, x, y) of each shown row."""
    segments = TASK.demonstrations(data, index, Demonstrations(kind, k, seed), options)
    found = [(segment.role, ROW.fullmatch(segment.text)) for segment in segments]
    return [(role, match[1], int(match[2]), float(match[3])) for role, match in found]


def test_items_cover_slopes_and_intercepts_equally():
    data, _ = made(32)
    assert set(Counter(data.labels["slope"].tolist()).values()) == {8}
    assert set(Counter(data.labels["intercept"].tolist()).values()) == {8}
    assert set(Counter(data.labels["line"].tolist()).values()) == {2}


def test_a_few_items_still_hold_every_slope():
    data, _ = made(4)
    assert sorted(data.labels["slope"]) == [1, 2, 3, 4]


def test_correct_points_lie_on_the_queried_line_and_leave_the_query_out():
    data, options = made()
    for index, item in enumerate(data.items):
        shown = rows(data, options, index, k=12)
        assert all(y == item.own.at(x) for _, _, x, y in shown)
        assert item.x not in [x for _, _, x, _ in shown]
        assert len({x for _, _, x, _ in shown}) == 12


def test_a_shuffled_answer_is_never_right():
    data, options = made()
    for index, item in enumerate(data.items):
        assert all(y != item.own.at(x) for _, _, x, y in rows(data, options, index, "shuffled", 16))


def test_shuffled_answers_come_from_outside_the_shown_line():
    data, options = made()
    lines = {item.own for item in data.items}
    for index, item in enumerate(data.items):
        others = {line.at(x) for line in lines - {item.own} for x in range(20)}
        assert {y for *_, y in rows(data, options, index, "shuffled", 16)} <= others


def test_shuffled_points_ask_the_same_queries_in_the_same_order():
    data, options = made(distractor=True)
    right, wrong = (rows(data, options, 3, kind) for kind in ("correct", "shuffled"))
    assert [row[:3] for row in right] == [row[:3] for row in wrong]


def test_the_distractor_line_has_as_many_points_interleaved_and_another_slope():
    data, options = made(distractor=True)
    for index, item in enumerate(data.items):
        shown = rows(data, options, index, k=8)
        assert Counter(role for role, *_ in shown) == {"relevant": 8, "irrelevant": 8}
        pairs = [{shown[i][0], shown[i + 1][0]} for i in range(0, 16, 2)]
        assert all(pair == {"relevant", "irrelevant"} for pair in pairs)
        assert {(role, line) for role, line, *_ in shown} == {("relevant", "f"), ("irrelevant", "g")}
        assert item.distractor.slope != item.own.slope


def test_either_line_comes_first_about_equally_often():
    data, options = made(64, distractor=True)
    firsts = [row[0] for index in range(64) for row in rows(data, options, index, k=8)[::2]]
    assert 0.4 < np.mean([role == "relevant" for role in firsts]) < 0.6


def test_items_of_a_line_draw_their_own_points_by_default():
    data, options = made()
    first, second = [i for i, line in enumerate(data.labels["line"]) if line == data.labels["line"][0]]
    assert rows(data, options, first) != rows(data, options, second)


def test_points_per_line_are_shared_and_leave_out_every_query_of_the_line():
    data, options = made(points="per_line")
    first, second = [i for i, line in enumerate(data.labels["line"]) if line == data.labels["line"][0]]
    shown = rows(data, options, first)
    assert shown == rows(data, options, second)
    assert not {data.items[first].x, data.items[second].x} & {x for _, _, x, _ in shown}


def test_shared_points_leave_the_line_out_of_probes_and_hypotheses():
    shared, own = made(points="per_line")[0], made()[0]
    assert "line" not in shared.groups
    assert "same_line" not in shared.hypotheses
    assert "line" in own.groups
    assert "same_line" in own.hypotheses


def test_queries_of_a_line_do_not_share_their_distractor():
    data, _ = made(64, distractor=True)
    same = np.equal.outer(data.labels["line"], data.labels["line"]) & ~np.eye(64, dtype=bool)
    distractors = np.array([str(item.distractor) for item in data.items])
    shared = np.equal.outer(distractors, distractors)
    assert abs(shared[same].mean() - shared[~same].mean()) < 0.1


def test_a_shuffled_answer_is_not_even_the_right_one_without_noise():
    data, options = made(noise=2)
    for index, item in enumerate(data.items):
        assert all(y != item.own.at(x) for _, _, x, y in rows(data, options, index, "shuffled", 16))


@pytest.mark.parametrize("value", [10**400, float("inf"), float("nan"), "x" * 500, None])
def test_an_impossible_number_is_one_short_sentence(value):
    with pytest.raises(SpecError) as error:
        made(noise=value)
    assert len(str(error.value)) < 200


def test_lines_that_differ_in_a_far_digit_are_two():
    data, _ = made(8, slopes=[1.0000001, 1.0000002], intercepts=[0])
    assert len({item.id for item in data.items}) == 8
    assert len(set(data.labels["line"].tolist())) == 2


def test_a_grid_that_leaves_nothing_to_shuffle_is_refused():
    data, options = made(2, slopes=[0], intercepts=[5])
    with pytest.raises(SpecError, match="Add a slope"):
        TASK.demonstrations(data, 0, Demonstrations("shuffled", 2), options)


def test_hypotheses_are_what_they_say():
    data, _ = made()
    slopes = data.labels["slope"]
    assert data.hypotheses["slope_similarity"][0, 1] == -abs(slopes[0] - slopes[1])
    same = data.labels["line"][0] == data.labels["line"]
    np.testing.assert_array_equal(data.hypotheses["same_line"][0], same)


def test_noise_moves_the_shown_points_and_not_the_answer():
    quiet, _ = made(16)
    data, options = made(16, noise=3)
    assert [item.answer for item in data.items] == [item.answer for item in quiet.items]
    assert any(y != data.items[0].own.at(x) for _, _, x, y in rows(data, options, 0))


def test_random_answers_stay_in_the_range_of_the_grid():
    data, options = made()
    values = [y for index in range(32) for *_, y in rows(data, options, index, "random", 16)]
    assert min(values) >= 0
    assert max(values) <= 4 * 19 + 9
    assert len(set(values)) > 60


@pytest.mark.parametrize(("row_format", "query"), [("function", "f({x}) ="), ("arrow", "{x} ->")])
def test_row_formats(row_format, query):
    data, _ = made(row_format=row_format)
    item = data.items[0]
    assert item.query[0].text == query.format(x=item.x)


def test_decimals_are_written():
    data, options = made(decimals=2)
    assert re.fullmatch(r"\d+\.\d\d", data.items[0].answer)
    assert TASK.parse(data.items[0].candidates[0]).value is not None
    scores = scored(data, options, [item.answer for item in data.items])
    assert scores["exact"].all()


def test_more_points_than_different_x_says_the_largest_k():
    data, options = made()
    with pytest.raises(SpecError, match="Take k <= 19"):
        TASK.demonstrations(data, 0, Demonstrations("correct", 20), options)


def test_a_grid_of_one_line_has_no_distractor():
    with pytest.raises(SpecError, match="one line"):
        made(4, slopes=[2], intercepts=[1], distractor=True)


def test_a_grid_of_one_line_can_still_be_shuffled():
    data, options = made(4, slopes=[2], intercepts=[1])
    shown = rows(data, options, 0, "shuffled", 8)
    assert all(y != 2 * x + 1 for _, _, x, y in shown)


@pytest.mark.parametrize(
    ("response", "value"),
    [
        (" 42\n", "42"),
        (" -3", "-3"),
        ("−7", "-7"),
        (" 4.50", "4.5"),
        ("The answer is 12.", "12"),
        (" 1,234\n", "1234"),
        ("\n 5\n6", "5"),
        ("x", None),
        ("no number\n12", None),
        (" .5", "0.5"),
        ("17 apples", "17"),
        ("12,15", "12.15"),
        ("12, 15", "12"),
        ("12,345.5", "12345.5"),
        ("1,234,567", "1234567"),
        ("+7", "7"),
        ("– 7", "7"),
        ("–7", "-7"),
        ("minus 7", "-7"),
        ("negative 4.5", "-4.5"),
        ("-0", "0"),
        ("007", "7"),
        ("3e2", "300"),
        ("1.5E-1", "0.15"),
        ("y = 12", "12"),
        ("x = 5, y = 12", "12"),
        ("For x = 5, the answer is 12", "12"),
        ("when x is 5, y is 12.", "12"),
        ("f(5) = 12", "12"),
        ("5 -> 12", "12"),
        ("2 * 5 + 2 = 12", "12"),
        ("2*5+2 = 12", "12"),
        ("y = 2x + 2 = 12", "12"),
        ("y = 2x + 2", "2"),
        ("12 because 2 * 5 + 2 = 12", "12"),
        ("12, x = 6, y = 14", "12"),
        ("12 dollars", "12"),
        ("$12", "12"),
        ("€ 12.50", "12.5"),
        ("12cm", "12"),
        ("12%", "12"),
        ("about 12", "12"),
        ("The answer is approximately 11.9", "11.9"),
        ("Answer: 12", "12"),
        ("**12**", "12"),
        ("`12`", "12"),
        ("(12)", "12"),
        ("12.", "12"),
        ("12.0", "12"),
        ("12!", "12"),
        ("١٢", "12"),
        ("１２", "12"),
        ("१२", "12"),
        ("-٣٫٥", "-3.5"),
        ("twelve", None),
        ("十二", None),
        ("I cannot tell.", None),
        ("I'm sorry, I do not know the line.", None),
        ("", None),
        ("?", None),
        ("y = ", None),
        ("x, y", None),
        ("1,00,000", "100000"),
        ("1{,}000", "1000"),
        ("10^{5}", "100000"),
        ("= 3 \\times 10^{-2}", "0.03"),
        ("2×10³ or so", "2000"),
        ("1'000", "1000"),
        ("10 - 4 = 6", "6"),
        ("\\boxed{12}", "12"),
    ],
)
def test_parsing(response, value):
    assert TASK.parse(response).value == value


def test_scores_follow_the_error():
    data, options = made(4)
    right = [item.answer for item in data.items]
    off = [str(float(right[0]) + 5), right[1], None, str(float(right[3]) + 1e9)]
    scores = scored(data, options, off)
    np.testing.assert_allclose(scores["absolute_error"][:2], [5, 0])
    np.testing.assert_allclose(scores["log_accuracy"][:2], [-np.log10(5.1), 1.0])
    assert scores["log_accuracy"][2] == scores["log_accuracy"][3] == -2
    assert np.isnan(scores["absolute_error"][2])
    assert scores["exact"].tolist() == [0, 1, 0, 0]


def test_named_features_stand_in_every_row():
    data, options = made(row_format="named", distractor=True)
    segments = TASK.demonstrations(data, 0, Demonstrations("correct", 4), options)
    assert all("hours worked = " in segment.text and "pay in dollars = " in segment.text for segment in segments)
    assert data.items[0].query[0].text.endswith("pay in dollars =")


@pytest.mark.parametrize(
    ("number_format", "pattern"), [("padded", r"x = \d\d, y = \d\d\n"), ("signed", r"x = \+\d+, y = \+\d+\n")]
)
def test_number_formats(number_format, pattern):
    data, options = made(number_format=number_format)
    segments = TASK.demonstrations(data, 0, Demonstrations("correct", 8), options)
    assert all(re.fullmatch(pattern, segment.text) for segment in segments)
    assert [TASK.parse(item.candidates[0]).value for item in data.items] == [item.answer for item in data.items]


def test_two_right_points_settle_the_line_for_least_squares_and_not_for_the_nearest_point():
    data, options = made(8)
    scores = scored(data, options, [item.answer for item in data.items], Demonstrations("correct", 2))
    np.testing.assert_allclose(scores["least_squares_error"], 0, atol=1e-9)
    np.testing.assert_allclose(scores["from_least_squares"], 0, atol=1e-9)
    assert (scores["nearest_point_error"] > 0).any()
    np.testing.assert_array_equal(scores["nearest_point_error"], scores["from_nearest_point"])


def test_readers_of_the_points_read_what_was_shown_whatever_was_done_to_it():
    data, options = made(8, distractor=True)
    shuffled = Demonstrations("shuffled", 6)
    scores = scored(data, options, [item.answer for item in data.items], shuffled)
    item, own = data.items[0], [row for row in rows(data, options, 0, "shuffled", 6) if row[0] == "relevant"]
    x, y = np.array([row[2:] for row in own]).T
    slope, intercept = np.polyfit(x, y, 1)
    assert scores["least_squares_error"][0] == pytest.approx(abs(slope * item.x + intercept - item.own.at(item.x)))
    assert scores["nearest_point_error"][0] == abs(y[np.argmin(abs(x - item.x))] - item.own.at(item.x))


@pytest.mark.parametrize(("kind", "k"), [("none", 0), ("correct", 1), ("out-of-domain", 4)])
def test_without_two_points_least_squares_says_nothing(kind, k):
    data, options = made(4)
    scores = scored(data, options, ["1"] * 4, Demonstrations(kind, k))
    assert np.isnan(scores["least_squares_error"]).all()


def test_the_mean_of_the_shown_y_is_a_covariate():
    data, options = made(4, distractor=True)
    shown = Demonstrations("correct", 5)
    means = TASK.shown_covariates(data, shown, options)["mean_y"]
    assert means[2] == pytest.approx(np.mean([y for *_, y in rows(data, options, 2, k=5)]))
    assert TASK.shown_covariates(data, Demonstrations("out-of-domain", 5), options) == {}


def test_a_picture_of_an_item_shows_the_points_of_its_prompt():
    of = task("linear_regression")
    options = of.resolve_options({"distractor": True}, "plain")
    data, shown = of.data(8, 0, options), Demonstrations("correct", 3)
    points = of.points(data, 2, shown, options)
    prompt = of.prompt(data, 2, shown, options)
    item = data.items[2]
    assert (len(points.own), len(points.other)) == (3, 3)
    for (x, y), line in [*((one, item.own) for one in points.own), *((one, item.distractor) for one in points.other)]:
        assert line.at(x) == y
        assert f"{y:g}" in prompt.text
    assert (points.x, points.right) == (item.x, item.own.at(item.x))
    none = of.points(data, 2, Demonstrations("none", 0), options)
    assert (none.own, none.other, none.lines[1]) == ((), (), None)
