import sys
from dataclasses import replace
from pathlib import Path

import pytest

import iclviz
from iclviz.errors import UserError
from iclviz.jobs.slurm import Settings, advice, array_of, folder_of, submit
from iclviz.resolve import resolve
from iclviz.store import Store
from iclviz.studies import Kept, keep, state_of
from iclviz.study import study


@pytest.fixture
def asked(tiny_model):
    """Two groups that cannot be read together, since their weights are of two types."""
    items = {"task": "reading_comprehension", "n_items": 6}
    return study(
        {
            "study": "small",
            "models": [str(tiny_model)],
            "tasks": {"single": items, "half": {**items, "dtype": "bfloat16"}},
            "conditions": {"none": {"kind": "none"}, "correct": {"kind": "correct", "k": 1}},
            "maps": ["demonstrations windows=0"],
        }
    )


def left(asked):
    store = Store()
    state = state_of(keep(asked, store), store)
    return state, store, array_of(state, store)


def results(asked, cluster):
    state, store, elements = left(asked)
    return [job.result() for job in submit(elements, state, store, Settings(gpus=0), cluster)]


def test_an_element_is_a_group_of_runs_that_are_read_together_with_their_maps(asked):
    state, _, elements = left(asked)
    assert [len(one.runs) for one in elements] == [2, 2]
    assert [len(one.maps) for one in elements] == [2, 2]
    keys = {cell.resolved.key for cell in state.cells}
    assert {key for one in elements for key in one.runs} == keys
    assert all(set(one.run_of.values()) <= one.runs.keys() for one in elements)
    assert {spec["dtype"] for spec in elements[1].runs.values()} == {"bfloat16"}


def test_elements_make_what_is_missing_and_submitting_again_goes_on(asked):
    iclviz.run_spec(asked.cells[0].spec)
    _, _, elements = left(asked)
    assert [len(one.runs) for one in elements] == [1, 2]
    told = results(asked, "debug")
    # Without demonstrations there is none to act on.
    assert [len(lines) for lines in told] == [1, 1]
    state, store, again = left(asked)
    assert state.is_complete
    assert len(store.maps()) == 2
    assert [(len(one.runs), len(one.maps)) for one in again] == [(0, 1), (0, 1)]
    without = replace(asked, maps=())
    assert left(without)[2] == []
    assert store.load(state.cells[-1].resolved.key).spec == resolve(asked.cells[-1].spec, store.memo).spec


def test_elements_write_no_table_of_the_shared_folder(asked, own_cache):
    state, store, elements = left(asked)
    jobs = submit(elements, state, store, Settings(gpus=0), "debug")
    assert databases(own_cache)
    for path in databases(own_cache):
        path.parent.rename(own_cache / f"{path.parent.name}-away")
    for job in jobs:
        job.result()
    assert {path.parent.name for path in databases(own_cache)} == {"machine-away"}
    assert {"recordings", "maps", "studies"} <= {path.name for path in own_cache.iterdir()}
    assert state_of(Kept(asked), Store()).is_complete  # whose index is made anew


def databases(folder):
    return list(folder.rglob("*.db"))


def test_models_are_not_digested_anew_on_each_node(asked):
    store = Store()
    for path in Path(asked.models[0]).iterdir():
        store.memo[str(path)] = [*facts(path), "0" * 64]  # digests that reading would not give
    state, store, elements = left(asked)
    assert {key for one in elements for key in one.runs} == {one.key for one in state.missing}
    assert submit(elements[:1], state, store, Settings(gpus=0), "debug")[0].result()
    assert all(key in Store() for key in elements[0].runs)


def facts(path):
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def test_a_run_that_cannot_be_made_is_told_and_the_others_are_made(asked):
    element = left(asked)[2][0]
    bad = next(iter(element.runs))
    broken = {**element.runs, bad: {**element.runs[bad], "demonstrations": {"kind": "correct", "k": 3}}}
    with pytest.raises(UserError, match=bad):
        replace(element, runs=broken)()
    assert [key for key in element.runs if key in Store()] == [key for key in element.runs if key != bad]
    assert element() != []
    assert bad in Store()


@pytest.fixture
def fake_slurm(tmp_path, monkeypatch):
    """Commands that are called as Slurm's are; sbatch keeps the script that it is handed."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("sbatch", f"cp $1 {tmp_path}/script.sh; echo Submitted batch job 4711"), ("srun", "exit 0")):
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return tmp_path / "script.sh"


def test_slurm_is_handed_an_array_with_what_was_asked_for(asked, fake_slurm):
    state, store, elements = left(asked)
    settings = Settings("long", gpus=2, minutes=90, parallel=1, more={"account": "lab"})
    jobs = submit(elements, state, store, settings)
    assert [job.job_id for job in jobs] == ["4711_0", "4711_1"]
    script = fake_slurm.read_text()
    for line in ("--partition=long", "--gpus-per-node=2", "--time=90", "--array=0-1%1", "--account=lab"):
        assert f"#SBATCH {line}\n" in script
    assert "--job-name=iclviz-small\n" in script
    assert f"{sys.executable} -u -m submitit.core._submit" in script
    assert str(folder_of(state, store)) in script
    assert all(job.paths.submitted_pickle.is_file() for job in jobs)


def test_what_slurm_refuses_is_a_sentence(asked, fake_slurm):
    Path(fake_slurm.parent, "bin", "sbatch").write_text("#!/bin/sh\necho invalid partition >&2; exit 1\n")
    state, store, elements = left(asked)
    with pytest.raises(UserError, match=r"Slurm did not take the jobs .*invalid partition"):
        submit(elements, state, store, Settings("nowhere"))


def test_without_slurm_or_submitit_that_is_said(asked, monkeypatch, tmp_path):
    state, store, elements = left(asked)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="sbatch was not found"):
        submit(elements, state, store, Settings())
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError, match=r"pip install iclviz\[slurm\]"):
        submit(elements, state, store, Settings())


def test_impossible_settings_are_refused():
    for wrong in ({"gpus": -1}, {"minutes": 0}, {"parallel": 0}):
        with pytest.raises(UserError, match="is too few"):
            Settings(**wrong)


def test_a_node_without_gpu_says_in_which_type_weights_will_be(asked, monkeypatch):
    monkeypatch.setattr("iclviz.jobs.slurm.device_kind", lambda options: "cpu")
    state, _, _ = left(asked)
    assert "float32" in advice(state, Settings())
    assert advice(state, Settings(gpus=0)) == ""
    typed = replace(asked, tasks={"half": asked.tasks["half"]})
    assert advice(left(typed)[0], Settings()) == ""


@pytest.mark.long
def test_elements_are_processes_of_their_own(asked):
    told = results(asked, "local")
    assert [len(lines) for lines in told] == [1, 1]
    assert state_of(Kept(asked), Store()).is_complete
