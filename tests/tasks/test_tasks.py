import os
import subprocess
import sys

import pytest

from iclviz import extensions
from iclviz.errors import UserError
from iclviz.resolve import build, resolve
from iclviz.spec import Demonstrations, RunSpec
from iclviz.tasks import all_tasks, problems, task, tasks

MINE = """from iclviz.tasks.linear_regression import LinearRegression


class Mine(LinearRegression):
    name = "mine"
    title = "My lines"
    version = 7
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(extensions.SETTING, str(tmp_path))
    (tmp_path / "tasks").mkdir()
    return tmp_path / "tasks"


def test_a_file_of_ones_own_is_a_task_everywhere(folder, tiny_model):
    assert "mine" not in tasks()
    (folder / "mine.py").write_text(MINE)
    assert list(tasks()) == sorted(tasks())
    assert task("mine") is task("mine")
    assert all_tasks().titles()["mine"] == "My lines"
    resolved = resolve(RunSpec(str(tiny_model), "mine", Demonstrations("correct", 2), 8))
    assert (resolved.origin.task, resolved.origin.versions["task"]) == ("mine", 7)
    assert len(build(resolved).prompts) == 8
    listed = subprocess.run([sys.executable, "-m", "iclviz", "tasks"], capture_output=True, text=True, env=os.environ)
    assert "My lines" in listed.stdout


def test_a_file_that_changed_is_the_task_that_it_says_now(folder):
    (folder / "mine.py").write_text(MINE)
    assert task("mine").version == 7
    (folder / "mine.py").write_text(MINE.replace("7", "8"))
    assert task("mine").version == 8
    (folder / "mine.py").unlink()
    with pytest.raises(UserError, match="Unknown task 'mine'"):
        task("mine")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("import nothing_of_this_name\n", "cannot be run (ModuleNotFoundError"),
        ("VALUE = 3\n", "holds nothing of its kind"),
        (MINE.replace('"mine"', '"linear_regression"'), "is called linear_regression, as another is"),
        (
            "from iclviz.tasks import Task\n\n\nclass Half(Task):\n    name = 'half'\n",
            "cannot be run (TypeError: Half does not say its title)",
        ),
    ],
)
def test_a_file_at_fault_is_one_sentence_and_the_others_stay(folder, content, said):
    (folder / "broken.py").write_text(content)
    (folder / "mine.py").write_text(MINE)
    assert {"mine", "linear_regression"} <= tasks().keys()
    assert said in str(problems()["broken"])
    with pytest.raises(UserError) as refusal:
        task("broken")
    assert said in str(refusal.value)
