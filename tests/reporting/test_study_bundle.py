import csv
import html
import io
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbclient import NotebookClient

import iclviz
from iclviz.reporting.bundles import import_bundle
from iclviz.reporting.export import export
from iclviz.reporting.report import write_report
from iclviz.reporting.study_bundle import HIDDEN, write_bundle
from iclviz.store import Store
from iclviz.studies import Kept, kept, register, state_of
from iclviz.study import study


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No browser: images have tests of their own."""
    monkeypatch.setenv("BROWSER_PATH", "")


@pytest.fixture(scope="module")
def made(tiny_model, tmp_path_factory):
    """A registered study that has run, and the cache that holds it."""
    folder = tmp_path_factory.mktemp("study") / "cache"
    asked = study(
        {
            "study": "small",
            "models": [str(tiny_model)],
            "tasks": {"reading": {"task": "reading_comprehension", "n_items": 8, "max_new_tokens": 1}},
            "conditions": {"none": {"kind": "none"}, "correct": {"kind": "correct", "k": [1, 2]}},
            "seeds": [0, 1],
            "maps": ["demonstrations windows=0"],
            "measures": ["alignment", "attention_ratio"],
            "primary": {"a": "none", "b": "correct, k = 2"},
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ICLVIZ_CACHE", str(folder))
        register(asked, Store())
        iclviz.run_study(asked, progress=False)
    return SimpleNamespace(asked=asked, folder=folder)


@pytest.fixture
def state(made, own_cache):
    """How far the study is, in the test's own cache."""
    shutil.copytree(made.folder, own_cache, dirs_exist_ok=True)
    return state_of(kept("small", Store()), Store())


def files(path):
    """The content of a bundle by name."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def code(notebook):
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_everything_of_a_study_is_in_it_and_names_its_digest(state, made, tmp_path):
    told = []
    found = files(write_bundle(state, Store(), tmp_path / "small.zip", told.append))
    written = study(json.loads(found["study.json"]))
    assert written == replace(made.asked, models=("tiny",))  # as it is known here, wherever it lies
    assert written.digest == made.asked.digest
    assert not any(str(Path(made.asked.models[0]).parent).encode() in content for content in found.values())
    manifest = json.loads(found["bundle.json"])
    assert {one["name"] for one in manifest["figures"]} == {
        "curves", "1-reading-tiny-scores", "1-reading-tiny-alignment", "1-reading-tiny-attention_ratio",
    }  # fmt: skip
    index = found["index.html"].decode()
    assert "reading, tiny" in index
    for one in manifest["figures"]:
        assert {f"figures/{one['name']}.csv", f"figures/{one['name']}.html"} <= set(one["files"])
        assert all(file in found and f'href="{file}"' in index for file in one["files"])
    assert "comparisons/1-reading-tiny.html" in found
    assert 'href="comparisons/1-reading-tiny.html"' in index
    tables = {name: list(csv.DictReader(io.StringIO(found[name].decode()))) for name in found if name.endswith(".csv")}
    assert len(tables["runs.csv"]) == len(made.asked.cells)
    for rows in tables.values():
        assert {(row["study"], row["digest"], row["registered"]) for row in rows} == {
            ("small", made.asked.digest, state.kept.at)
        }
    notebook = json.loads(found["study.ipynb"])
    for name in ("index.html", "methods.md", "study.ipynb", "bundle.json", "comparisons/1-reading-tiny.html"):
        assert made.asked.digest in found[name].decode()
    assert [compile(text, "cell", "exec") for text in code(notebook)]
    assert nbformat.validate(nbformat.reads(json.dumps(notebook), 4)) is None
    assert (told[-1].items_done, told[-1].items_total) == (1, 1)
    assert "acted on the model" in found["methods.md"].decode()


def test_the_page_says_how_measures_change_and_why_others_have_no_value(state, tmp_path):
    measures = ("alignment", "class_distance", "no_such")
    one = replace(state, kept=replace(state.kept, study=replace(state.study, measures=measures)))
    index = html.unescape(files(write_bundle(one, Store(), tmp_path / "small.zip"))["index.html"].decode())
    assert "Nothing inside the model could be tested." in index  # of four groups
    assert "Distance between the label's classes: Fewer than two classes have 3 groups of items." in index
    assert "There is no measure no_such." in index


def test_with_recordings_it_can_be_taken_in_elsewhere(state, made, tmp_path, monkeypatch):
    plain = write_bundle(state, Store(), tmp_path / "plain.zip")
    assert not any("/manifest.json" in name for name in files(plain))
    whole = write_bundle(state, Store(), tmp_path / "whole.zip", recordings=True)
    monkeypatch.setenv("ICLVIZ_CACHE", str(tmp_path / "other"))
    taken = import_bundle(Store(), whole)
    assert set(taken.new) == {one.resolved.key for one in state.cells}
    assert taken.refused == {}
    assert set(Store().maps()) == {one.key for one in state.maps if one.run.cell.condition != "none"}
    assert state_of(Kept(made.asked), Store()).is_complete


def test_while_names_are_hidden_it_tells_none(state, tmp_path):
    cells = [replace(one, summary=None) if one.cell.condition == "correct, k = 1" else one for one in state.cells]
    hidden = replace(state, kept=replace(state.kept, study=replace(state.study, hidden=True)), cells=tuple(cells))
    found = files(write_bundle(hidden, Store(), tmp_path / "small.zip"))
    assert HIDDEN in found["index.html"].decode()
    assert "none" not in found["runs.csv"].decode()
    assert not any(name.startswith("comparisons/") for name in found)
    assert len(json.loads(found["bundle.json"])["figures"]) == 1


def test_exports_of_two_of_its_runs_name_a_registered_study(state, made, tmp_path):
    keys = [one.resolved.key for pair in state.primary_pairs(made.asked.models[0], "reading")[:1] for one in pair]
    said = state.kept.sentence
    export(keys, tmp_path / "out")
    assert said in (tmp_path / "out" / "methods.md").read_text()
    assert said in (tmp_path / "out" / "README.txt").read_text()
    assert json.loads((tmp_path / "out" / "bundle.json").read_text())["studies"] == [state.kept.told]
    assert said in write_report(keys, tmp_path / "report.html").read_text()
    (Store().folder / "studies" / "small.json").unlink()
    export(keys, tmp_path / "without")
    assert said not in (tmp_path / "without" / "methods.md").read_text()
    assert "studies" not in json.loads((tmp_path / "without" / "bundle.json").read_text())


@pytest.mark.long
def test_its_notebook_runs_from_its_first_cell_to_its_last(state, tmp_path):
    path = write_bundle(state, Store(), tmp_path / "small.zip")
    zipfile.ZipFile(path).extractall(tmp_path / "there")
    notebook = nbformat.read(tmp_path / "there" / "study.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path / "there")}}).execute()
    drawn = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("application/vnd.plotly.v1+json" in one.get("data", {}) for one in drawn) == 4
