import pytest

from iclviz import extensions
from iclviz.errors import UserError
from iclviz.ui.link_fields import CONDITIONS, SHARED, defaults, fields
from iclviz.ui.page_files import pages


def page(folder, name, fields_text):
    (folder / "pages").mkdir(exist_ok=True)
    (folder / "pages" / f"{name}.py").write_text(
        f'PAGE = {{"title": "{name}", "icon": "bolt", "section": "why", "order": 1, "question": "Why?", '
        f'"fields": {fields_text}}}\n'
    )


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.setenv(extensions.SETTING, str(tmp_path))
    return tmp_path


def test_every_field_is_of_the_conditions_or_said_by_a_page():
    named = {name for one in pages() for name in one.fields}
    assert set(fields()) == set(CONDITIONS) | set(SHARED) | named
    assert defaults().keys() == fields().keys()


def test_a_page_has_fields_of_each_kind(own):
    page(own, "mine", '{"dose": 0.5, "far": (3, 0, 9), "shown_so": True, "word": "a", "several": [1]}')
    found = fields()
    assert {name: found[name].default for name in ("dose", "far", "shown_so", "word", "several")} == {
        "dose": 0.5, "far": 3, "shown_so": True, "word": "a", "several": [1]
    }  # fmt: skip
    assert (found["dose"].read("0.25"), found["far"].read("9"), found["shown_so"].read("False")) == (0.25, 9, False)
    assert found["several"].read('[2, "b"]') == [2, "b"]
    for name, text in (("far", "10"), ("dose", "-1"), ("several", "3")):
        with pytest.raises(ValueError, match=r"no|not"):
            found[name].read(text)


def test_pages_may_share_a_field_that_means_the_same(own):
    page(own, "mine", '{"layer": (15, 0, 1000)}')
    assert fields()["layer"].default == 15


@pytest.mark.parametrize("entry", ['{"layer": "first"}', '{"a_model": "another"}'])
def test_two_meanings_of_one_name_are_refused(own, entry):
    page(own, "mine", entry)
    with pytest.raises(UserError, match="means another field by"):
        fields()
