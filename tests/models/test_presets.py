import os
import subprocess
import sys

import pytest

from iclviz import extensions
from iclviz.errors import UserError
from iclviz.models.locating import locate
from iclviz.models.presets import model_title, preset, presets, problems
from iclviz.resolve import resolve
from iclviz.spec import RunSpec

MINE = """from iclviz.models.presets import Preset

PRESET = Preset("mine", "My Model", {source!r}, 0.1, "chat", "MIT", dtype="float16")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(extensions.SETTING, str(tmp_path))
    (tmp_path / "presets").mkdir()
    return tmp_path / "presets"


def command_line(*words):
    return subprocess.run([sys.executable, "-m", "iclviz", *words], capture_output=True, text=True, env=os.environ)


def test_a_file_of_ones_own_is_a_preset_everywhere(folder, tiny_model):
    assert "mine" not in presets()
    (folder / "mine.py").write_text(MINE.format(source=str(tiny_model)))
    assert preset("mine").dtype == "float16"
    assert model_title("mine") == "My Model"
    assert locate("mine").path == tiny_model
    resolved = resolve(RunSpec("mine", "linear_regression"))
    assert (resolved.spec.model, resolved.spec.prompt_style) == ("mine", "chat")
    assert "mine" in command_line("models").stdout
    (folder / "mine.py").unlink()
    assert "mine" not in presets()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("import nothing_of_this_name\n", "cannot be run (ModuleNotFoundError"),
        ("NAME = 3\n", "cannot be run (TypeError: it has no PRESET = Preset(...))"),
        (MINE.format(source="org/model").replace('"chat"', '"chatty"'), "its prompt_style is 'chatty'; known: plain"),
        (MINE.format(source="org/model").replace('"float16"', '"fp16"'), "its dtype is 'fp16'; known: float32"),
        (MINE.format(source="org/model").replace('"mine"', '"qwen3-8b"'), "is called qwen3-8b, as another is"),
    ],
)
def test_a_file_at_fault_is_one_sentence_and_the_others_stay(folder, content, said):
    (folder / "broken.py").write_text(content)
    (folder / "mine.py").write_text(MINE.format(source="org/model"))
    assert {"mine", "qwen3-8b"} <= presets().keys()
    assert said in str(problems()["broken"])
    for ask in (preset, locate):
        with pytest.raises(UserError) as refusal:
            ask("broken")
        assert said in str(refusal.value)


def test_the_command_line_lists_what_is_right_and_names_what_is_not(folder):
    (folder / "broken.py").write_text("1 / 0\n")
    listed = command_line("models")
    assert listed.returncode == 0
    assert "qwen3-8b" in listed.stdout
    assert "not a preset: The extension broken.py" in listed.stdout


def test_a_preset_whose_folder_is_gone_says_so(folder, tmp_path):
    (folder / "mine.py").write_text(MINE.format(source=str(tmp_path / "gone")))
    with pytest.raises(UserError, match=r"There is no folder .*gone, where mine should lie"):
        locate("mine")
