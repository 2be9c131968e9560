import shlex
import subprocess
from dataclasses import fields

import plotly.graph_objects as go
import pytest
from typer.main import get_command
from typer.testing import CliRunner

import iclviz
from iclviz import analysis, figures
from iclviz.analysis.measure import Measuring
from iclviz.cli import app
from iclviz.models.presets import DEMO_MODEL
from iclviz.reporting.recipes import Recipe
from iclviz.reporting.snippets import command_line, command_lines, flag, loading, program, python
from iclviz.resolve import resolve
from iclviz.spec import Demonstrations, RunSpec


@pytest.fixture
def specs(tiny_model):
    model, options = str(tiny_model), {"distractor": True, "number_format": "plain", "slopes": [1, 2, 3, 4]}
    resolve(RunSpec(model, "linear_regression"))  # as a page does that shows them, so that its folder is known
    return {
        "A: few": RunSpec(model, "linear_regression", Demonstrations("correct", 2), 16, task_options=options),
        "B: shuffled": RunSpec(model, "linear_regression", Demonstrations("shuffled", 4, 3), 16, 1, options),
        "C: none": RunSpec(model, "linear_regression", Demonstrations("none", 0), 16, poolings=("last", "query_mean")),
        "D: own": RunSpec(
            model, "linear_regression", Demonstrations("custom", 2, 0, ("x = 1, y = 2", "it's $x = 3$\n")), 16,
            prompt_style="plain", max_new_tokens=3, dtype="float32",
        ),
        "E: by token": RunSpec(
            model, "linear_regression", Demonstrations("correct", 2), 16, task_options=options, attention_items=(3, 0)
        ),
        "F: reordered": RunSpec(model, "linear_regression", Demonstrations("correct", 3, 1, order=2), 16),
    }  # fmt: skip


@pytest.mark.parametrize("label", ["A: few", "B: shuffled", "C: none", "D: own", "E: by token", "F: reordered"])
def test_the_command_line_records_the_same_run(specs, label):
    (line,) = command_lines([resolve(specs[label]).spec])
    words = shlex.split(line)
    assert words[:2] == [program(), "run"]
    assert CliRunner().invoke(app, words[1:]).exit_code == 0
    assert [entry.key for entry in iclviz.runs()] == [resolve(specs[label]).key]


def test_the_script_draws_the_same_figure(specs, monkeypatch):
    chosen = {label: specs[label] for label in ("A: few", "B: shuffled")}
    shown = []
    monkeypatch.setattr(go.Figure, "show", lambda figure: shown.append(figure))
    how = Measuring(hypothesis="same_line", own={"method": "pearson"})
    each = {label: (label,) for label in chosen}
    given = {"measure": "alignment", "measuring": how}
    recipe = Recipe(analysis.measured, each, "alignment_by_layer", given, {"hypothesis": "Same line"})
    runs = {label: iclviz.run_spec(spec) for label, spec in chosen.items()}
    exec(python(loading(runs), f"{recipe.python()}figure.show()"), {})
    tests = {label: analysis.recording_alignment(one, "same_line", method="pearson") for label, one in runs.items()}
    assert figures.table(shown[0]) == figures.table(figures.alignment_by_layer(tests, hypothesis="Same line"))


def test_what_model_and_task_fill_in_themselves_is_not_said(specs):
    (line,) = command_lines([resolve(specs["C: none"].with_(n_items=64, poolings=None)).spec])
    words = shlex.split(line)
    assert words == [program(), "run", "--model", words[3], "--task", "linear_regression", "--k", "0"]


def test_the_demo_model_is_the_one_that_is_meant():
    assert "--model" not in command_line(RunSpec(DEMO_MODEL, "linear_regression"))


def said_by_the_shell(line):
    """The words with which a line of the shell starts iclviz, each time."""
    saying = f"said() {{ printf '%s\\n' \"$@\" ''; }}; {line.replace(program(), 'said')}"
    ended = subprocess.run(["sh", "-c", saying], check=True, capture_output=True, text=True)
    return [words.split("\n") for words in ended.stdout.removesuffix("\n\n").split("\n\n")]


def test_runs_that_differ_in_their_seed_alone_are_one_line(specs):
    several = [specs["A: few"].with_(demonstrations=Demonstrations("correct", 2, seed)) for seed in (0, 3)]
    one, other = command_lines([*several, specs["B: shuffled"]])
    assert other.endswith("--demo-seed 3 --n-items 16 --seed 1 --task-option distractor=true")
    assert one.startswith(f"for seed in 0 3; do {program()} run ")
    for words in said_by_the_shell(one):
        assert CliRunner().invoke(app, words).exit_code == 0
    assert {entry.key for entry in iclviz.runs()} == {resolve(spec).key for spec in several}


def test_every_field_of_a_spec_has_its_flag():
    flags = {name for parameter in get_command(app).commands["run"].params for name in parameter.opts}
    spec = RunSpec("m", "linear_regression", poolings=("last",))
    for field in fields(RunSpec):
        if field.name != "demonstrations":
            assert flag(field.name, getattr(spec, field.name)) in flags
