import io
import time
import zipfile

import pytest
from streamlit.testing.v1 import AppTest

from iclviz.jobs.analyst import Analyst
from iclviz.jobs.asked import Asked
from iclviz.questions.question import Question
from iclviz.reporting.export import export
from iclviz.store import Store
from iclviz.ui.saving_comparison import Making, _makings

LONGEST = 120


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No browser: images take longest and have tests of their own."""
    monkeypatch.setenv("BROWSER_PATH", "")


@pytest.fixture
def page(few_and_many):
    """A page with the button alone."""

    def script(keys):
        import iclviz
        from iclviz.ui.saving_comparison import comparison_buttons

        comparison_buttons({key: iclviz.load(key) for key in keys})

    keys = [one.key for one in few_and_many]
    yield AppTest.from_function(script, args=(keys,), default_timeout=60).run()
    for making in _makings().values():
        making.stop()


def made(making):
    """Wait for the end of a making."""
    deadline = time.monotonic() + LONGEST
    while making.is_running:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return making


def test_a_click_makes_the_file_and_offers_it(page, few_and_many):
    page.button[0].click().run()
    assert not page.exception
    assert [button.label for button in page.button] == ["Save a report (HTML)", "Stop"]
    making = made(next(iter(_makings().values())))
    assert making.problem == ""
    page.run()
    assert [button.label for button in page.get("download_button")] == ["Download the ZIP file"]
    names = zipfile.ZipFile(io.BytesIO(making.file.read_bytes())).namelist()
    assert {f"{few_and_many[0].key}/manifest.json", "rebuild.py", "README.txt", "methods.bib"} <= set(names)


def test_what_the_file_shows_is_computed_while_the_page_is_read(page, few_and_many, tmp_path, monkeypatch):
    asked = Asked(Store())
    monkeypatch.setattr("iclviz.ui.saving_comparison.prepare", lambda question: asked.submit(question, question.digest))
    page.run()
    assert not asked.jobs()  # nobody has read yet
    monkeypatch.setattr("iclviz.ui.saving_comparison.READ_SECONDS", 0.0)
    page.run()
    analyst = Analyst(asked)
    while analyst.answer_next():
        pass
    computed = []
    answered = Question.answered
    monkeypatch.setattr(Question, "answered", lambda own, runs: computed.append(own.digest) or answered(own, runs))
    export([one.key for one in few_and_many], tmp_path / "out")
    assert computed == []


def test_its_progress_counts_figures(few_and_many):
    making = made(Making([few_and_many[0].key]))
    assert making.progress == (1.0, "Drawing figures: 10 of 10 …")


def test_stopping_leaves_nothing_and_offers_the_button_again(page):
    page.button[0].click().run()
    making = next(iter(_makings().values()))
    pressed = next(button for button in page.button if button.label == "Stop")
    pressed.click().run()
    assert not making.is_running
    assert [button.label for button in page.button] == ["Save this comparison (ZIP)", "Save a report (HTML)"]
    assert not making.file.exists()


def test_what_went_wrong_is_said_in_a_sentence(few_and_many):
    making = made(Making(["no-such-key"]))
    assert "no recording 'no-such-key'" in making.problem
    assert "Traceback" not in making.problem


def test_it_ends_with_the_process_that_asked_for_it(few_and_many):
    making = Making([few_and_many[0].key])
    making._process.stdin.close()
    made(making)
    assert not making.file.exists()


def test_its_folder_goes_with_it(few_and_many):
    making = made(Making([few_and_many[0].key]))
    folder = making.file.parent
    assert folder.is_dir()
    del making
    assert not folder.exists()


def test_a_report_is_made_in_the_same_way(page):
    next(button for button in page.button if button.label == "Save a report (HTML)").click().run()
    (making,) = (made(one) for one in _makings().values())
    assert making.problem == ""
    assert making.file.read_text().startswith("<!doctype html>")
    page.run()
    assert [button.label for button in page.get("download_button")] == ["Download the report"]
    assert [button.label for button in page.button] == ["Save this comparison (ZIP)"]


def test_without_recordings_there_is_no_button():
    def script():
        from iclviz.ui.saving_comparison import comparison_buttons

        comparison_buttons({})

    assert not AppTest.from_function(script, default_timeout=60).run().button
