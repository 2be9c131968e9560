import json
import time

import pytest

from iclviz.errors import TaskFileError
from iclviz.formats import NewerError
from iclviz.tasks import all_tasks, task, task_files
from iclviz.tasks.listing import forget, listed
from iclviz.tasks.task_files import keep, parse, read, tasks_folder


def rows(number, start=0):
    return b"query,answer\n" + b"".join(b"q%d,a%d\n" % (place, place % 7) for place in range(start, start + number))


@pytest.fixture
def kept(own_cache):
    return keep(parse(rows(10), "mine.csv"))


def test_kept_tasks_are_listed_without_reading_their_rows(kept, monkeypatch):
    monkeypatch.setattr(task_files, "_read", lambda *given: pytest.fail("it was read"))
    (one,) = listed()
    assert (one.name, one.title) == (f"mine@{kept.stem}", "Mine")
    assert one.name in all_tasks()
    assert all_tasks().titles()[one.name] == f"Mine ({kept.stem[:6]})"


def test_a_file_that_users_put_there_is_listed_by_its_content(own_cache):
    tasks_folder().mkdir(parents=True)
    (tasks_folder() / "theirs.csv").write_bytes(rows(5))
    (one,) = listed()
    assert task(one.name).title == "Theirs"


def test_a_kept_task_can_be_removed(kept):
    forget(listed()[0])
    assert listed() == []
    assert not kept.exists()


@pytest.mark.parametrize("content", [b"", b"[", b"\xff", b'{"items": 3}', b'{"format": "x", "items": []}', rows(3)])
def test_a_damaged_one_is_named_and_put_back_by_giving_its_file_again(kept, content):
    whole = kept.read_bytes()
    kept.write_bytes(content)
    (one,) = listed()
    assert one.problem
    with pytest.raises(TaskFileError):
        task(f"mine@{kept.stem}")
    assert keep(parse(rows(10), "mine.csv")) == kept
    assert kept.read_bytes() == whole


def test_one_whose_rows_were_changed_is_put_back_too(kept):
    whole = kept.read_bytes()
    kept.write_bytes(whole.replace(b"q3", b"q33"))
    with pytest.raises(TaskFileError, match="puts it back"):
        task(f"mine@{kept.stem}")
    keep(parse(rows(10), "mine.csv"))
    assert kept.read_bytes() == whole


def test_a_task_file_of_a_newer_format_is_named_and_left_alone(kept):
    newer = json.dumps({"format": 99, "name": "mine", "colour": "red", "rows": []}).encode()
    kept.write_bytes(newer)
    (one,) = listed()
    assert one.is_newer
    with pytest.raises(NewerError, match="format 99"):
        keep(parse(rows(10), "mine.csv"))
    assert kept.read_bytes() == newer


def test_a_task_file_of_the_first_format_is_read_as_it_is(kept):
    """It had no number."""
    digest = read(kept).digest
    kept.write_bytes(kept.read_bytes().replace(b'"format": 1,\n', b""))
    assert read(kept).digest == digest
    assert listed()[0].digest == digest


def test_five_hundred_kept_tasks_are_listed_in_no_time(own_cache):
    for number in range(500):
        file = parse(rows(3, number), "mine.csv")
        tasks_folder().mkdir(parents=True, exist_ok=True)
        (tasks_folder() / f"{file.digest}.json").write_bytes(task_files.written(file))
    start = time.perf_counter()
    assert len(all_tasks().titles()) > 500
    assert time.perf_counter() - start < 0.3
