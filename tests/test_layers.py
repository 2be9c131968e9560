"""The layers of `pyproject.toml`: every module has one, and a module that has none, or looks upwards, is named."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from iclviz.places import checkout


@pytest.fixture
def copied(tmp_path):
    """A copy of the package with its contracts."""
    root = checkout()
    shutil.copytree(root / "iclviz", tmp_path / "iclviz", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "pyproject.toml", tmp_path)
    return tmp_path


def linted(folder):
    """Whether every contract is kept, and what was said."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return ended.returncode == 0, ended.stdout


def test_every_module_has_a_layer(copied):
    kept, said = linted(copied)
    assert kept, said


def test_a_new_module_without_a_layer_is_named(copied):
    (copied / "iclviz" / "idea.py").write_text('"""A new idea."""\n')
    kept, said = linted(copied)
    assert not kept
    assert "idea" in said


def test_a_module_that_looks_upwards_is_named(copied):
    with (copied / "iclviz" / "spans.py").open("a") as file:
        file.write("\nfrom iclviz import store  # noqa\n")
    kept, said = linted(copied)
    assert not kept
    assert "iclviz.spans -> iclviz.store" in said
