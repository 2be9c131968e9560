from collections import Counter

import numpy as np
import pytest

from iclviz.errors import SpecError
from iclviz.spec import Demonstrations
from iclviz.tasks import ReadAnswers, task

TASK = task("reading_comprehension")


def made(n_items=64, seed=0, **options):
    resolved = TASK.resolve_options(options, "plain")
    return TASK.data(n_items, seed, resolved), resolved


@pytest.mark.parametrize("statements", [2, 3, 4])
def test_every_statement_is_relevant_equally_often_at_every_position(statements):
    data, _ = made(60, statements=statements)
    counts = Counter(data.labels["position"].tolist())
    assert set(counts) == set(range(1, statements + 1))
    assert len(set(counts.values())) == 1


def test_names_and_activities_are_used_equally_often():
    data, _ = made(64)
    for label in ("name", "answer"):
        assert set(Counter(data.labels[label].tolist()).values()) == {8}


@pytest.mark.parametrize("position", ["first", "last"])
def test_asked_names_and_answers_are_balanced_also_at_one_position(position):
    data, _ = made(32, position=position)
    for label in ("name", "answer"):
        assert set(Counter(data.labels[label].tolist()).values()) == {4}


def test_sets_share_names_independently_of_activities():
    """A pattern common to both would align an embedding of names with the hypothesis about answers."""
    together = []
    for seed in range(20):
        data, _ = made(32, seed=seed)
        sets = list({id(item.statements): item.statements for item in data.items}.values())
        pairs = [(a, b) for i, a in enumerate(sets) for b in sets[:i]]
        names = [bool({s.name for s in a} & {s.name for s in b}) for a, b in pairs]
        activities = [bool({s.activity for s in a} & {s.activity for s in b}) for a, b in pairs]
        together.append(np.corrcoef(names, activities)[0, 1])
    assert abs(np.mean(together)) < 3 * np.std(together) / np.sqrt(20)


def test_many_sets_are_all_different():
    data, _ = made(1500)
    assert len({item.id for item in data.items}) == 1500


def test_as_many_statements_as_names_still_fill_every_set():
    data, _ = made(24, statements=3, names=3, activities=3)
    assert all(len({s.name for s in item.statements}) == 3 for item in data.items)


def test_the_relevant_statement_answers_and_the_others_do_not():
    data, _ = made()
    for item in data.items:
        relevant = [segment.text for segment in item.query if segment.role == "relevant"]
        others = [segment.text for segment in item.query if segment.role == "irrelevant"]
        assert len(relevant) == 1
        assert item.answer in relevant[0]
        assert item.asked.name in relevant[0]
        assert not any(item.answer in text for text in others)


def test_candidates_start_with_the_right_answer_and_hold_the_distractors():
    data, _ = made(statements=3)
    for item in data.items:
        assert item.candidates[0].strip() == item.answer
        assert {text.strip() for text in item.candidates} == {s.activity for s in item.statements}


def test_items_of_a_set_are_one_group():
    data, _ = made(64)
    assert set(Counter(data.groups["answer"].tolist()).values()) == {2}


@pytest.mark.parametrize("kind", ["correct", "shuffled", "random"])
def test_nothing_of_a_queried_item_leaks_into_the_demonstrations(kind):
    data, options = made()
    shown = "".join(s.text for s in TASK.demonstrations(data, 0, Demonstrations(kind, 16, 0), options))
    used = {s.name for item in data.items for s in item.statements} | set(data.labels["answer"].tolist())
    assert not [word for word in used if word in shown]


def test_a_shuffled_answer_is_never_right_and_never_in_its_statements():
    data, options = made()
    right = TASK.demonstrations(data, 0, Demonstrations("correct", 16, 0), options)
    wrong = TASK.demonstrations(data, 0, Demonstrations("shuffled", 16, 0), options)
    for good, bad in zip(right, wrong, strict=True):
        body, answer = bad.text.rstrip().rsplit("A:", 1)
        assert good.text.startswith(body)
        assert answer.strip() not in body


def test_demonstrations_are_shared_by_all_items():
    data, options = made()
    first, last = (TASK.demonstrations(data, i, Demonstrations("correct", 4, 0), options) for i in (0, 63))
    assert first == last


@pytest.mark.parametrize(("position", "expected"), [("first", {1}), ("last", {3})])
def test_the_relevant_position_can_be_fixed(position, expected):
    data, _ = made(16, statements=3, position=position)
    assert set(data.labels["position"].tolist()) == expected


def test_more_statements_than_names_is_refused():
    with pytest.raises(SpecError, match="Take statements <= 3"):
        made(8, statements=4, names=3)


@pytest.mark.parametrize(
    ("response", "value"),
    [
        (" reading\n", "reading"),
        (" Mary is Reading.", "reading"),
        ("She was cooking and singing", "cooking"),
        ("\nswimming\nno", "swimming"),
        ("a book", None),
        ("READING", "reading"),
        ("reading.", "reading"),
        ("reading, I think", "reading"),
        ('"reading"', "reading"),
        ("**reading**", "reading"),
        ("- reading", "reading"),
        ("1. reading", "reading"),
        ("The answer is reading.", "reading"),
        ("Answer: reading", "reading"),
        ("Mary is currently reading a book.", "reading"),
        ("What Mary is doing is reading.", "reading"),
        ("Mary is doing painting.", "painting"),
        ("She is going swimming", "swimming"),
        ("According to the text, she is sewing.", "sewing"),
        ("In the morning she is sleeping.", "sleeping"),
        ("This evening: boxing", "boxing"),
        ("Nothing is said, perhaps hiking", "hiking"),
        ("Something like knitting", "knitting"),
        ("not reading but cooking", "cooking"),
        ("Mary isn't reading, she is cooking.", "cooking"),
        ("She is no longer doing anything but waiting", "waiting"),
        ("3 things: typing", "typing"),
        ("típing typing", "typing"),
        ("skating!!!", "skating"),
        ("   camping   ", "camping"),
        ("\t sailing", "sailing"),
        ("cycling\nMary is reading.", "cycling"),
        ("(drawing)", "drawing"),
        ("laughing/jumping", "laughing"),
        ("The king is climbing", "climbing"),
        ("A string, a ring, then gardening", "gardening"),
        ("shopping; not eating", "shopping"),
        ("is writing", "writing"),
        ("She reads", None),
        ("to read", None),
        ("doing", None),
        ("Nothing.", None),
        ("I cannot answer this question.", None),
        ("I'm sorry, the text does not say.", None),
        ("No answer", None),
        ("Mary", None),
        ("42", None),
        ("lesen", None),
        ("読書", None),
        ("", None),
        ("\n\n", None),
        ("-ing", None),
        ("during the king's evening", None),
    ],
)
def test_parsing(response, value):
    assert TASK.parse(response).value == value


def test_margin_compares_with_the_best_distractor():
    data, options = made(2, statements=3)
    logprobs = np.array([[-1.0, -2.0, -0.5], [-1.0, -3.0, np.nan]])
    answers = ReadAnswers([" reading", " flying"], [data.items[0].answer, "flying"], logprobs)
    scores = TASK.score(data, answers, Demonstrations("none", 0), options)
    np.testing.assert_allclose(scores["logprob_margin"], [-0.5, 2.0])
    np.testing.assert_array_equal(scores["prefers_right"], [0, 1])
    np.testing.assert_array_equal(scores["right"], [1, 0])


@pytest.mark.parametrize("prompts", ["simple_same", "simple_other"])
def test_a_simple_prompt_is_the_activity_of_its_composite_item_and_asks_nothing(prompts):
    composite, simple = made(16)[0], made(16, prompts=prompts)[0]
    assert [item.id for item in simple.items] == [item.id for item in composite.items]
    for whole, one in zip(composite.items, simple.items, strict=True):
        assert [segment.role for segment in one.query] == ["relevant"]
        assert one.query[0].text.endswith(f"is {whole.asked.activity}.")


def test_a_simple_prompt_of_the_first_set_is_the_answering_statement():
    for item in made(16, prompts="simple_same")[0].items:
        assert item.query[0].text == str(item.asked)


@pytest.mark.parametrize("statements", [2, 4])
def test_a_simple_prompt_of_the_second_set_has_a_name_from_outside_the_set_and_each_another(statements):
    data, _ = made(24, prompts="simple_other", statements=statements)
    by_set = {}
    for item in data.items:
        name = item.query[0].text.split()[0]
        assert name not in {statement.name for statement in item.statements}
        by_set.setdefault(item.statements, []).append(name)
    assert all(len(set(names)) == len(names) for names in by_set.values())


@pytest.mark.parametrize("statements", [2, 3])
@pytest.mark.parametrize("kind", ["correct", "distractor"])
def test_shown_answers_stand_at_each_position_equally_often_at_every_k(statements, kind):
    data, options = made(statements=statements)
    for seed in range(6):
        shown = TASK.demonstrations(data, 0, Demonstrations(kind, 12, seed), options)
        places = [_place(segment.text) for segment in shown]
        for k in range(1, 13):
            counts = np.bincount(places[:k], minlength=statements)
            assert counts.max() - counts.min() <= (1 if kind == "correct" else 2)


def _place(text):
    """Which of its statements an example's answer is of."""
    body, answer = text.rstrip().rsplit("\nQ:", 1)
    return [one.rstrip(".").split()[-1] for one in body.split(". ")].index(answer.split()[-1])


def test_a_distractors_answer_stands_in_its_own_text_and_is_never_right():
    data, options = made(statements=3)
    right, wrong = (
        TASK.demonstrations(data, 0, Demonstrations(kind, 12, 0), options) for kind in ("correct", "distractor")
    )
    for good, bad in zip(right, wrong, strict=True):
        body, answer = bad.text.rstrip().rsplit("A:", 1)
        assert good.text.startswith(body)
        assert f"{answer.strip()}." in body
        assert good.text != bad.text


def test_guessing_among_the_statements_is_named_and_without_a_question_nothing_is_guessed():
    assert TASK.chance({"prompts": "composite", "statements": 4}) == {"right": 0.25, "prefers_right": 0.25}
    assert TASK.chance({"prompts": "simple_same", "statements": 4}) == {}


def test_the_position_is_a_factor_and_no_covariate():
    data, _ = made()
    assert set(data.factors["position"]) == {"1", "2"}
    assert "position_index" not in data.covariates
