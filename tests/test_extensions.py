import pytest

from iclviz import extensions
from iclviz.errors import UserError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(extensions.SETTING, str(tmp_path))
    (tmp_path / "analysis").mkdir()
    return tmp_path


def test_modules_are_those_of_the_package_and_those_of_ones_own(folder):
    before = [one.__name__ for one in extensions.modules("iclviz.analysis")]
    (folder / "analysis" / "mine.py").write_text("VALUE = 3\n")
    (folder / "analysis" / "_helper.py").write_text("raise ValueError\n")
    *known, mine = extensions.modules("iclviz.analysis")
    assert [one.__name__ for one in known] == before
    assert mine.VALUE == 3
    assert extensions.modules("iclviz.analysis")[-1] is mine


def test_a_file_that_no_module_can_be_called_after_is_told_with_a_name_that_fits(folder):
    (folder / "analysis" / "My-file 2.py").write_text("VALUE = 3\n")
    with pytest.raises(UserError, match=r"'My-file 2' is no Python name. Call it my_file_2.py."):
        extensions.modules("iclviz.analysis")


def test_a_file_that_changed_is_run_anew(folder):
    path = folder / "analysis" / "mine.py"
    path.write_text("VALUE = 3\n")
    assert extensions.module(path).VALUE == 3
    path.write_text("VALUE = 4\n")
    assert extensions.module(path).VALUE == 4


def test_a_file_that_cannot_be_run_is_named(folder):
    (folder / "analysis" / "broken.py").write_text("import nothing_of_this_name\n")
    with pytest.raises(UserError, match=r"The extension broken.py in .* cannot be run \(ModuleNotFoundError"):
        extensions.modules("iclviz.analysis")


def test_folders_are_named_as_in_a_path(tmp_path, monkeypatch):
    monkeypatch.setenv(extensions.SETTING, f"{tmp_path / 'a'}:{tmp_path / 'b'}: :{tmp_path / 'a'}")
    assert extensions.folders() == (tmp_path / "a", tmp_path / "b")
    monkeypatch.delenv(extensions.SETTING)
    assert extensions.folders() == ()
