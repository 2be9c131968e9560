import json
import shlex
import shutil
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

import iclviz
from iclviz.cli import app
from iclviz.jobs.queue import Queue
from iclviz.jobs.worker import work
from iclviz.reporting.export import export
from iclviz.reporting.methods import methods
from iclviz.reporting.snippets import command_line, loading, python
from iclviz.resolve import resolve
from iclviz.rows import Rows
from iclviz.spec import Demonstrations, RunSpec, canonical_json
from iclviz.store import Store
from iclviz.whereabouts import MOST_FOLDERS, known, remember, without_folder

WHERE = "a-private-folder"


@pytest.fixture
def model(tiny_model, tmp_path):
    return shutil.copytree(tiny_model, tmp_path / WHERE / "tiny")


@pytest.fixture
def spec(model):
    return RunSpec(str(model), "reading_comprehension", Demonstrations("correct", 1), 6)


def holding(folder, text):
    """The files of a folder that hold a text, also in rows of tables, which are compressed."""
    found = {path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()}
    for database in folder.rglob("cache.db"):
        rows = Rows(database.parent)
        if text in json.dumps([[name, str(rows.get(name))] for name in rows]):
            found.add(database)
        rows.close()
    return {str(path.relative_to(folder)) for path in found}


def test_one_table_of_the_cache_knows_where_a_model_lies(spec, own_cache):
    first = resolve(spec)
    queue = Queue(Store())
    queue.submit(first.spec, first.key)
    work(queue.store, "cpu", once=True)
    other = resolve(spec.with_(demonstrations=Demonstrations("none", 0)))
    queue.submit(other.spec, other.key)
    iclviz.run_spec(other.spec)
    assert {path.split("/")[0] for path in holding(own_cache, WHERE)} == {"machine"}


def test_nothing_that_is_written_out_tells_where_a_model_lies(spec, tmp_path, own_cache, monkeypatch):
    monkeypatch.setattr("iclviz.reporting.figure_files.browser", lambda: None)
    runs = iclviz.sweep([spec, spec.with_(demonstrations=Demonstrations("none", 0))])
    bundle = export([one.key for one in runs], tmp_path / "bundle.zip")
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(tmp_path / "bundle")
    assert holding(tmp_path / "bundle", WHERE) == set()
    written = methods(runs)
    said = [
        written.markdown,
        written.latex,
        python(loading({"A": runs[0]}), ""),
        command_line(spec),
        canonical_json(runs[0].origin.to_dict()),
    ]
    assert not [text for text in said if WHERE in text]
    assert "We analysed tiny (" in written.markdown


def test_what_is_stored_runs_again_by_the_models_name(spec, monkeypatch):
    key = iclviz.run_spec(spec).key
    stored = iclviz.load(key).spec
    assert stored.model == "tiny"
    assert resolve(stored).key == key
    again = stored.with_(demonstrations=Demonstrations("none", 0))
    assert CliRunner().invoke(app, shlex.split(command_line(again))[1:]).exit_code == 0
    assert len(iclviz.runs()) == 2


def test_a_job_finds_its_model_after_a_restart_also_where_another_has_its_name(spec, model, tmp_path):
    queue, asked = Queue(Store()), resolve(spec)
    queue.submit(asked.spec, asked.key)
    other = shutil.copytree(model, tmp_path / "other" / "tiny")
    with (other / "model.safetensors").open("r+b") as file:
        file.seek(-64, 2)
        file.write(bytes(64))
    second = resolve(spec.with_(model=str(other)))
    assert second.spec == asked.spec
    queue.submit(second.spec, second.key)
    work(Store(), "cpu", once=True)
    states = {job.key: (job.state, job.error) for job in Queue(Store()).jobs()}
    assert states == {asked.key: ("done", None), second.key: ("done", None)}


def test_an_older_recording_with_a_path_is_listed_by_name_and_its_folder_is_known(spec, model):
    store, key = Store(), iclviz.run_spec(spec).key
    with_path(store, key, str(model))
    store.memo.clear()
    again = Store()
    assert [entry.spec.model for entry in again.summaries()] == ["tiny"]
    assert again.load(key).spec.model == "tiny"
    again.verify(key)
    assert resolve(again.load(key).spec).key == key


def with_path(store, key, path):
    """Write a recording as it once was, with its model's path."""
    from iclviz import recorded

    folder = store.place(key)
    for name in (recorded.CONTENT, recorded.RUN):
        content = json.loads((folder / name).read_text())
        spec = content["spec"] if "spec" in content else content["summary"]["spec"]
        spec["model"] = path
        (folder / name).write_text(canonical_json(content) if name == recorded.CONTENT else json.dumps(content))
    (folder / recorded.MANIFEST).unlink()
    recorded._write_manifest(folder, recorded.FORMAT.today)
    row = store.index[f"run:{key}"]
    store.index[f"run:{key}"] = {**row, "spec": {**row["spec"], "model": path}}


def test_an_older_job_with_a_path_is_done(spec, model):
    queue, asked = Queue(Store()), resolve(spec)
    queue.submit(asked.spec.with_(model=str(model)), asked.key)
    work(queue.store, "cpu", once=True)
    assert iclviz.load(asked.key).spec.model == "tiny"


@pytest.mark.parametrize(
    ("model", "name"),
    [("/a/b/tiny", "tiny"), (r"C:\models\tiny.gguf", "tiny.gguf"), ("~/tiny", "tiny"), ("org/tiny", "org/tiny"),
     ("tiny", "tiny"), ("/", "local model")],
)  # fmt: skip
def test_of_a_path_the_last_part_is_left(model, name):
    assert without_folder(model) == name


def test_the_last_seen_comes_first_and_the_oldest_is_forgotten():
    memo = {}
    for number in (*range(MOST_FOLDERS + 2), 5):
        remember(Path(f"/{number}/tiny"), f"files-{number}", memo)
    found = known("tiny", memo)
    assert found[:2] == [("/5/tiny", "files-5"), (f"/{MOST_FOLDERS + 1}/tiny", f"files-{MOST_FOLDERS + 1}")]
    assert len(found) == MOST_FOLDERS
    assert known("other", memo) == []
