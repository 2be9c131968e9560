import json
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import typer

from iclviz import analysis
from iclviz.analysis.measure import Measuring
from iclviz.cli import STOPPED, app, main

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
SMALL = ["--task", "reading_comprehension", "--k", "1", "--n-items", "6"]


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


def iclviz(*arguments, **environment):
    """The command line in this process, which has imported what each process of its own would wait for."""
    out, error, status = StringIO(), StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(error):
        patch.setattr(sys, "argv", ["iclviz", *arguments])
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            main()
        except SystemExit as ended:
            status = ended.code or 0
    return Ended(status, out.getvalue(), error.getvalue())


def test_it_runs_as_a_process_too():
    command = [sys.executable, "-m", "iclviz", "runs"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "no runs yet" in ended.stdout


def test_a_run_prints_its_key_and_where_to_look_and_is_listed_and_exported(tiny_model, tmp_path):
    made = iclviz("run", "--model", str(tiny_model), *SMALL)
    assert made.returncode == 0, made.stderr
    key = made.stdout.split()[1]
    assert f"recordings/{key}" in made.stdout
    listed = json.loads(iclviz("runs", "--json").stdout)
    assert listed["key"] == key
    assert key[:12] in iclviz("runs").stdout
    exported = iclviz("export", key[:10], "--to", str(tmp_path / "out"), BROWSER_PATH="")
    assert exported.returncode == 0, exported.stderr
    assert (tmp_path / "out" / key / "recording.json").exists()
    assert iclviz("delete", key).returncode == 0
    assert "no runs yet" in iclviz("runs").stdout


@pytest.fixture
def study_file(tiny_model, tmp_path):
    """A small study as a file."""
    content = {
        "study": "small",
        "models": [str(tiny_model)],
        "tasks": {"reading": {"task": "reading_comprehension", "n_items": 6}},
        "conditions": {"none": {"kind": "none"}, "correct": {"kind": "correct", "k": 1}},
        "measures": ["alignment"],
    }
    path = tmp_path / "small.yaml"
    path.write_text(json.dumps(content))
    return str(path)


@pytest.mark.usefixtures("soon_measured")
def test_a_dry_run_of_a_study_says_what_it_takes(study_file):
    made = iclviz("study", study_file, "--dry-run")
    assert made.returncode == 0, made.stderr
    assert "runs     2 to do, 0 recorded" in made.stdout
    assert "on this machine" in made.stdout
    values = json.loads(iclviz("study", study_file, "--dry-run", "--json").stdout)
    assert (values["study"], values["n_missing"]) == ("small", 2)
    assert values["groups"][0]["cost"]["memory"] > 0


def test_a_study_goes_by_its_name_and_is_written_as_it_is(study_file, tmp_path):
    assert "The study 'small' cannot be read" in iclviz("study", "small").stderr
    assert iclviz("study", study_file, "--no-run").returncode == 0
    to = tmp_path / "small.zip"
    made = iclviz("study", "small", "--no-run", "--to", str(to), BROWSER_PATH="")
    assert made.returncode == 0, made.stderr
    assert to.is_file()
    assert "– (0/1)" in made.stdout
    assert "no runs yet" in iclviz("runs").stdout
    ran = iclviz("study", "small", "--to", str(to), "--with-recordings", BROWSER_PATH="")
    assert ran.returncode == 0, ran.stderr
    assert "– (0/1)" not in ran.stdout
    assert iclviz("import", str(to)).stdout.count("known") == 2


@pytest.mark.usefixtures("soon_measured")
def test_a_study_is_submitted_to_slurm(study_file, monkeypatch):
    asked = ("study", study_file, "--executor", "slurm", "--gpus-per-job", "0", "--slurm-option", "account=lab")
    made = iclviz(*asked, "--dry-run")
    assert "array    1 job, up to 8 at the same time, each with 0 GPUs for up to 240 minutes" in made.stdout
    assert json.loads(iclviz(*asked, "--dry-run", "--json").stdout)["jobs"] == 1
    assert "sbatch was not found" in iclviz(*asked, PATH="/nowhere").stderr
    monkeypatch.setattr("iclviz.jobs.slurm.submit", lambda elements, *rest: [SimpleNamespace(job_id="4711")])
    made = iclviz(*asked)
    assert "submitted  1 job" in made.stdout
    assert "4711" in made.stdout
    assert iclviz("study", study_file).returncode == 0
    assert "Nothing is left to do." in iclviz(*asked).stdout


def test_a_study_is_computed_by_the_executor_that_is_named(study_file):
    assert "Unknown executor 'moon'" in iclviz("study", study_file, "--executor", "moon").stderr
    assert iclviz("study", study_file, "--executor", "in_process").returncode == 0


@pytest.fixture
def soon_measured(monkeypatch):
    """A machine that is measured in no time."""
    monkeypatch.setattr("iclviz.planning.devices.ROUNDS", 1)


@pytest.mark.usefixtures("soon_measured")
def test_a_plan_says_what_a_run_takes_and_where_it_fits(tiny_model):
    asked = ("plan", "--model", str(tiny_model), *SMALL, "--map", "heads", "--device", "H100")
    made = iclviz(*asked)
    assert made.returncode == 0, made.stderr
    assert [line.split()[0] for line in made.stdout.splitlines()[:6]] == [
        "model", "reads", "memory", "disk", "time", "map"
    ]  # fmt: skip
    assert "It fits whole on one H100" in made.stdout
    assert "RTX" not in made.stdout
    values = json.loads(iclviz(*asked, "--json").stdout)
    assert values["reading"]["n_prompts"] == 6
    assert values["map"]["rows"] > values["map"]["sites"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "meta-llama/Llama-2-70b-hf"), "meta-llama/Llama-2-70b-hf is not on disk"),
        (("--model", "MODEL", "--device", "abacus"), "Unknown device 'abacus'"),
        (("--model", "MODEL", "--map", "abacus"), "abacus"),
    ],
)
def test_what_cannot_be_planned_is_one_sentence(tiny_model, monkeypatch, arguments, said):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    ended = iclviz("plan", *(str(tiny_model) if one == "MODEL" else one for one in arguments))
    assert ended.returncode == 1
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_task_file_runs_is_listed_and_goes_with_its_export(tiny_model, tmp_path):
    example = EXAMPLES / "own_task.csv"
    made = iclviz("run", "--model", str(tiny_model), "--task", str(example), "--k", "1", "--n-items", "16")
    assert made.returncode == 0, made.stderr
    name = json.loads(iclviz("runs", "--json").stdout)["spec"]["task"]
    listed = iclviz("tasks").stdout
    assert name in listed
    assert "linear_regression" in listed
    exported = iclviz("export", made.stdout.split()[1], "--to", str(tmp_path / "out"), BROWSER_PATH="")
    assert exported.returncode == 0, exported.stderr
    again = iclviz("run", "--model", str(tiny_model), "--task", str(tmp_path / "out" / "tasks" / f"{name}.json"),
                   "--k", "1", "--n-items", "16")  # fmt: skip
    assert again.stdout.split()[1] == made.stdout.split()[1]


def test_the_sweep_of_the_documents_records_every_run_of_its_file(tiny_model, tmp_path):
    file = tmp_path / "sweep.yaml"
    file.write_text(f"model: {json.dumps(str(tiny_model))}\n{(EXAMPLES / 'sweep.yaml').read_text()}")
    made = iclviz("sweep", str(file))
    assert made.returncode == 0, made.stderr
    keys = {json.loads(line)["key"][:12] for line in iclviz("runs", "--json").stdout.splitlines()}
    assert len(keys) == 8
    assert all(key in made.stdout for key in keys)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "--model", "nonsense"], "nonsense"),
        (["run", "--task", "nonsense"], "linear_regression"),
        (["run", "--task", "nonsense.csv"], "no task file 'nonsense.csv'"),
        (["sweep", "nonsense.yaml"], "nonsense.yaml"),
        (["run", "--kind", "nonsense"], "shuffled"),
        (["run", "--n-items", "0"], "n_items >= 2"),
        (["run", "--n-items", "8", "--attention-item", "8"], "Take attention item <= 7"),
        (["run", "--option", "slopes"], "name=value"),
        (["run", "--option", "slopes=[1,1]"], "without repeats"),
        (["export", "abc", "--to", "out"], "no recording"),
        (["delete", "abc"], "no recording"),
        (["dashboard", "--port", "99999"], "99999"),
    ],
)
def test_a_mistake_is_one_sentence_and_a_status(arguments, sentence):
    ended = iclviz(*arguments)
    assert ended.returncode == 1
    assert sentence in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert "Traceback" not in ended.stderr


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    ended = iclviz("runs", ICLVIZ_CACHE=str(tmp_path / "file"))
    assert ended.returncode == 1
    assert "cannot be written" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_empty_place_is_refused(tiny_model):
    ended = iclviz("export", "abc", "--to", " ")
    assert ended.returncode == 1
    assert "--to is empty" in ended.stderr


def interrupted(arguments, is_under_way):
    """What a command says that Ctrl-C ends once it is under way."""
    command = [sys.executable, "-m", "iclviz", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not is_under_way() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    return said


def test_ctrl_c_says_that_what_is_finished_is_kept(tiny_model, own_cache):
    arguments = ["run", "--model", str(tiny_model), *SMALL, "--n-items", "1500"]
    said = interrupted(arguments, lambda: list(own_cache.glob("unfinished/*/plan.json")))
    assert said.strip().splitlines() == ["Stopped. What is finished is kept; the same command goes on from there."]


def test_every_command_says_what_is_true_after_ctrl_c():
    assert set(STOPPED) == set(typer.main.get_command(app).commands)


def test_ctrl_c_during_an_export_says_that_there_is_no_zip_file(few_and_many, tmp_path):
    key = few_and_many[0].key
    arguments = ["export", key, "--to", str(tmp_path / "to" / "out.zip")]
    said = interrupted(arguments, lambda: list(tmp_path.glob("to/.exporting-*/*")))
    assert said.strip() == f"Stopped. {STOPPED['export']}"
    assert not list((tmp_path / "to").iterdir())


def test_paths_are_printed_as_they_are(tiny_model, tmp_path):
    cache = tmp_path / "c[red]x"
    made = iclviz("run", "--model", str(tiny_model), *SMALL, ICLVIZ_CACHE=str(cache))
    assert str(cache) in made.stdout


def test_models_lists_the_presets():
    listed = iclviz("models").stdout
    assert "smollm2-135m-instruct" in listed
    assert "gated" in listed


def test_a_taken_port_is_one_sentence():
    import socket

    with socket.create_server(("localhost", 0)) as server:
        ended = iclviz("dashboard", "--port", str(server.getsockname()[1]))
    assert ended.returncode == 1
    assert "another port with --port" in ended.stderr


def test_the_methods_paragraph_is_printed_in_every_form_and_written(tiny_model, tmp_path):
    key = iclviz("run", "--model", str(tiny_model), *SMALL).stdout.split()[1]
    assert "Yousefi et al. [@yousefi2023incontext]" in iclviz("methods", key).stdout
    assert "\\citep{yousefi2023incontext}" in iclviz("methods", key, "--format", "latex").stdout
    assert iclviz("methods", key, "--format", "bibtex").stdout.startswith("@article{yousefi2023incontext,")
    assert iclviz("methods", key, "--to", str(tmp_path / "paper")).returncode == 0
    assert {path.name for path in (tmp_path / "paper").iterdir()} == {"methods.md", "methods.tex", "methods.bib"}
    refused = iclviz("methods", key, "--format", "word")
    assert refused.returncode != 0
    assert "markdown, latex, bibtex" in refused.stderr


def test_a_measure_is_listed_and_printed_of_one_run_and_of_two(few_and_many):
    a, b = (one.key for one in few_and_many)
    listed = iclviz("measure").stdout
    assert all(name in listed for name in ("alignment", "class_distance", "intrinsic_dimension"))
    of_one = pd.read_csv(StringIO(iclviz("measure", "intrinsic_dimension", b, "--option", "neighbours=5").stdout))
    assert list(of_one) == ["layer", "estimate", "low", "high", "p", "p_corrected"]
    measuring = Measuring(own={"neighbours": 5})
    np.testing.assert_allclose(
        of_one["estimate"], analysis.measured(few_and_many[1], "intrinsic_dimension", measuring).estimate
    )
    change = pd.read_csv(StringIO(iclviz("measure", "attention_ratio", a, b).stdout))
    assert change["block"].tolist() == list(range(1, few_and_many[0].n_layers + 1))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("measure", "gravity"), "0 recordings were named"),
        (("measure", "gravity", "KEY"), "gravity"),
        (("measure", "intrinsic_dimension", "KEY", "--option", "colour=red"), "colour"),
        (("measure", "intrinsic_dimension", "KEY", "--option", "neighbours=many"), "many"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(few_and_many, words, sentence):
    ended = iclviz(*(few_and_many[0].key if word == "KEY" else word for word in words))
    assert ended.returncode == 1
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_order_is_run_and_listed_and_what_orders_do_is_printed_and_exported(tiny_model, tmp_path):
    key = iclviz("run", "--model", str(tiny_model), *SMALL, "--k", "3", "--order", "2").stdout.split()[1]
    (listed,) = iclviz("runs", "--json").stdout.splitlines()
    assert json.loads(listed)["spec"]["demonstrations"]["order"] == 2
    assert "order=2" in "".join(iclviz("runs").stdout.split())
    made = iclviz("map", key[:8], "orders sets=2 orders=2")
    assert made.returncode == 0, made.stderr
    assert "order's share of an item's outcome" in made.stdout
    out = tmp_path / "out"
    assert iclviz("export", key, "--to", str(out), BROWSER_PATH="").returncode == 0
    table = pd.read_csv(out / "figures" / "reading_comprehension" / "order-share-orders-sets-2-orders-2.csv")
    assert sorted(table.series.unique()) == ["as drawn", "mean of the set", "other orders"]
    assert "lu2022fantastically" in (out / "methods.bib").read_text()


def test_maps_and_traces_of_a_run_are_made_listed_and_exported(tiny_model, tmp_path):
    key = iclviz("run", "--model", str(tiny_model), *SMALL).stdout.split()[1]
    for command, typed, words in [
        ("map", "parts", "nats with nothing done"),
        ("trace", "head_catalogue n=5 sequences=2", "Induction"),
        ("trace", "information_flow", "total"),
    ]:
        made = iclviz(command, key[:8], typed)
        assert made.returncode == 0, made.stderr
        assert words in made.stdout
    listed = iclviz("maps")
    assert listed.returncode == 0, listed.stderr
    assert "information_flow" in listed.stdout
    out = tmp_path / "out"
    assert iclviz("export", key, "--to", str(out), BROWSER_PATH="").returncode == 0
    methods = (out / "methods.md").read_text()
    assert "each block's attention and each block's MLP were set to zero" in methods
    assert "olsson2022incontext" in (out / "methods.bib").read_text()
    assert "wang2023label" in (out / "methods.bib").read_text()
    names = {one.stem for one in (out / "figures" / "reading_comprehension").glob("*.csv")}
    assert {"effect-map-parts", "information-flow", "head-scores"} <= names
    wrong = iclviz("trace", key, "nothing")
    assert wrong.returncode != 0
    assert "Unknown trace 'nothing'" in wrong.stderr
