import os
import shutil
from dataclasses import replace

import pytest

from iclviz.keys import Origin, key_of, told_by_sample
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
    assert (here.spec.model, there.spec.model) == (tiny_model.name, "moved")


def test_a_local_model_whose_weights_were_cut_in_place_is_another_run(tiny_model, tmp_path):
    model = shutil.copytree(tiny_model, tmp_path / "model")
    spec, memo = RunSpec(str(model), "linear_regression"), {}
    before = resolve(spec, memo).key
    weights = model / "model.safetensors"
    date = weights.stat().st_mtime_ns
    with weights.open("r+b") as file:
        file.seek(-64, 2)
        file.write(bytes(64))
    os.utime(weights, ns=(date, date))
    assert resolve(spec, memo).key != before


@pytest.mark.parametrize(
    ("model", "environment", "sampled"),
    [
        ("0" * 32, {}, True),
        (f"files-{'0' * 32}", {}, False),
        ("c" * 40, {}, False),
        (None, {"model": {"identity": None}}, True),
        (None, {"model": {"identity": "c" * 40}}, False),
        (None, {}, True),
    ],
)
def test_a_recording_says_whether_a_sample_of_its_models_weights_told_it(model, environment, sampled):
    origin = None if model is None else Origin("task", model, True, {})
    assert told_by_sample(origin, environment) is sampled
