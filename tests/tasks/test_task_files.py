import csv
import json
import re
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from iclviz.errors import StoreError, TaskFileError, UserError
from iclviz.tasks import all_tasks, task
from iclviz.tasks.listing import listed
from iclviz.tasks.own_rows import MOST_PROBLEMS
from iclviz.tasks.task_files import (
    COLUMNS,
    FORMS,
    MOST_BYTES,
    MOST_ROWS,
    keep,
    kept,
    parse,
    read,
    schema,
    tasks_folder,
    written,
)

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
DOG = {"query": "Q: What is a dog? A:", "answer": "animal"}
OAK = {"query": "Q: What is an oak? A:", "answer": "plant"}


def as_json(*rows, **head):
    return json.dumps({**head, "items": rows} if head else rows).encode()


def mistake(data, name="mine.json"):
    """What the error about a file says."""
    with pytest.raises(TaskFileError) as found:
        parse(data, name)
    return str(found.value)


def test_the_schema_is_a_schema_that_the_examples_fit():
    Draft202012Validator.check_schema(schema())
    validator = Draft202012Validator(schema())
    validator.validate(json.loads((EXAMPLES / "own_task.json").read_text()))
    validator.validate([json.loads(line) for line in (EXAMPLES / "own_task.jsonl").read_text().splitlines()])


@pytest.mark.parametrize("ending", FORMS)
def test_every_example_is_read(ending):
    file = read(EXAMPLES / f"own_task{ending}")
    assert (len(file.queries), len(file.marked)) == (24, 12)
    assert file.labels == {"place": "text", "log_weight": "number", "position": "text"}
    assert file.scoring == "words"


def test_the_same_content_is_the_same_task_in_any_form_and_under_any_name():
    csv, lines = (read(EXAMPLES / f"own_task{ending}") for ending in (".csv", ".jsonl"))
    assert csv.digest == lines.digest
    assert parse((EXAMPLES / "own_task.csv").read_bytes(), "other.csv").digest == csv.digest
    assert parse(b"\xef\xbb\xbf" + (EXAMPLES / "own_task.csv").read_bytes(), "a.csv").digest == csv.digest
    assert read(EXAMPLES / "own_task.json").digest != csv.digest


@pytest.mark.parametrize("ending", FORMS)
def test_what_is_kept_reads_as_the_same_task(ending):
    file = read(EXAMPLES / f"own_task{ending}")
    again = parse(written(file), "elsewhere.json")
    assert again.content == file.content
    assert again.task_name == file.task_name


def test_a_cell_is_read_up_to_the_limit_of_the_file_and_the_setting_is_put_back():
    long = "word " * 60_000
    before = csv.field_size_limit()
    assert parse(f'query,answer\n"{long}",a\n1 ->,b\n'.encode(), "own.csv").rows[0].query == long
    assert csv.field_size_limit() == before < len(long)


def test_a_csv_file_gives_every_field():
    data = (
        "id,query,answer,accepted,candidates,label:kind,label:size,group,group:size,relevant,irrelevant,use\n"
        '1," Say, ""dog"": a and b",dog,hound | cur,cat | fox,animal,2.5,g,h,and | b,Say,query\n'
        "2,Say oak:,oak,,,plant,,g2,h2,,,query\n"
        "3,Say elm:,elm,,,animal,7,g3,h3,,,demonstration\n"
    )
    row, other, marked = parse(data.encode(), "mine.csv").rows
    assert row.query == ' Say, "dog": a and b'
    assert (row.id, row.answer, row.accepted, row.candidates) == ("1", "dog", ("hound", "cur"), ("cat", "fox"))
    assert row.labels == {"kind": "animal", "size": 2.5}
    assert (row.group, row.groups) == ("g", {"size": "h"})
    assert (row.relevant, row.irrelevant) == (("and", "b"), ("Say",))
    assert other.labels == {"kind": "plant"}
    assert marked.use == "demonstration"


def test_json_rows_may_hold_numbers_and_what_is_missing():
    rows = [{**DOG, "id": 1, "labels": {"legs": 4, "kind": None}}, {**OAK, "answer": 2.5, "labels": {"kind": ""}}]
    file = parse(as_json(*rows), "mine.json")
    assert file.rows[0].id == "1"
    assert file.rows[1].answer == "2.5"
    assert file.labels == {"legs": "number"}


@pytest.mark.parametrize(
    ("answers", "scoring"), [(("7", "-1,000"), "number"), (("7", "seven"), "words"), (("+", "minus"), "exact")]
)
def test_the_way_of_scoring_follows_from_the_answers(answers, scoring):
    rows = [{**row, "answer": answer} for row, answer in zip((DOG, OAK), answers, strict=True)]
    assert parse(as_json(*rows), "mine.json").scoring == scoring


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"answer": ""}, "answer = '' does not fit. Give the right answer: one line"),
        ({"answer": "two\nlines"}, "answer = .* does not fit"),
        ({"answer": True}, "answer = True does not fit"),
        ({"query": "  "}, "query = '  ' does not fit"),
        ({"lables": {}}, "unknown field 'lables'. Did you mean labels\\? Known: id, query, answer"),
        ({"labels": {"1st": "x"}}, "labels = '1st' does not fit. Give a name"),
        ({"labels": {"x\n": "x"}}, "does not fit. Give a name"),
        ({"labels": {"x": [1]}}, r"labels.x = \[1\] does not fit. Give a text or a number"),
        ({"use": "test"}, "use = 'test' does not fit. Give query or demonstration"),
        ({"candidates": "cat"}, "candidates = 'cat' does not fit. Give a list"),
        ({"relevant": "cat"}, "relevant = 'cat' does not stand in the query. Copy"),
        ({"irrelevant": "Q: What is a dog? a:"}, "does not stand in the query"),
        ({"relevant": "a"}, "relevant = 'a' stands in the query more than once"),
        ({"relevant": "a dog", "irrelevant": "dog?"}, "irrelevant = 'dog\\?' overlaps with 'a dog'"),
        ({"relevant": ["a dog", "a dog"]}, "overlaps"),
        ({"candidates": ["ANIMAL!"]}, "candidates = 'ANIMAL!' is the right answer"),
        ({"candidates": ["cafe\u0301", "x", "caf\u00e9"]}, "candidates = 'café' stands there twice. Give it once"),
        ({"id": "\u200b"}, r"id = '\\u200b' has no character that can be seen"),
        ({"answer": "\ufeff"}, r"answer = '\\ufeff' has no character that can be seen"),
        ({"query": OAK["query"].replace(" ", "\u00a0") + "\u200b"}, "query = .* stands in line 1 too"),
        ({"labels": {"my kind": "a", "my  kind": "b"}}, "the labels 'my kind' and 'my  kind' differ in blanks alone"),
        ({"query": OAK["query"] + " "}, "query = .* stands in line 1 too. Give every row its own query"),
        ({"id": OAK["query"]}, "id = .* stands in line 1 too. Give every row its own id"),
        ({"labels": {"right": "x"}}, "the name of the label right is taken"),
        ({"labels": {"x": "a", "same_x": "b"}}, "the name of the label same_x is taken"),
        ({"groups": {"kind": "x"}}, "a group is given for 'kind', which is no label"),
        ({"group": "x"}, "the group is missing, and other rows have one"),
        ({"query": "a\0"}, "holds a character that is no text"),
        ({"query": "a\ud800"}, "holds a character that is no text"),
    ],
)
def test_a_mistake_in_a_row_is_named_with_its_line_and_a_way_on(changes, said):
    data = b"[" + json.dumps(OAK).encode() + b",\n\n" + json.dumps({**DOG, **changes}).encode() + b"]"
    text = mistake(data)
    assert re.search(said, text)
    line = 1 if "missing, and other" in said else 3
    assert text.startswith(f"mine.json, line {line}: ")


def test_numbers_and_text_in_one_label_are_refused():
    rows = [{**DOG, "labels": {"legs": 4}}, {**OAK, "labels": {"legs": "none"}}]
    assert "label legs = 'none', and 4.0 in line 1: one is a number, one is text." in mistake(as_json(*rows))
    csv = b"query,answer,label:legs\na,b,4\nc,d,nan\n"
    assert mistake(csv, "mine.csv").startswith("mine.csv, line 3: label legs = 'nan', and 4.0 in line 2")


def test_a_label_that_is_its_group_is_refused():
    rows = [
        {"query": f"q {i}", "answer": "a", "labels": {"kind": f"k{i // 2}"}, "group": f"k{i // 2}"} for i in range(6)
    ]
    assert "every value of the label kind is in one group only" in mistake(as_json(*rows))
    crossed = [{**row, "group": f"g{i % 2}"} for i, row in enumerate(rows)]
    assert parse(as_json(*crossed), "mine.json").labels == {"kind": "text"}


def test_the_first_mistakes_are_told_and_how_many_more():
    text = mistake(as_json(DOG, OAK, *({**DOG, "nonsense": 1} for _ in range(9))))
    assert text.splitlines()[0] == "mine.json has 9 mistakes."
    assert len(text.splitlines()) == 2 + MOST_PROBLEMS
    assert text.splitlines()[-1] == "And 4 more."


@pytest.mark.parametrize(
    ("data", "name", "said"),
    [
        (b"", "a.json", "a.json is empty"),
        (b" \n", "a.csv", "a.csv is empty"),
        (b"\xff\xfeq", "a.csv", "line 1: this is not text in UTF-8"),
        (b"query,answer\n\xe9,b", "a.csv", "line 2: this is not text in UTF-8"),
        (b"[]", "a.json", "fewer than 2 rows to ask"),
        (as_json(DOG), "a.json", "fewer than 2 rows to ask"),
        (as_json(DOG, {**OAK, "use": "demonstration"}), "a.json", "fewer than 2 rows to ask"),
        (b'[{"query": "a"},\n\n{"query": }]', "a.json", "line 3: this is not JSON"),
        (b'{"query": "a"}\n{"query": "b"}', "a.json", "line 2: this is not JSON .* ends in .jsonl"),
        (b'{"query": "a", "answer": "b"}\n\n{"query": ', "a.jsonl", "line 3: this is not JSON"),
        (b'{"query": "a"} {}', "a.jsonl", "line 1: this is not JSON"),
        (b'[{"query": "a", "answer": NaN}]', "a.json", "NaN is no finite number"),
        (b'[{"query": "a", "answer": 1e999}]', "a.json", "1e999 is no finite number"),
        (b"[" + b"9" * 5000 + b"]", "a.json", "is no finite number"),
        (b'[{"query": "a", "query": "b"}]', "a.json", "the field query is there twice"),
        (b'{"items": [], "items": []}', "a.json", "the field items is there twice"),
        (b"[" * 100_000, "a.json", "too many brackets"),
        (b"3", "a.json", "this is not JSON"),
        (b"{3: 4}", "a.json", "a field has no name"),
        (b'{"items": 3}', "a.json", "items = 3 does not fit"),
        (b'{"itmes": []}', "a.json", "unknown field 'itmes'. Did you mean items\\? Known: name, title"),
        (b'{"title": "a"}', "a.json", "fewer than 2 rows"),
        (as_json(DOG, OAK, title="<b>x</b>"), "a.json", "title = '<b>x</b>' does not fit"),
        (as_json(DOG, OAK, labels=["kind"]), "a.json", "labels names 'kind', and no row has it"),
        (as_json(DOG, OAK, scoring="number"), "a.json", "answer = 'animal' is not a number. Take scoring = words"),
        (b"query,answer\na,b\nc", "a.csv", "line 3: the row has 1 cells, and the first row 2"),
        (b"query,answer,anwser\na,b,c", "a.csv", "line 1: unknown column 'anwser'. Known: query, answer, id"),
        (b"query;answer\na;b", "a.csv", "Put commas between the columns"),
        (b"query,answer,answer\na,b,b", "a.csv", "the column answer is there 2 times"),
        (b"question,answer\na,b", "a.csv", "the column query is missing"),
        (b"query,answer,label:a b,label:ab\na,b,c,d", "a.csv", "the column label:a b is there 2 times, blanks aside"),
        (b"query,answer,label:a b,label: a  b\na,b,c,d", "a.csv", "the column label:a b is there 2 times"),
        (b"query,answer,group:a,group :a\na,b,c,d", "a.csv", "the column group:a is there 2 times"),
        (
            "query,answer,factor:é,factor:e\u0301\u200b\na,b,c,d".encode(),
            "a.csv",
            "the column factor:é is there 2 times",
        ),
        (b'query,answer\n"a,b', "a.csv", "line 2: this is not CSV"),
        (b"query,answer,label:\na,b,c", "a.csv", "unknown column 'label:'"),
        (b'query,answer\n"two\nlines",a\n,b', "a.csv", "line 4: query is missing"),
        (b"query,answer\n" + b"a,b\n" * (MOST_ROWS + 1), "a.csv", "has 50,001 rows"),
        (b" " * (MOST_BYTES + 1), "a.csv", "has 20,000,001 bytes"),
        (b"print()", "a.py", "never a program"),
    ],
)
def test_a_file_that_is_no_task_says_why(data, name, said):
    assert re.search(said, mistake(data, name))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(list(FORMS)))
def test_arbitrary_bytes_are_read_or_refused(data, ending):
    with suppress(UserError):
        parse(data, f"mine{ending}")


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from([*schema()["$defs"]["row"]["properties"]])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.dictionaries(FIELDS, VALUES, max_size=5).map(lambda row: {**DOG, **row}), max_size=4))
def test_arbitrary_rows_are_read_or_refused(rows):
    with suppress(UserError):
        parse(json.dumps(rows).encode(), "mine.json")


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1, max_size=12)


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXTS, min_size=2, max_size=6), TEXTS, TEXTS)
def test_what_is_read_is_read_again_as_it_was(queries, label, answer):
    rows = [{"query": query, "answer": answer, "labels": {"x": label}} for query in queries]
    try:
        file = parse(json.dumps(rows).encode(), "mine.json")
    except UserError:
        return
    assert [row.query for row in file.rows] == queries
    assert parse(written(file), "mine.json").digest == file.digest


def test_formulas_and_html_stay_text():
    rows = [{**DOG, "query": '=HYPERLINK("http://x") <script>alert(1)</script>'}, OAK]
    assert parse(as_json(*rows), "mine.json").rows[0].query == rows[0]["query"]


def test_a_file_is_found_by_its_path_its_kept_name_and_its_stem(tmp_path, own_cache):
    path = tmp_path / "my pets.csv"
    shutil.copy(EXAMPLES / "own_task.csv", path)
    of = task(str(path))
    assert re.fullmatch(r"my-pets@[0-9a-f]{16}", of.name)
    path.unlink()
    assert task(of.name).name == of.name
    shutil.copy(EXAMPLES / "own_task.json", own_cache / "tasks" / "places.json")
    assert task("places").title == "Where animals live"
    assert task("places.json").name == task("places").name
    assert [name for name in all_tasks() if "@" in name] == [of.name, task("places").name]


def test_the_same_content_again_is_the_same_task_and_takes_the_name_under_which_it_is_given(tmp_path):
    first = task(str(EXAMPLES / "own_task.csv"))
    assert first.title == "Own task"
    shutil.copy(EXAMPLES / "own_task.csv", tmp_path / "animals.csv")
    again = task(str(tmp_path / "animals.csv"))
    assert (again.name, again.title) == (first.name, "Animals")
    assert task(f"copy@{first.file.digest}").name == first.name
    assert [one.title for one in listed()] == ["Animals"]
    assert task(str(EXAMPLES / "own_task.csv")).title == "Own task"


def test_what_was_kept_before_takes_no_name_from_a_bundle(tmp_path):
    first = task(str(EXAMPLES / "own_task.csv"))
    keep(replace(first.file, name="other"), renames=False)
    assert task(first.name).title == "Own task"


def test_a_name_that_is_too_long_is_told(tmp_path, caplog):
    long = tmp_path / f"{'animals_' * 8}.csv"
    shutil.copy(EXAMPLES / "own_task.csv", long)
    assert task(str(long)).file.name == ("animals_" * 5)
    assert "The file's name is too long: the task is called animals_" in caplog.text


def test_a_file_that_users_put_into_the_folder_is_listed_and_found_by_the_listed_name(own_cache):
    (own_cache / "tasks").mkdir(parents=True)
    shutil.copy(EXAMPLES / "own_task.csv", own_cache / "tasks" / "pets.csv")
    name = next(name for name in all_tasks() if name.startswith("pets@"))
    assert task(name).name == name
    assert name in all_tasks()


def test_a_changed_file_is_another_task(tmp_path):
    path = tmp_path / "mine.json"
    path.write_bytes(as_json(DOG, OAK))
    before = task(str(path)).name
    path.write_bytes(as_json(DOG, {**OAK, "answer": "tree"}))
    assert task(str(path)).name != before
    assert {before, task(str(path)).name} <= set(all_tasks())


def test_a_file_in_the_folder_that_is_no_task_is_told_and_left_out(own_cache):
    (own_cache / "tasks").mkdir(parents=True)
    (own_cache / "tasks" / "bad.csv").write_text("nonsense")
    assert "unknown column 'nonsense'" in kept()[0].problem
    assert not [name for name in all_tasks() if "@" in name]
    with pytest.raises(TaskFileError, match="nonsense"):
        task("bad")


def test_a_kept_task_that_was_changed_or_is_gone_is_told():
    of = task(str(EXAMPLES / "own_task.csv"))
    place = keep(of.file)
    assert place.parent == tasks_folder()
    place.write_bytes(as_json(DOG, OAK))
    with pytest.raises(TaskFileError, match="was changed"):
        task(of.name)
    place.unlink()
    with pytest.raises(TaskFileError, match="keeps no task"):
        task(of.name)


def test_a_folder_and_a_file_that_is_too_large_are_refused(tmp_path):
    (tmp_path / "a.json").mkdir()
    with pytest.raises(TaskFileError, match="is no file"):
        task(str(tmp_path / "a.json"))
    with (tmp_path / "b.json").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(TaskFileError, match="has 20,000,001 bytes"):
        task(str(tmp_path / "b.json"))


def test_a_cache_that_cannot_be_written_is_told(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ICLVIZ_CACHE", str(tmp_path / "file"))
    with pytest.raises(StoreError, match="cannot be written"):
        task(str(EXAMPLES / "own_task.csv"))


def test_the_docs_examples_are_tasks_and_every_field_is_explained():
    text = (EXAMPLES.parent / "own-tasks.md").read_text()
    blocks = re.findall(r"```(csv|jsonl)\n(.*?)```", text, re.DOTALL)
    assert [len(parse(body.encode(), f"mine.{form}").rows) for form, body in blocks] == [4, 3]
    for name in (*schema()["properties"], *schema()["$defs"]["row"]["properties"], *COLUMNS):
        assert f"`{name}`" in text


def test_a_column_of_a_factor_is_read_as_the_same_in_json():
    text = "query,answer,group,factor:place,factor:form\nq a,x,g,1,short\nq b,y,g,2,long\n"
    rows = [
        {"query": f"q {name}", "answer": answer, "group": "g", "factors": {"place": place, "form": form}}
        for name, answer, place, form in (("a", "x", 1, "short"), ("b", "y", 2, "long"))
    ]
    read = parse(text.encode(), "own.csv")
    assert [row.factors for row in read.rows] == [{"place": 1.0, "form": "short"}, {"place": 2.0, "form": "long"}]
    assert read.digest == parse(json.dumps(rows).encode(), "own.json").digest


def test_a_row_without_its_level_of_a_factor_is_named():
    text = "query,answer,factor:place\nq a,x,1\nq b,y,\n"
    with pytest.raises(TaskFileError, match="line 3: the factor place is missing"):
        parse(text.encode(), "own.csv")


def test_names_of_columns_and_labels_are_read_as_they_look():
    csv = parse("query,answer,\ufefflabel: cafe\u0301\na,b,1\nc,d,2\u200b\n".encode(), "mine.csv")
    assert csv.labels == {"caf\u00e9": "number"}
    rows = [{**row, "labels": {name: "x"}} for row, name in ((DOG, "cafe\u0301"), (OAK, "caf\u00e9\u200b"))]
    assert parse(as_json(*rows, labels=["cafe\u0301"]), "mine.json").labels == {"caf\u00e9": "text"}


def test_two_spellings_are_named_with_both_rows_when_the_file_is_read(tmp_path, caplog):
    path = tmp_path / "mine.json"
    rows = [{**DOG, "id": "1", "group": "cafe\u0301"}, {**OAK, "id": "2", "group": "caf\u00e9"}]
    path.write_bytes(as_json(*rows))
    assert len(read(path).spellings.twice) == 1
    task(str(path))
    assert "group 'cafe\u0301' is written in two ways that look alike, in '1' and '2'" in caplog.text
