import pytest
from streamlit.testing.v1 import AppTest

from iclviz import extensions
from iclviz.errors import UserError
from iclviz.places import checkout
from iclviz.ui.page_files import SECTIONS, page_named, pages

GOOD = 'PAGE = {"title": "Mine", "icon": "bolt", "section": "why", "order": 1, "question": "Why?"}\n'


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A function: put a file into a folder of pages of one's own."""
    monkeypatch.setenv(extensions.SETTING, str(tmp_path))
    (tmp_path / "pages").mkdir()

    def write(text, name="mine.py"):
        (tmp_path / "pages" / name).write_text(text)

    return write


def test_pages_stand_by_section_and_order():
    found = [(list(SECTIONS).index(page.section), page.order) for page in pages()]
    assert found == sorted(found)
    assert all("?" in page.question for page in pages())


def test_a_page_of_ones_own_is_a_page_and_is_not_run_to_be_found(written):
    written(f"{GOOD}raise RuntimeError('run')\n")
    assert page_named("mine").title == "Mine"
    assert page_named("mine").address == "mine"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = 1\n", "it has no PAGE"),
        ("PAGE = {\n", "never closed"),
        ('PAGE = {"title": "Mine"}\n', "missing"),
        (GOOD.replace('"why"', '"elsewhere"'), "no section 'elsewhere'"),
        (GOOD.replace("1,", "open('x'),"), "malformed"),
        (GOOD.replace('"order"', '"place"'), "unexpected"),
    ],
)
def test_a_page_that_does_not_say_what_it_is_is_refused_in_a_sentence(written, text, reason):
    written(text)
    with pytest.raises(UserError, match=r"The page mine\.py does not say what it is") as refused:
        pages()
    assert reason in str(refused.value)


def test_a_page_whose_file_has_no_python_name_is_refused(written):
    written(GOOD, "my-page.py")
    with pytest.raises(UserError, match=r"The page my-page\.py .*no Python name"):
        pages()


def test_a_table_that_does_not_end_at_the_margin_is_read_all_the_same(written):
    written(GOOD.replace("}", "\n    }"))
    assert page_named("mine").title == "Mine"
    written(f'"""PAGE = {{\n}}"""\n{GOOD}')
    assert page_named("mine").title == "Mine"


def test_a_changed_file_is_read_again(written):
    written(GOOD)
    assert page_named("mine").title == "Mine"
    written(GOOD.replace("Mine", "Other name"))
    assert page_named("mine").title == "Other name"


@pytest.mark.parametrize(
    ("text", "name"),
    [(GOOD.replace("Mine", "Summary"), "mine.py"), (GOOD, "summary.py")],
    ids=["title", "file name"],
)
def test_a_page_called_as_another_is_refused_with_both_files(written, text, name):
    written(text, name)
    with pytest.raises(UserError, match=rf"Two pages are called .*pages/summary\.py and .*pages/{name}"):
        pages()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GOOD.replace('"bolt"', '"no such icon"'), "no such icon"),
        (GOOD.replace('"Why?"', '"Why?", "fields": [1]'), "fields are no table"),
    ],
    ids=["icon", "fields"],
)
def test_an_icon_and_fields_have_to_be_such(written, text, reason):
    written(text)
    with pytest.raises(UserError, match=reason):
        pages()


def test_the_table_of_a_page_may_have_its_type_beside_it(written):
    written(GOOD.replace("PAGE =", "PAGE: dict ="))
    assert page_named("mine").title == "Mine"


def test_the_dashboard_says_in_a_sentence_which_page_is_at_fault(written):
    written("import streamlit\n")
    test = AppTest.from_file(str(checkout() / "app.py")).run()
    assert not test.exception
    assert "The page mine.py does not say what it is (it has no PAGE)" in test.error[0].value
