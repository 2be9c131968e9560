"""What every task promises, whatever it asks."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from iclviz.errors import SpecError, TaskFileError
from iclviz.models.locating import locate
from iclviz.models.tokenizing import load_tokenizer
from iclviz.prompts import render, tokenize
from iclviz.spec import Demonstrations
from iclviz.tasks import ReadAnswers, task, tasks
from iclviz.tasks.base import arranged

OWN = tuple(f"An example of mine, number {number}." for number in range(8))


EXAMPLE = str(Path(__file__).parents[2] / "docs" / "examples" / "own_task.csv")

SOLVED = [
    pytest.param(name, kind, id=f"{'own' if name == EXAMPLE else name}-{kind}")
    for name in [*tasks(), EXAMPLE]
    for kind in task(name).demonstration_kinds
    if kind != "none"
]


@pytest.fixture(params=[*tasks(), EXAMPLE], ids=[*tasks(), "own"])
def one(request):
    return task(request.param)


def made(one, n_items=24, seed=0, **options):
    resolved = one.resolve_options(options, "plain")
    return one.data(n_items, seed, resolved), resolved


def shown(kind, k, seed=0, order=0):
    return Demonstrations(kind, k, seed, OWN if kind == "custom" else (), order)


def scored(one, data, options, parsed):
    """Scores when so many candidates are alike; options that show nothing."""
    answers = ReadAnswers([value or "" for value in parsed], parsed, np.full((len(data.items), 8), -1.0))
    return one.score(data, answers, Demonstrations("none", 0), options)


def texts(one, demonstrations, n_items=24, **options):
    data, resolved = made(one, n_items, **options)
    return [prompt.text for prompt in one.prompts(data, demonstrations, resolved)]


def test_every_table_has_an_entry_for_each_item(one):
    data, _ = made(one)
    assert data.labels
    assert data.groups
    assert data.covariates or data.factors
    assert data.hypotheses
    for table in (data.labels, data.groups, data.covariates, data.factors):
        assert all(len(values) == 24 for values in table.values())
    for matrix in data.hypotheses.values():
        assert matrix.shape == (24, 24)
        np.testing.assert_array_equal(matrix, matrix.T)


def test_every_hypothesis_has_its_unit_and_labels_with_groups_exist(one):
    data, _ = made(one)
    assert set(data.hypotheses) <= set(data.groups)
    assert set(data.groups) <= set(data.hypotheses) | set(data.labels)


def test_the_primary_analysis_names_things_that_exist(one):
    data, options = made(one)
    scores = scored(one, data, options, [item.answer for item in data.items])
    assert one.primary.hypothesis in data.hypotheses
    assert one.primary.label in data.labels
    assert one.primary.label in data.groups
    assert one.primary.score in scores


def test_every_name_has_a_title(one):
    data, options = made(one)
    scores = scored(one, data, options, [item.answer for item in data.items])
    for name in [*data.labels, *data.hypotheses, *scores, *data.covariates]:
        assert one.titles[name]
    assert {name: one.hypothesis_labels[name] in data.labels for name in data.hypotheses}


def test_item_ids_differ_and_do_not_depend_on_demonstrations(one):
    data, _ = made(one)
    ids = [item.id for item in data.items]
    assert len(set(ids)) == len(ids)


def test_the_same_seed_gives_the_same_text_and_another_seed_another(one):
    demonstrations = Demonstrations("correct", 3, 0)
    assert texts(one, demonstrations) == texts(one, demonstrations)
    assert texts(one, demonstrations) != texts(one, Demonstrations("correct", 3, 1))


@pytest.mark.parametrize(("one", "kind"), SOLVED, indirect=["one"])
def test_the_set_for_k_plus_one_starts_with_the_set_for_k(one, kind):
    data, options = made(one)
    for index in (0, 7):
        sets = [one.demonstrations(data, index, shown(kind, k), options) for k in range(1, 7)]
        for fewer, more in pairwise(sets):
            assert more[: len(fewer)] == fewer


@pytest.mark.parametrize(("one", "kind"), SOLVED, indirect=["one"])
def test_the_query_is_the_same_text_under_any_demonstrations(one, kind):
    data, options = made(one)
    solved = one.prompts(data, shown(kind, 3), options)
    bare = one.prompts(data, Demonstrations("none", 0, 0), options)
    assert [prompt.query for prompt in solved] == [prompt.query for prompt in bare]


@pytest.mark.parametrize(("one", "kind"), SOLVED, indirect=["one"])
def test_every_demonstration_and_its_answer_are_marked(one, kind, tokenizer):
    data, options = made(one)
    for index in (0, 7):
        segments = one.demonstrations(data, index, shown(kind, 4), options)
        prompt = one.prompt(data, index, shown(kind, 4), options)
        tokenized = tokenize(render(prompt, "plain", tokenizer), tokenizer)
        said = {mark.name: segment.text[mark.start : mark.end] for segment in segments for mark in segment.marks}
        found = {mark.name: "".join(tokenized.pieces[mark.start : mark.end]) for mark in tokenized.marks}
        assert found.keys() == said.keys()
        for number in range(4):
            whole = found[f"demonstration:{number}"]
            assert whole == said[f"demonstration:{number}"]
            assert whole in [segment.text for segment in segments]
            if kind == "custom":
                assert whole == f"{OWN[number]}{one.example_end}"
                continue
            answer = said[f"answer:{number}"]
            assert found[f"answer:{number}"].strip() == answer == answer.strip()
            assert whole.endswith(f" {answer}{whole[len(whole.rstrip()) :]}")
        assert len(said) == (4 if kind == "custom" else 8)
        assert not any(found[name][-1].isspace() for name in found if name.startswith("answer"))


def parts_of_demonstrations(one, demonstrations, index=0, **options):
    """The text of each demonstration, and its answer where there is one, by the numbers of their marks."""
    data, resolved = made(one, **options)
    segments = one.demonstrations(data, index, demonstrations, resolved)
    marked = {mark.name: seg.text[mark.start : mark.end] for seg in segments for mark in seg.marks}
    in_turn = [name for number in range(demonstrations.k) for name in marked if name.endswith(f":{number}")]
    assert list(marked) == in_turn
    numbers = range(demonstrations.k)
    return [(marked[f"demonstration:{number}"], marked.get(f"answer:{number}")) for number in numbers]


@pytest.mark.parametrize(("one", "kind"), SOLVED, indirect=["one"])
def test_another_order_shows_the_same_demonstrations_whole_and_numbers_them_as_shown(one, kind):
    as_drawn = parts_of_demonstrations(one, shown(kind, 4))
    orders = [parts_of_demonstrations(one, shown(kind, 4, order=order)) for order in range(4)]
    assert orders[0] == as_drawn
    assert all(sorted(each) == sorted(as_drawn) for each in orders)
    assert len({tuple(each) for each in orders}) > 1
    places = [[as_drawn.index(part) for part in each] for each in orders] if len(set(as_drawn)) == 4 else []
    other = parts_of_demonstrations(one, shown(kind, 4), index=1)
    for order, each in enumerate(places):
        assert parts_of_demonstrations(one, shown(kind, 4, order=order), index=1) == [other[place] for place in each]


def test_the_other_lines_points_move_with_their_demonstrations():
    one = task("linear_regression")
    data, options = made(one, distractor=True)

    def pairs(order):
        segments = one.demonstrations(data, 0, shown("correct", 3, order=order), options)
        return ["".join(seg.text for seg in segments[place : place + 2]) for place in range(0, 6, 2)]

    assert pairs(0) != pairs(1)
    assert sorted(pairs(0)) == sorted(pairs(1))
    own = one.points(data, 0, shown("correct", 3, order=1), options).own
    assert [f"f: x = {x:g}," in pair for (x, _), pair in zip(own, pairs(1), strict=True)] == [True] * 3


@pytest.mark.parametrize("k", [2, 3, 4, 7])
def test_orders_of_few_demonstrations_are_each_another_one(k):
    numbers = list(range(min(24, math.factorial(k))))
    orders = [arranged(range(k), Demonstrations("correct", k, order=order)) for order in numbers]
    assert orders[0] == tuple(range(k))
    assert len(set(orders)) == len(orders)
    again = Demonstrations("correct", k, order=len(numbers))
    assert (arranged(range(k), again) == orders[1]) is (len(numbers) == math.factorial(k))
    assert (again.canonical().order == 1) is (len(numbers) == math.factorial(k))


def test_parts_that_no_demonstration_can_be_said_to_have_are_not_reordered():
    with pytest.raises(SpecError, match="cannot be reordered"):
        arranged("abcde", Demonstrations("correct", 3, order=1))


@pytest.mark.parametrize("kind", ["correct", "contrastive"])
def test_the_marked_answer_is_the_answer_as_it_is_shown(one, kind):
    data, options = made(one)
    for segment in one.demonstrations(data, 0, shown(kind, 3), options):
        for mark in segment.marks:
            if mark.name.startswith("answer"):
                answer = segment.text[mark.start : mark.end]
                assert one.parse(f" {answer.partition(' (not ')[0]}\n").value is not None
                assert ("(not " in answer) == (kind == "contrastive")


@pytest.mark.parametrize("kind", ["out-of-domain", "custom"])
def test_demonstrations_that_are_not_the_tasks_own_have_the_role_demonstration(one, kind):
    data, options = made(one)
    segments = one.demonstrations(data, 0, shown(kind, 3), options)
    assert {segment.role for segment in segments} == {"demonstration"}


def test_examples_of_the_users_own_are_shown_as_they_are_in_their_order(one):
    data, options = made(one)
    segments = one.demonstrations(data, 0, shown("custom", 3), options)
    assert [segment.text for segment in segments] == [f"{text}{one.example_end}" for text in OWN[:3]]


def test_a_shuffled_answer_is_never_the_right_one(one):
    data, options = made(one)
    for index in range(len(data.items)):
        right, wrong = (one.demonstrations(data, index, shown(kind, 6), options) for kind in ("correct", "shuffled"))
        for a, b in zip(right, wrong, strict=True):
            assert a.text != b.text


def test_contrastive_examples_hold_the_right_answer_and_mark_another_as_wrong(one):
    data, options = made(one)
    right = one.demonstrations(data, 0, shown("correct", 6), options)
    both = one.demonstrations(data, 0, shown("contrastive", 6), options)
    for a, b in zip(right, both, strict=True):
        assert b.text.startswith(a.text.rstrip())
        assert " (not " in b.text[len(a.text.rstrip()) :]


def test_no_query_or_item_stands_in_the_demonstrations(one):
    data, options = made(one)
    for kind in ("correct", "shuffled", "random", "contrastive"):
        for index, item in enumerate(data.items):
            text = "".join(segment.text for segment in one.demonstrations(data, index, shown(kind, 6), options))
            assert "".join(segment.text for segment in item.query) not in text


def test_right_and_shuffled_demonstrations_have_nearly_as_many_tokens(one, demo_model):
    tokenizer = load_tokenizer(locate(str(demo_model)))
    data, options = made(one)
    counts = [
        sum(len(tokenizer(prompt.text)["input_ids"]) for prompt in one.prompts(data, shown(kind, 6), options))
        for kind in ("correct", "shuffled")
    ]
    assert abs(counts[1] / counts[0] - 1) < 0.05


def test_the_right_answer_is_parsed_as_right(one):
    data, _ = made(one)
    parsed = [one.parse(item.candidates[0]) for item in data.items]
    assert [entry.value for entry in parsed] == [item.answer for item in data.items]
    assert all(entry.end <= len(item.candidates[0]) for entry, item in zip(parsed, data.items, strict=True))


@pytest.mark.parametrize("response", ["", "\n", "   ", "I cannot say.", "😀", "…"])
def test_an_unparseable_response_gets_the_worst_main_score(one, response):
    data, options = made(one)
    assert one.parse(response).value is None
    assert one.parse(response).end == len(response)
    answers = [item.answer for item in data.items]
    right = scored(one, data, options, answers)[one.primary.score]
    failed = scored(one, data, options, [None, *answers[1:]])[one.primary.score]
    assert np.isfinite(failed).all()
    assert failed[0] < right[0]


def test_an_unknown_option_lists_the_known_ones(one):
    with pytest.raises(SpecError, match=one.options[0].name):
        one.resolve_options({"nonsense": 1}, "plain")


def test_an_unknown_kind_lists_the_known_ones(one):
    with pytest.raises(SpecError, match="shuffled"):
        one.check_demonstrations(Demonstrations("nonsense", 2))


def test_a_line_holds_no_wrong_answer_so_its_task_lacks_that_kind():
    lacking = [name for name in [*tasks(), EXAMPLE] if "distractor" not in task(name).demonstration_kinds]
    assert lacking == ["linear_regression"]
    with pytest.raises(SpecError, match="shuffled"):
        task("linear_regression").check_demonstrations(Demonstrations("distractor", 2))


def test_more_items_than_there_are_says_how_many(one):
    with pytest.raises(SpecError, match="Take n_items <="):
        made(one, n_items=10**6)


def test_an_instruction_is_one_segment_before_everything(one):
    data, options = made(one, instruction="Do this.")
    prompt = one.prompts(data, Demonstrations("correct", 2, 0), options)[0]
    assert prompt.segments[0].role == "instruction"
    assert prompt.text.startswith("Do this.\n")


@pytest.mark.parametrize("name", ["mine.py", "tasks.yaml", "./table.xlsx"])
def test_a_file_of_another_form_is_refused(name):
    with pytest.raises(TaskFileError, match=r"never a program, and ends in \.json, \.jsonl, \.csv"):
        task(name)


@pytest.mark.parametrize("name", ["items.csv", "a/b.json", "~nobody-of-that-name/a.csv", "a" * 300 + ".csv", "a\0.csv"])
def test_a_file_that_is_not_there_is_one_sentence(name):
    with pytest.raises(TaskFileError, match="task file"):
        task(name)


def test_an_unknown_task_lists_the_known_ones():
    with pytest.raises(SpecError, match="linear_regression"):
        task("nonsense")
