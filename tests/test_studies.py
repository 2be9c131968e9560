import json
import zipfile
from dataclasses import replace

import pytest

import iclviz
from iclviz.errors import SpecError, StoreError
from iclviz.figures import table
from iclviz.reporting.study_bundle import drawn, write_bundle
from iclviz.store import Store
from iclviz.studies import Kept, every_kept, keep, kept, register, state_of
from iclviz.study import study


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("ICLVIZ_CACHE", str(tmp_path / "cache"))
    return Store()


@pytest.fixture
def asked(tiny_model):
    return study(
        {
            "study": "small",
            "models": [str(tiny_model)],
            "tasks": {"reading": {"task": "reading_comprehension", "n_items": 8, "max_new_tokens": 1}},
            "conditions": {"none": {"kind": "none"}, "correct": {"kind": "correct", "k": [1, 2]}},
            "seeds": [0, 1],
            "maps": ["demonstrations windows=0", "isolation width=1"],
            "primary": {"a": "none", "b": "correct, k = 2"},
        }
    )


def test_it_runs_what_is_missing_and_goes_on_where_it_was(asked, store):
    iclviz.run_spec(asked.cells[0].spec)
    before = state_of(Kept(asked), store)
    assert (before.n_there, len(before.missing)) == (1, 4)
    state = iclviz.run_study(asked, progress=False)
    assert state.is_complete
    assert len(store.maps()) == 2 * 4
    assert [line.partition(":")[0] for line in state.left_out] == [
        "demonstrations windows=0 of reading, none", "isolation width=1 of reading, none",
    ]  # fmt: skip
    again = iclviz.run_study(asked, progress=False)
    assert [one.resolved.key for one in again.cells] == [one.resolved.key for one in state.cells]
    assert every_kept(store) == ["small"]
    (curve,) = [one for one in state.curves() if one.name == "correct"]
    assert (curve.ks, curve.n) == ((1, 2), (2, 2))
    assert all(least <= mean <= most for least, mean, most in zip(curve.least, curve.mean, curve.most, strict=True))
    rows = table(drawn(state))
    assert sorted(set(rows["series"])) == ["correct", "none"]


def test_it_is_registered_before_its_first_run_alone(asked, store):
    found = register(asked, store)
    assert found.registered == asked.digest
    assert asked.digest in found.words
    assert register(asked, store) == found
    iclviz.run_study(asked, progress=False)
    assert kept("small", store).words == found.words
    other = replace(asked, seeds=(0,))
    assert "differs from what was registered" in keep(other, store).words
    with pytest.raises(SpecError, match="asks for something else now"):
        register(other, store)
    with pytest.raises(SpecError, match="recorded already"):
        register(replace(asked, name="late"), store)


def test_a_damaged_file_is_refused(asked, store):
    keep(asked, store)
    (store.folder / "studies" / "small.json").write_text("{}")
    with pytest.raises(StoreError, match="is damaged"):
        kept("small", store)


def test_the_whole_study_is_one_file(asked, store, tmp_path):
    state = iclviz.run_study(asked, progress=False)
    path = write_bundle(state, store, tmp_path / "small.zip")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        again = study(json.loads(archive.read("study.json")))
        rows = archive.read("runs.csv").decode().splitlines()
        index = archive.read("index.html").decode()
        notebook = json.loads(archive.read("study.ipynb"))
    assert again == asked
    assert len(rows) == 1 + len(asked.cells)
    assert {"curves.html", "curves.csv", "curves.svg", "methods.md", "comparisons/1-reading.html"} <= set(names)
    assert state.kept.words in index
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            compile("".join(cell["source"]), "cell", "exec")
