import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import iclviz
from iclviz import analysis
from iclviz.errors import SpecError, TaskFileError, UserError
from iclviz.resolve import resolve
from iclviz.spec import Demonstrations, RunSpec
from iclviz.tasks import OwnTask, ReadAnswers
from iclviz.tasks.task_files import parse, read

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
NONE = Demonstrations("none", 0)


def own(*rows, **head):
    return OwnTask(parse(json.dumps({**head, "items": rows}).encode(), "mine.json"))


def numbered(n, **changes):
    """Rows "q 0" with the answer "a 0" and so on."""
    return [{"query": f"q {i}:", "answer": f"a {i}", **changes} for i in range(n)]


def data(of, n_items=2, **options):
    resolved = of.resolve_options(options, "plain")
    return of.data(n_items, 0, resolved), resolved


def shown(of, kind, k, n_items=2, seed=0):
    made, options = data(of, n_items)
    return [segment.text for segment in of.demonstrations(made, 0, Demonstrations(kind, k, seed), options)]


def scores(of, *responses, **options):
    """Scores of responses to the rows in the file's order."""
    made, resolved = data(of, len(responses), **options)
    place = {item.id: index for index, item in enumerate(made.items)}
    rows = [place[row.id] for row in of.file.queries]
    in_order = [responses[rows.index(index)] for index in range(len(rows))]
    parsed = [of.parse(response).value for response in in_order]
    found = of.score(made, ReadAnswers(in_order, parsed, np.zeros((len(rows), 3))), NONE, resolved)
    return {name: values[rows].tolist() for name, values in found.items()}


def test_texts_give_sameness_and_numbers_similarity_with_nothing_where_a_label_is_missing():
    rows = [{**row, "labels": labels} for row, labels in zip(
        numbered(4), [{"k": "x", "s": 1}, {"k": "x", "s": 3}, {"s": None}, {"k": "y"}], strict=True
    )]  # fmt: skip
    of = own(*rows)
    made, _ = data(of, 4)
    order = np.argsort([item.id for item in made.items])
    same = made.hypotheses["same_k"][np.ix_(order, order)]
    np.testing.assert_array_equal(same, [[1, 1, np.nan, 0], [1, 1, np.nan, 0], [np.nan] * 4, [0, 0, np.nan, 1]])
    near = made.hypotheses["s_similarity"][np.ix_(order, order)]
    assert near[0, 1] == -2
    assert np.isnan(near[2]).all()
    assert made.labels["k"][order].tolist() == ["x", "x", "", "y"]
    assert made.labels["s"].dtype == float


def test_without_labels_the_answer_is_the_label():
    made, _ = data(own(*numbered(3, answer="yes")), 3)
    assert made.labels.keys() == {"answer"}
    assert made.hypotheses["same_answer"].min() == 1


def test_units_are_the_groups_of_a_label_and_items_where_it_has_none():
    rows = [
        {**row, "labels": {"k": "xy"[i % 2], "l": "xy"[i // 2]}, "groups": {"k": f"g{i // 2}"}}
        for i, row in enumerate(numbered(4))
    ]
    made, _ = data(own(*rows), 4)
    assert set(made.groups["k"]) == set(made.groups["same_k"]) == {"g0", "g1"}
    assert set(made.groups["l"]) == set(made.groups["same_l"]) == {item.id for item in made.items}


def test_the_first_label_is_the_primary_one():
    rows = numbered(4, labels={"k": "x", "l": "y"})
    assert own(*rows).primary.hypothesis == "same_k"
    assert own(*rows, labels=["l"]).primary.label == "l"


def test_items_are_drawn_by_seed_and_fewer_are_the_first_of_more():
    of = own(*numbered(20))
    options = of.resolve_options({}, "plain")
    ids = [[item.id for item in of.data(n, seed, options).items] for n, seed in ((20, 0), (5, 0), (20, 1))]
    assert ids[0][:5] == ids[1]
    assert ids[0] != ids[2]
    assert sorted(ids[0]) == sorted(ids[2])


def test_more_items_than_rows_says_how_many_there_are():
    with pytest.raises(SpecError, match="Take n_items <= 3"):
        data(own(*numbered(3)), 4)


def test_demonstrations_are_rows_that_are_not_asked():
    of = own(*numbered(10))
    made, _ = data(of, 4)
    asked = {"".join(segment.text for segment in item.query) for item in made.items}
    for kind, k in (("correct", 6), ("random", 6), ("shuffled", 4), ("contrastive", 4)):
        queries = {text.partition(":")[0] + ":" for text in shown(of, kind, k, 4)}
        assert len(queries) == k
        assert not queries & asked


def test_marked_rows_are_the_only_demonstrations_and_are_never_asked():
    of = own(*numbered(10), *({**row, "query": f"demo {row['query']}", "use": "demonstration"} for row in numbered(4)))
    assert all(text.startswith("demo") for text in shown(of, "correct", 4))
    assert not any(item.id.startswith("demo") for item in data(of, 10)[0].items)
    with pytest.raises(SpecError, match="Take k <= 4"):
        shown(of, "correct", 5)


def test_no_row_of_an_asked_rows_group_is_shown():
    rows = [{**row, "group": f"g{i // 2}"} for i, row in enumerate(numbered(8))]
    of = own(*rows)
    made, _ = data(of, 2)
    asked = {item.row.group for item in made.items}
    texts = shown(of, "correct", 8 - 2 * len(asked))
    groups = {f"g{int(text.split()[1].rstrip(':')) // 2}" for text in texts}
    assert not groups & asked
    with pytest.raises(SpecError, match="none of its groups, is shown"):
        shown(of, "correct", 8 - 2 * len(asked) + 1)


LOOKING_ALIKE = ("caf\u00e9 1", "cafe\u0301 1", "caf\u00e9\u00a01", "\ufeffcaf\u00e9 1\u200b")


def test_groups_labels_and_factors_that_look_alike_are_one_in_the_spelling_that_stands_first():
    rows = [
        {**row, "labels": {"k": LOOKING_ALIKE[i % 4], "l": "xy"[i % 2]}, "group": f"{LOOKING_ALIKE[i % 4]} {i // 4}",
         "factors": {"place": LOOKING_ALIKE[i % 4]}, "answer": LOOKING_ALIKE[i % 4]}
        for i, row in enumerate(numbered(8))
    ]  # fmt: skip
    made, _ = data(own(*rows), 8)
    assert set(made.labels["k"]) == set(made.factors["place"]) == {LOOKING_ALIKE[0]}
    assert set(made.groups["k"]) == {f"{LOOKING_ALIKE[0]} 0", f"{LOOKING_ALIKE[0]} 1"}
    assert {item.answer for item in made.items} == {answer.strip() for answer in LOOKING_ALIKE}
    bare = own(*({name: value for name, value in row.items() if name in ("query", "answer")} for row in rows))
    assert set(data(bare, 8)[0].labels["answer"]) == {LOOKING_ALIKE[0]}


def test_no_row_of_an_asked_rows_group_is_shown_however_its_name_is_spelled():
    of = own(*({**row, "group": f"{LOOKING_ALIKE[i % 4]} {i // 4}"} for i, row in enumerate(numbered(8))))
    made, _ = data(of, 1)
    asked = int(made.items[0].id.split()[1].rstrip(":")) // 4
    assert {int(text.split()[1].rstrip(":")) // 4 for text in shown(of, "correct", 4, 1)} == {1 - asked}
    with pytest.raises(SpecError, match="none of its groups, is shown"):
        shown(of, "correct", 5, 1)


def test_what_is_shown_and_asked_is_spelled_as_it_is_written():
    of = own(*({**row, "answer": LOOKING_ALIKE[i % 4]} for i, row in enumerate(numbered(8))))
    answers = {text.partition(": ")[2].rstrip("\n") for text in shown(of, "correct", 7, 1)}
    assert answers == {answer.strip() for answer in LOOKING_ALIKE}


@pytest.mark.parametrize("scoring", ["words", "exact"])
def test_answers_are_read_in_any_spelling(scoring):
    of = own(*numbered(4, answer=LOOKING_ALIKE[0], candidates=["tea"]), scoring=scoring)
    assert scores(of, *LOOKING_ALIKE)["right"] == [1, 1, 1, 1]


def test_shuffled_answers_come_from_rows_that_are_never_shown_and_are_never_right():
    of = own(*({**row, "accepted": [f"a {(i + 1) % 12}"]} for i, row in enumerate(numbered(12))))
    for seed in range(20):
        most = shown(of, "shuffled", 7, seed=seed)
        answers = {text.partition(":")[2].strip() for text in most}
        owners = {text.partition(":")[0] for text in most}
        assert not {answer.replace("a", "q") for answer in answers} & owners
        for text in most:
            number, given = int(text.split()[1].rstrip(":")), int(text.split()[3])
            assert given not in (number, (number + 1) % 12)


def test_with_two_answers_every_shuffled_one_is_the_other():
    rows = [{**row, "answer": "yes" if i % 6 else "no"} for i, row in enumerate(numbered(24))]
    of = own(*rows)
    for seed in range(10):
        right, wrong = (shown(of, kind, 12, 4, seed) for kind in ("correct", "shuffled"))
        for a, b in zip(right, wrong, strict=True):
            assert {a.split()[-1], b.split()[-1]} == {"yes", "no"}


def test_shuffled_needs_another_answer():
    with pytest.raises(SpecError, match="No row has an answer that is wrong"):
        shown(own(*numbered(9, answer="yes")), "shuffled", 2)


def test_a_contrastive_example_marks_its_own_wrong_candidate():
    of = own(*numbered(9, candidates=["never"]))
    assert all(text.endswith("(not never)\n\n") for text in shown(of, "contrastive", 3))


def test_a_distractors_answer_is_the_wrong_candidate_that_stands_in_its_query():
    rows = [
        {
            "query": f"Ann has a dog{i}. Tom has a cat{i}. Ann has a",
            "answer": f"dog{i}",
            "candidates": ["owl", f"cat{i}"],
        }
        for i in range(9)
    ]
    assert all(text.rstrip()[-4:-1] == "cat" for text in shown(own(*rows), "distractor", 3))
    with pytest.raises(SpecError, match="No wrong candidate of"):
        shown(own(*numbered(9, candidates=["never"])), "distractor", 2)


def test_factors_are_levels_and_numbers_of_many_values_a_quantity():
    rows = [{**row, "factors": {"place": i % 3, "size": i, "form": "ab"[i % 2]}} for i, row in enumerate(numbered(12))]
    made, _ = data(own(*rows), 12)
    assert set(made.factors["place"]) == {"0.0", "1.0", "2.0"}
    assert made.factors["size"].dtype.kind == "f"
    assert set(made.factors["form"]) == {"a", "b"}


def test_guessing_among_candidates_is_chance_where_every_row_has_some():
    assert own(*numbered(4, candidates=["x", "y", "z"])).chance({}) == {"right": 0.25, "prefers_right": 0.25}
    assert own(*numbered(4)).chance({}) == {}


def test_words_are_right_where_they_come_before_a_wrong_candidate():
    of = own(*numbered(4, answer="New York", accepted=["NYC"], candidates=["Boston"]))
    said = scores(of, " It is New York.", "nyc", "Boston, not New York", "York\nNew York")
    assert said["right"] == [1, 1, 0, 0]
    assert said["logprob_margin"] == [0] * 4


def test_an_answer_that_stands_in_a_longer_one_of_another_row_is_not_said_with_it():
    rows = numbered(4)
    for row, answer in zip(rows, ("York", "New York", "obeyed", "not obeyed"), strict=True):
        row["answer"] = answer
    assert scores(own(*rows), "New York", "New York", "not obeyed", "not obeyed")["right"] == [0, 1, 0, 1]
    assert scores(own(*rows), "York.", "York", "obeyed", "obeyed")["right"] == [1, 0, 1, 0]


def test_letters_are_answers_where_they_are_written_as_choices():
    of = own(*numbered(4, answer="A", candidates=["B", "I"]))
    assert scores(of, "A dog", "(A) a dog", "I think A.", "answer: A")["right"] == [0, 1, 1, 1]
    other = own(*numbered(3, answer="I", candidates=["A"]))
    assert scores(other, "I think so", "I. A dog", "A dog, answer: I")["right"] == [0, 1, 1]


def test_exact_answers_are_the_whole_line():
    of = own(*numbered(3, answer="New York"), scoring="exact")
    assert scores(of, " new york.", "It is New York", "New York\nis")["right"] == [1, 0, 1]
    signs = own(*numbered(3, answer="+"))
    assert signs.file.scoring == "exact"
    assert scores(signs, " +", "-", "plus")["right"] == [1, 0, 0]


def test_numbers_are_compared_as_numbers():
    of = own(*numbered(4, answer="1,000"))
    said = scores(of, " 1000.0 m", "about 998", "none", "")
    assert said["right"] == [1, 0, 0, 0]
    np.testing.assert_array_equal(said["absolute_error"], [0, 2, np.nan, np.nan])
    assert "absolute_error" in of.lower_is_better
    assert "absolute_error" not in scores(of, *["1000"] * 4, scoring="words")


def test_answers_that_are_no_numbers_cannot_be_scored_as_such():
    with pytest.raises(UserError, match=r"answer = 'a 0' is not a number\. Take scoring = words"):
        own(*numbered(3)).resolve_options({"scoring": "number"}, "plain")


def test_a_refusal_counts_as_an_answer_only_where_answers_are_refusals():
    assert own(*numbered(3)).parse(" I cannot say.").value is None
    assert own(*numbered(3, answer="I cannot say")).parse(" I cannot say.").value == "I cannot say."


def test_long_answers_get_room():
    assert own(*numbered(3)).max_new_tokens == {"plain": 8, "chat": 32}
    assert own(*numbered(3, answer="word " * 20)).max_new_tokens["plain"] == 49


def test_the_files_instruction_is_the_default():
    of = own(*numbered(3), instruction="Say it.")
    assert of.resolve_options({}, "chat")["instruction"] == "Say it."
    assert of.resolve_options({"instruction": ""}, "plain")["instruction"] == ""


def spec(model, path, **changes):
    return RunSpec(**{"model": str(model), "task": str(path), "n_items": 8, **changes})


def test_the_same_content_is_the_same_run_wherever_and_however_named_its_file_is(tiny_model, tmp_path, monkeypatch):
    original = EXAMPLES / "own_task.csv"
    first = resolve(spec(tiny_model, original))
    for copy in (tmp_path / "other" / "own_task.csv", tmp_path / "pets.csv"):
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(original, copy)
        assert resolve(spec(tiny_model, copy)).key == first.key
    monkeypatch.chdir(tmp_path)
    assert resolve(spec(tiny_model, "pets.csv")).key == first.key
    assert resolve(spec(tiny_model, first.spec.task)).key == first.key
    assert resolve(spec(tiny_model, EXAMPLES / "own_task.jsonl")).key == first.key
    assert resolve(spec(tiny_model, EXAMPLES / "own_task.json")).key != first.key


def test_a_name_from_another_cache_gives_the_same_key(tiny_model, tmp_path, monkeypatch):
    (tmp_path / "pets.csv").write_bytes((EXAMPLES / "own_task.csv").read_bytes())
    first = resolve(spec(tiny_model, EXAMPLES / "own_task.csv", demonstrations=Demonstrations("out-of-domain", 2)))
    monkeypatch.setenv("ICLVIZ_CACHE", str(tmp_path / "other"))
    second = resolve(spec(tiny_model, tmp_path / "pets.csv", demonstrations=Demonstrations("out-of-domain", 2)))
    assert second.spec.task.startswith("pets@")
    assert first.key == second.key


def test_an_own_task_runs_and_is_analysed_after_its_file_is_gone(tiny_model, tmp_path):
    path = tmp_path / "pets.csv"
    shutil.copy(EXAMPLES / "own_task.csv", path)
    demonstrations = Demonstrations("correct", 2)
    recording = iclviz.run(str(tiny_model), str(path), demonstrations, n_items=24)
    path.unlink()
    assert recording.spec.task == read(EXAMPLES / "own_task.csv").task_name.replace("own_task", "pets")
    again = iclviz.run(str(tiny_model), recording.spec.task, demonstrations, n_items=24)
    assert again.key == recording.key
    assert recording.labels.keys() == {"place", "log_weight", "position"}
    assert set(recording.scores) == {"right", "answer_logprob", "logprob_margin", "prefers_right"}
    for name in recording.hypotheses:
        alignment = analysis.recording_alignment(recording, name, n_permutations=20)
        assert np.isfinite(alignment.estimate[1:]).all()
    for name in recording.labels:
        assert np.isfinite(analysis.recording_probe(recording, name, n_permutations=20).score[1:]).all()
    assert np.isfinite(analysis.recording_log_ratio(recording).mean).all()
    assert (recording.span_lengths["relevant"] > 0).all()
    assert (recording.span_lengths["irrelevant"] > 0).all()


def test_a_file_says_in_its_own_words_what_is_right_and_in_which_unit_numbers_are():
    plain, said = own(*numbered(3)), own(*numbered(3), right="polite", wrong="rude", unit="kg")
    assert (plain.outcomes, plain.no_outcome) == ((("right", "right"),), "wrong")
    assert (said.outcomes, said.no_outcome) == ((("right", "polite"),), "rude")
    assert said.natural_unit("right").axis == "Polite answers (%)"
    assert said.natural_unit("absolute_error").axis == "Absolute error (kg)"
    assert plain.natural_unit("right").axis == "Right answers (%)"
    assert plain.identity != said.identity
    assert said.file.content["wrong"] == "rude"
    assert not {"right", "wrong", "unit"} & plain.file.content.keys()  # a file without them stays the task that it was


def test_words_that_are_too_long_are_refused():
    with pytest.raises(TaskFileError, match="Give a word or two"):
        own(*numbered(3), right="x" * 31)
