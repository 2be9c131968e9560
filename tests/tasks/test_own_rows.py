import pytest
from hypothesis import given
from hypothesis import strategies as st

from iclviz.errors import TaskFileError
from iclviz.spans import Segment
from iclviz.tasks.own_rows import LONGEST_ID, Row, default_id, form, hypothesis, is_number, label_kinds, number_in
from iclviz.tasks.task_files import parse


def row(query="A b c d e:", answer="f", **fields):
    return Row(default_id(query), query, answer, **fields)


def test_a_query_is_cut_at_the_borders_of_its_parts():
    cut = row(relevant=("b ", "d"), irrelevant=("c",)).segments
    pieces = [("question", "A "), ("relevant", "b "), ("irrelevant", "c"), ("question", " "), ("relevant", "d")]
    assert cut == (*(Segment(*piece) for piece in pieces), Segment("question", " e:"))


def test_a_query_without_parts_is_all_question():
    assert row().segments == (Segment("question", "A b c d e:"),)


@given(st.text(min_size=1).filter(str.strip), st.data())
def test_segments_join_to_the_query(query, data):
    start = data.draw(st.integers(0, len(query) - 1))
    part = query[start : data.draw(st.integers(start + 1, len(query)))]
    one = row(query, relevant=(part,))
    if not list(one.problems()):
        assert "".join(segment.text for segment in one.segments) == query
        assert [segment.text for segment in one.segments if segment.role == "relevant"] == [part]


def test_an_answer_follows_after_a_blank_unless_the_query_ends_with_one():
    assert row("Q:").followed_by("a") == " a"
    assert row("Q: ").followed_by("a") == "a"
    assert row("Q:\n").followed_by("a") == "a"


def test_a_row_survives_being_written():
    one = row(
        accepted=("g",), candidates=("h",), labels={"x": "y", "z": 0.0}, group="i", groups={"x": "j"},
        relevant=("b",), irrelevant=("c",), use="demonstration",
    )  # fmt: skip
    assert Row.of(one.to_dict()) == one


def test_a_long_query_gives_a_short_id_of_its_own():
    first, second = (default_id("word " * 100 + end) for end in "ab")
    assert first != second
    assert max(map(len, (first, second))) <= LONGEST_ID
    assert default_id("two\n  lines") == "two lines"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7),
        ("It is −1,000.50!", -1000.5),
        ("none", None),
        ("", None),
        ("10:30 or 4", 4),
        ("9" * 400, None),
        ("1e-07", 1e-7),
        ("about 10^{5}", 1e5),
        ("1,00,000", 1e5),
        ("1{,}000", 1000),
        ("3,5", 3),
        ("1/2", None),
        ("1e999", None),
    ],
)
def test_the_first_number_of_a_text(text, number):
    assert number_in(text) == number


@pytest.mark.parametrize(
    ("text", "expected"),
    [("7", True), ("-3.5", True), ("1e-07", True), ("7 or 8", False), ("x7", False), ("1/2", False)],
)
def test_what_is_a_number(text, expected):
    assert is_number(text) is expected


def test_answers_are_compared_without_case_and_punctuation_where_they_have_words():
    assert form("The  Cat.") == form("the cat")
    assert form(" + ") == "+"
    assert form("C++") != form("C") != form("C#")
    assert form("?") != form("!")


def test_labels_come_in_the_order_asked_for_then_as_they_occur():
    rows = [row(labels={"a": "x"}), row("B:", labels={"b": 1.0, "c": "y"})]
    assert list(label_kinds(rows, ["c", "nonsense"])) == ["c", "a", "b"]
    assert [hypothesis(*one) for one in label_kinds(rows).items()] == ["same_a", "b_similarity", "same_c"]


def test_rows_of_one_unit_have_one_group_and_all_rows_a_unit(tmp_path):
    def file(*rows):
        lines = [f"Q{number}?,a{number},{group},{unit}" for number, (group, unit) in enumerate(rows)]
        return "\n".join(["query,answer,group,unit", *lines]).encode()

    parse(file(("g1", "u1"), ("g1", "u1"), ("g2", "u2"), ("g2", "u2")), "mine.csv")
    with pytest.raises(TaskFileError, match="line 3: its unit 'u1' is in another group in line 2"):
        parse(file(("g1", "u1"), ("g2", "u1")), "mine.csv")
    with pytest.raises(TaskFileError, match="line 3: the unit is missing"):
        parse(file(("g1", "u1"), ("g1", "")), "mine.csv")


def test_without_a_group_the_unit_is_the_group():
    file = parse(b"query,answer,unit\nQ1?,a,u\nQ2?,b,u\nQ3?,c,v\n", "mine.csv")
    assert [row.group_for("answer") for row in file.rows] == ["u", "u", "v"]


def test_queries_of_one_unit_are_told_of_as_no_doubles():
    rows = [(f"What is the capital of {name} please tell me?", unit) for name, unit in (("Rome", "u"), ("rome", "u"))]
    lines = [f"{query},x{place},{unit}" for place, (query, unit) in enumerate(rows)]
    file = parse("\n".join(["query,answer,unit", *lines, "Other?,y,v"]).encode(), "mine.csv")
    assert file.doubles == ()


def test_units_that_look_alike_are_one():
    nfd = "Cafe\u0301"
    file = parse(f"query,answer,group,unit\nQ1?,a,g,Café\nQ2?,b,g,{nfd}\nQ3?,c,g,other\n".encode(), "mine.csv")
    assert [row.unit for row in file.queries] == ["Café", "Café", "other"]
    assert "unit 'Café' is written in two ways" in str(file.spellings.twice[0])
