import pytest
from streamlit.testing.v1 import AppTest

from iclviz.tasks import all_tasks, task
from iclviz.tasks.task_files import parse, tasks_folder
from iclviz.ui.link_fields import defaults
from iclviz.ui.own_tasks import EXAMPLES, summary
from tests.pages.conftest import ROOT, TIMEOUT, opened, said
from tests.pages.test_pages import app

EXAMPLE = EXAMPLES / "own_task.csv"


def uploaded(chosen, name, data):
    test = opened("run", chosen)
    test.file_uploader[0].upload(name, data).run()
    assert not test.exception
    return test


def test_a_file_is_checked_kept_and_summed_up(chosen):
    test = uploaded(chosen, "pets.csv", EXAMPLE.read_bytes())
    read = test.success[0].value.replace("\\", "")
    assert "24 queries, 12 rows for demonstrations, scored by words" in read
    assert "place (text), log_weight (number), position (text)" in read
    assert "24 queries have groups" in read
    assert "24 queries have relevant text, 24 have irrelevant text" in read
    assert [name.partition("@")[0] for name in all_tasks() if "@" in name] == ["pets"]


def test_its_button_chooses_it_for_both_with_as_many_items_and_demonstrations_as_it_has(chosen):
    test = uploaded({**chosen, "items": 32, "b_k": 100}, "pets.csv", EXAMPLE.read_bytes())
    next(button for button in test.button if button.label == "Use for A and B").click().run()
    assert not test.exception
    choices = test.session_state["choices"]
    assert choices["a_task"] == choices["b_task"] == task(choices["a_task"]).name
    assert (choices["items"], choices["a_k"], choices["b_k"]) == (24, 2, 12)
    assert "iclviz-relevant" in " ".join(html.proto.body for html in test.get("html"))


def test_where_k_asks_for_more_rows_than_are_left_a_button_takes_what_fits(chosen):
    rows = "".join(f"question {number},answer {number}\n" for number in range(40))
    test = uploaded({**chosen, "items": 40, "a_k": 0, "b_k": 4}, "mine.csv", f"query,answer\n{rows}".encode())
    name = next(name for name in all_tasks() if "@" in name)
    test = opened("run", {**chosen, "a_task": name, "b_task": name, "items": 40, "a_k": 0, "b_k": 4})
    assert "k = 4 needs as many rows to show, and there are 0" in said(test).replace("\\", "")
    next(button for button in test.button if button.label == "Take 36 items and k = 4").click().run()
    assert not test.exception
    assert test.session_state["choices"]["items"] == 36
    assert "rows" not in " ".join(one.value for one in (*test.warning, *test.error))


def test_a_mistake_is_told_with_its_line_and_nothing_is_kept(chosen):
    test = uploaded(chosen, "pets.csv", b"query,answer\na,b\nc\n![x](http://example.org),d,e\n")
    text = said(test)
    assert "Line 3: the row has 1 cells" in text.replace("\\", "")
    assert "Line 4" in text
    assert not [name for name in all_tasks() if "@" in name]


def test_text_of_a_file_is_shown_as_it_is(chosen):
    test = uploaded(chosen, "pets.csv", b"query,answer,use\na,b,![x](http://example.org)\nc,d,\n")
    assert "![x](" not in said(test)
    assert r"\!\[x\]\(" in said(test)


def test_a_file_without_labels_and_groups_says_what_follows():
    read = summary(parse(b"query,answer\na,b\nc,d\n", "mine.csv"))
    assert read[1:3] == ["No labels: the answers are the label.", "No groups: every query is a unit of its own."]


def test_a_kept_task_is_in_the_sidebar_and_in_links():
    name = task(str(EXAMPLE)).name
    test = app(a_task=name, options=f'{{"{name}": {{"scoring": "exact"}}}}', items="8", a_k="1", b_task=name)
    assert not test.exception
    assert not test.warning
    assert test.session_state["choices"]["a_task"] == name
    assert test.session_state["choices"]["options"] == {name: {"scoring": "exact"}}
    assert any(option.startswith("Own task (") for option in test.sidebar.selectbox[1].options)


@pytest.mark.parametrize("name", [str(EXAMPLE), "pets@0123456789abcdef"])
def test_a_link_names_kept_tasks_only_and_reads_no_path(name):
    for parameters in ({"a_task": name}, {"options": f'{{"{name}": {{"scoring": "exact"}}}}'}):
        test = app(**parameters)
        assert not test.exception
        assert next(iter(parameters)) in said(test)
    assert not [name for name in all_tasks() if "@" in name]


def test_a_task_that_the_cache_keeps_no_longer_is_left_with_a_sentence(chosen):
    test = AppTest.from_file(str(ROOT / "app.py"), default_timeout=TIMEOUT)
    test.session_state["choices"] = {**chosen, "a_task": "pets@0123456789abcdef"}
    test.run()
    assert not test.exception
    assert "a_task = pets@0123456789abcdef" in said(test)
    assert test.session_state["choices"]["a_task"] == defaults()["a_task"]


def test_a_file_in_the_folder_that_is_no_task_is_told(chosen, own_cache):
    (own_cache / "tasks").mkdir(parents=True)
    (own_cache / "tasks" / "bad.csv").write_text("nonsense")
    assert "bad.csv" in said(opened("run", chosen)).replace("\\", "")


def test_an_upload_of_ten_thousand_rows_is_read_once(chosen, monkeypatch):
    rows = b"query,answer\n" + b"".join(b"q%d,a%d\n" % (place, place % 7) for place in range(10_000))
    test = uploaded(chosen, "many.csv", rows)
    next(button for button in test.button if button.label == "Use for A and B").click().run()
    monkeypatch.setattr("iclviz.ui.own_tasks.parse", lambda *given: pytest.fail("it was read again"))
    test.run()
    assert not test.exception


def test_a_kept_task_is_removed_at_a_click_and_a_damaged_one_leaves_the_page_whole(chosen):
    test = uploaded(chosen, "pets.csv", EXAMPLE.read_bytes())
    (name,) = [name for name in all_tasks() if "@" in name]
    path = tasks_folder() / f"{name.partition('@')[2]}.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:-200])
    page = app(a_task=name)
    assert not page.exception
    assert page.session_state["choices"]["a_task"] == "reading_comprehension"
    path.write_bytes(whole)
    next(button for button in test.button if button.label == "Remove this task").click().run()
    assert not test.exception
    assert not path.exists()
