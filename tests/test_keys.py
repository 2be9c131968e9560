import shutil
from dataclasses import replace

from iclviz.keys import key_of
from iclviz.resolve import resolve
from iclviz.spec import RunSpec, digest


def test_a_key_is_a_digest_of_the_resolved_spec_and_what_else_decides_its_numbers(tiny_model):
    one = resolve(RunSpec(str(tiny_model), "linear_regression", model_options={"device": "cpu"}))
    values = {**one.spec.to_dict(), "model_options": {}}
    origin = one.origin
    parts = {"spec": values, "model": origin.model, "versions": dict(origin.versions)}
    assert key_of(one.spec, replace(origin, by_files=False)) == digest(parts)
    del values["model"]
    assert one.key == key_of(one.spec, origin) == digest(parts)


def test_a_local_model_is_told_by_its_files_wherever_they_lie(tiny_model, tmp_path):
    moved = shutil.copytree(tiny_model, tmp_path / "moved")
    here, there = (resolve(RunSpec(str(folder), "linear_regression")) for folder in (tiny_model, moved))
    assert here.key == there.key
    assert here.spec.model != there.spec.model


def test_a_recording_made_when_a_path_was_part_of_its_key_is_still_found(tiny_model):
    spec = RunSpec(str(tiny_model), "linear_regression")
    now = resolve(spec)
    former = key_of(now.spec, replace(now.origin, by_files=False))
    assert former != now.key
    assert resolve(spec, there=[former]).key == former
