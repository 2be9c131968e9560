"""Every example of the page on extending is put into a folder, and looked for everywhere it has to be."""

import io
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

import iclviz
from iclviz import analysis, extensions
from iclviz.analysis.measures import all_measures
from iclviz.cli import app
from iclviz.jobs.executors import SETTING, executor
from iclviz.jobs.queue import Queue
from iclviz.mapping import ready_maps
from iclviz.models.presets import preset
from iclviz.places import checkout
from iclviz.primary import primary_measuring
from iclviz.questions.codec import encode
from iclviz.reporting.bundles import import_bundle
from iclviz.reporting.export import export
from iclviz.reporting.methods import methods
from iclviz.resolve import build, resolve
from iclviz.spec import Demonstrations, RunSpec
from iclviz.store import Store
from iclviz.tasks import ReadAnswers, task
from iclviz.ui.link_fields import defaults
from iclviz.ui.page_files import page_named, pages
from tests.pages.conftest import (
    TIMEOUT,
    answers_at_once,
    charts,
    chosen,
    looked_further,
    navigation_from_the_start,
    nobody,
    opened,
    pressed,
    record,
    said,
    widget,
)

__all__ = ["answers_at_once", "chosen", "navigation_from_the_start", "nobody"]

PAGE = (checkout() / "docs" / "extending.md").read_text()
EXAMPLES = dict(re.findall(r'^```python title="([^"]+)"\n(.*?)^```$', PAGE, flags=re.MULTILINE | re.DOTALL))
MEASURE, RECORDER = "measures/state_norm.py", "recorders/last_state_norm.py"
TITLE = "Log norm of the state"
CITED = "heimersheim2023residual"


@pytest.fixture
def add(tmp_path, monkeypatch):
    """A function: put an example of the page into a folder of one's own; the folder."""
    folder = tmp_path / "own"
    monkeypatch.setenv(extensions.SETTING, str(folder))
    monkeypatch.setenv("BROWSER_PATH", "")

    def put(name):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(EXAMPLES[name])
        return folder

    return put


def command_line(*words):
    ended = CliRunner().invoke(app, words)
    assert ended.exit_code == 0, ended.output
    return ended.stdout


def asked(model, record=()):
    return RunSpec(str(model), "linear_regression", Demonstrations("correct", 2), 6, record=record)


def test_there_is_an_example_of_everything_that_a_folder_may_hold():
    kinds = set(re.findall(r"^\| \[.*\]\(#.*\) \| `(\w+)/NAME\.py`", PAGE, flags=re.MULTILINE))
    assert {name.partition("/")[0] for name in EXAMPLES} == kinds
    folders = {"measures", "recorders", "interventions", "grids", "tracers", "pages", "tasks", "presets", "executors"}
    assert kinds == folders


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_packages_of_examples_are_where_the_page_says(name):
    for place in re.findall(r"\]\(\.\./([^)#]+)\)", PAGE):
        assert (checkout() / place).exists(), place
    assert EXAMPLES[name].startswith('"""')


# A measure


def test_a_measure_can_be_asked_for_in_python(add, few_and_many):
    add(MEASURE)
    first, second = few_and_many
    found = analysis.measured(first, "state_norm")
    known = np.log(np.linalg.norm(first.embeddings["query_mean"].astype(np.float64), axis=2)).mean(axis=0)
    np.testing.assert_allclose(found.estimate, known)
    assert (found.low < found.estimate).all()
    change = analysis.measured_change(analysis.compare(first, second), "state_norm")
    assert change.estimate[0] == 0
    assert np.isfinite(change.estimate).all()


def test_a_measure_is_on_its_page_with_its_change_and_with_right_and_wrong_items(add, chosen):
    record(chosen)
    add(MEASURE)
    test = opened("rsa", {**chosen, "shown": "state_norm"})
    assert not test.exception
    assert not test.error
    assert TITLE in widget(test.segmented_control, "Measure").options
    assert "figure-state-norm-by-layer" in [one.key for one in charts(test)]
    n_shown = len(charts(test))
    for section in ("B minus A", "Right against wrong"):
        assert len(charts(looked_further(test, section))) > n_shown or "right or wrong" in said(test)


def test_a_measure_is_on_compare_and_among_the_exploratory_ones_of_the_summary(add, chosen):
    record(chosen)
    without = len(charts(opened("compare", chosen)))
    add(MEASURE)
    compared = opened("compare", chosen)
    assert not compared.exception
    assert len(charts(compared)) == without + 1
    assert any(one.key.endswith("state-norm") for one in charts(compared))
    summary = opened("summary", chosen)
    changes = widget(summary.segmented_control, "Change of")
    assert TITLE in changes.options
    changes.set_value("state_norm").run()
    assert not summary.exception
    assert any(TITLE.lower() in one.proto.spec for one in charts(summary))


def test_a_measure_is_in_an_export_and_its_script_draws_it_again(add, few_and_many, tmp_path):
    add(MEASURE)
    bundle = export([one.key for one in few_and_many], tmp_path / "bundle")
    exported = pd.read_csv(bundle / "figures" / "linear_regression" / "state-norm-by-layer.csv")
    assert set(exported["series"]) == {"correct, k = 2, seed 0", "correct, k = 4, seed 0"}
    assert f"[@{CITED}]" in (bundle / "methods.md").read_text()
    assert f"@misc{{{CITED}," in (bundle / "methods.bib").read_text()
    assert (bundle / "extensions" / MEASURE).read_text() == EXAMPLES[MEASURE]
    elsewhere = {**os.environ, "ICLVIZ_CACHE": str(tmp_path / "another")}
    del elsewhere[extensions.SETTING]
    subprocess.run(
        [sys.executable, str(bundle / "rebuild.py"), str(tmp_path / "again")], check=True, env=elsewhere, cwd=tmp_path
    )
    rebuilt = pd.read_csv(tmp_path / "again" / "linear_regression" / "state-norm-by-layer.csv")
    pd.testing.assert_frame_equal(rebuilt, exported)


def test_a_measure_is_printed_on_the_command_line(add, few_and_many):
    add(MEASURE)
    assert re.search(r"^state_norm +log norm of the state +pooling", command_line("measure"), flags=re.MULTILINE)
    printed = pd.read_csv(io.StringIO(command_line("measure", "state_norm", few_and_many[0].key)))
    known = analysis.measured(few_and_many[0], "state_norm")
    np.testing.assert_allclose(printed["estimate"], known.estimate)


def test_a_measure_changes_no_headline(add, few_and_many):
    comparison = analysis.compare(*few_and_many)
    how, of = primary_measuring(task("linear_regression"), few_and_many[0]), task("linear_regression")
    before = encode(analysis.headline(comparison, of.primary.score, how, of.contrast))
    add(MEASURE)
    assert "state_norm" in all_measures()
    assert encode(analysis.headline(comparison, of.primary.score, how, of.contrast)) == before
    assert methods(few_and_many).markdown.count("log norm") == 0


# A recorder


def test_a_recorder_is_chosen_on_the_run_page_and_kept_in_the_job(add, chosen, nobody):
    add(RECORDER)
    test = opened("run", chosen)
    control = widget(test.multiselect, "Record as well")
    assert "Norm of the last state" in control.options
    pressed(control.set_value(["last_state_norm"]).run(), "Run both")
    assert not test.exception
    assert [spec.record for runs in nobody.asked for spec in runs.values()] == [("last_state_norm",)] * 2


def test_a_recorder_leaves_its_array_in_a_run_and_its_files(add, tiny_model):
    add(RECORDER)
    plain, kept = iclviz.sweep([asked(tiny_model), asked(tiny_model, ("last_state_norm",))])
    known = np.linalg.norm(kept.embeddings["last"].astype(np.float64), axis=2)
    np.testing.assert_allclose(kept.last_state_norm, known, rtol=2**-11)  # embeddings are kept as float16
    assert (Store().place(kept.key) / "recorded.last_state_norm.safetensors").is_file()
    assert plain.key != kept.key
    assert not plain.recorded


def test_a_recorder_needs_not_be_there_where_a_recording_is_imported(add, tiny_model, tmp_path, monkeypatch):
    add(RECORDER)
    kept = iclviz.run_spec(asked(tiny_model, ("last_state_norm",)))
    export([kept.key], tmp_path / "bundle")
    monkeypatch.delenv(extensions.SETTING)
    other = Store(tmp_path / "other")
    assert import_bundle(other, tmp_path / "bundle").new == (kept.key,)
    np.testing.assert_array_equal(other.load(kept.key).last_state_norm, kept.last_state_norm)


# A page


def dashboard(**link):
    test = AppTest.from_file(str(checkout() / "app.py"), default_timeout=TIMEOUT)
    test.query_params.update(link)
    return test.run()


def test_a_page_is_in_the_navigation_and_has_its_fields_in_links(add, chosen):
    folder = add("pages/one_measure.py")
    page = page_named("one_measure")
    assert (page.section, page.path) == ("inside", folder / "pages" / "one_measure.py")
    assert [one.title for one in pages() if one.section == "inside"][-1] == "One measure"
    assert defaults()["one_measure"] == "alignment"
    test = dashboard(one_measure="probe")
    assert not test.exception
    assert test.session_state["choices"]["one_measure"] == "probe"


def test_a_page_shows_what_its_link_asks_for(add, chosen):
    record(chosen)
    folder = add("pages/one_measure.py")
    add(MEASURE)
    test = AppTest.from_file(str(folder / "pages" / "one_measure.py"), default_timeout=TIMEOUT)
    test.session_state["choices"] = {**defaults(), **chosen, "one_measure": "state_norm"}
    test.run()
    assert not test.exception
    assert not test.error
    assert widget(test.selectbox, "Measure").value == "state_norm"
    assert [one.key.split("-")[1] for one in charts(test)] == ["state", "change"]


# A task


def test_a_task_is_listed_offered_and_run(add, tiny_model):
    add("tasks/sums.py")
    assert re.search(r"^sums +Sums ", command_line("tasks"), flags=re.MULTILINE)
    assert "Sums" in widget(dashboard().selectbox, "Task").options
    runs = [iclviz.run(str(tiny_model), "sums", Demonstrations(kind, 3), 40) for kind in ("correct", "random")]
    assert runs[0].prompts[0].endswith(f"{runs[0].item_ids[0]}")
    change = analysis.measured_change(analysis.compare(*runs), "probe")
    assert np.isfinite(change.estimate).any()
    assert "The task was sums (version 1" in methods(runs).markdown


def test_a_task_asks_no_sum_that_it_shows_and_reads_right_answers_as_right(add, tiny_model):
    add("tasks/sums.py")
    of = task("sums")
    for kind in ("correct", "random"):
        few, more = (
            build(resolve(RunSpec(str(tiny_model), "sums", Demonstrations(kind, k), 24))).prompts for k in (3, 4)
        )
        for fewer, prompt in zip(few, more, strict=True):
            shown = [one.text for one in prompt.segments if one.role == "demonstration"]
            assert [one.text for one in fewer.segments if one.role == "demonstration"] == shown[:3]
            assert not any(prompt.query[-1].text in text for text in shown)
    data = of.data(24, 0, {})
    parsed = [of.parse(item.candidates[0]).value for item in data.items]
    answers = ReadAnswers(parsed, [None, *parsed[1:]], np.full((24, 1), -1.0))
    scores = of.score(data, answers, Demonstrations("none", 0), {})
    assert scores["right"].tolist() == [0.0] + [1.0] * 23
    names = [*data.labels, *data.hypotheses, *data.covariates, *scores]
    assert set(names) == set(of.titles)


# A model preset


def test_a_preset_is_listed_and_run_by_its_name(add, tiny_model):
    folder = add("presets/mine.py")
    shutil.copytree(tiny_model, folder / "my-model")
    assert re.search(r"^my-model .* yes *$", command_line("models"), flags=re.MULTILINE)
    assert preset("my-model").folder == folder / "my-model"
    resolved = resolve(RunSpec("my-model", "linear_regression"))
    assert (resolved.spec.prompt_style, resolved.located.path) == ("plain", folder / "my-model")
    assert resolved.origin.model == resolve(RunSpec(str(tiny_model), "linear_regression")).origin.model


# An executor


def test_an_executor_computes_and_its_lines_compute_the_same(add, tiny_model, monkeypatch):
    add("executors/noting.py")
    monkeypatch.setenv(SETTING, "noting")
    queue = Queue(Store())
    assert executor(queue).where == "in the process that asks, and noted as shell lines"
    run = resolve(asked(tiny_model))
    executor(queue).submit({run.key: run.spec})
    assert run.key in queue.store
    (line,) = (queue.store.folder / "commands" / "all.sh").read_text().splitlines()
    monkeypatch.delenv(SETTING)
    queue.store.delete(run.key)
    command_line(*line.split()[1:])
    assert run.key in Store()


def test_a_map_is_made_shown_and_in_an_export(add, tiny_model, tmp_path):
    add("grids/blocks_off.py")
    run = iclviz.run(str(tiny_model), "reading_comprehension", Demonstrations("correct", 1), 16)
    made = iclviz.effect_map(run, "blocks_off most=2")
    assert made.axes[0].values == (1, 2)
    assert ready_maps()["Blocks off"] == "blocks_off"
    effects = analysis.effect_of_sites((made, run))
    assert effects.estimate.shape == (2, 3)
    assert "added nothing" in methods([run], maps=[made]).markdown
    export([run.key], tmp_path / "out")
    (folder,) = (tmp_path / "out" / "figures").iterdir()
    assert (folder / "effect-map-blocks-off.csv").is_file()
    assert (tmp_path / "out" / made.key / "map.json").is_file()


def test_a_trace_is_made_kept_and_in_an_export(add, tiny_model, tmp_path):
    add("tracers/gradient_norm.py")
    run = iclviz.run(str(tiny_model), "reading_comprehension", Demonstrations("correct", 1), 6)
    made = iclviz.trace(run, "gradient_norm")
    assert made.arrays["norm"].shape == (6, 3)
    assert (made.arrays["norm"] > 0).all()
    assert "followed back to the last prompt token's states" in methods([run], maps=[made]).markdown
    export([run.key], tmp_path / "out")
    assert (tmp_path / "out" / made.key / "map.json").is_file()


def test_an_intervention_can_be_typed_and_is_in_the_methods(add, tiny_model):
    add("interventions/louder.py")
    runs = [
        iclviz.run(str(tiny_model), "reading_comprehension", Demonstrations("correct", 1), 8, interventions=done)
        for done in ((), "louder times=2 heads=0 layers=2", "louder times=1")
    ]
    last = [one.embeddings["last"] for one in runs]
    assert not np.array_equal(last[0], last[1])
    np.testing.assert_array_equal(last[0], last[2])
    assert (runs[1].array("changed_places") == runs[1].array("acted_places")).all()
    assert not runs[2].array("changed_places").any()
    told = methods(runs[:2]).markdown
    assert "with the output of head 0 of block 2 multiplied by 2 at the last prompt token" in told
