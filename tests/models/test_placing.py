import numpy as np
import pytest
import torch

from iclviz.capture.choosing import choose_way
from iclviz.capture.decoding import Decoding
from iclviz.capture.engine import Engine
from iclviz.capture.plan import PlanSettings
from iclviz.errors import ModelError
from iclviz.models.loading import load
from iclviz.models.locating import LocatedModel
from iclviz.models.placing import placing
from iclviz.resolve import resolve
from iclviz.spec import POOLINGS, RunSpec
from tests.capture.models import random_prompts
from tests.capture.recording import record

SHARING = PlanSettings(4096, 1, pass_tokens=0)
CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


def told(options, device=CPU):
    return placing(options, device, torch.float16, "/scratch")


def test_a_model_split_over_memory_and_disk_records_what_the_whole_one_does(model_folder):
    located = LocatedModel("tiny", "folder", model_folder)
    whole = load(located, "float32")
    split = load(located, "float32", {"device_map": "auto", "max_memory": "cpu=80KB"})
    assert set(split.model.hf_device_map.values()) == {"cpu", "disk"}
    layers, prompts = whole.facts.n_layers, random_prompts((24, 17, 31))
    forced = [[5, 9, 3], [7], [3, 4]]
    results = []
    for loaded in (whole, split):
        assert choose_way(loaded.model, layers, loaded.device).way == "interface"
        engine = Engine(loaded.model, "interface", layers, loaded.device)
        results.append(
            record(engine, prompts, POOLINGS, Decoding(4, forced=forced), PlanSettings(4096, 1, pass_tokens=0))
        )
    for name in POOLINGS:
        np.testing.assert_allclose(results[1].embeddings[name], results[0].embeddings[name], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(results[1].last_row, results[0].last_row, atol=1e-6)


def test_what_is_put_on_the_disk_is_removed_with_the_model(model_folder):
    split = load(LocatedModel("tiny", "folder", model_folder), None, {"device_map": "auto", "max_memory": "cpu=80KB"})
    folder = split.scratch.name
    del split
    import gc
    from pathlib import Path

    gc.collect()
    assert not Path(folder).exists()


def test_where_weights_go_is_no_part_of_a_run_but_their_bits_are(tiny_model):
    spec = RunSpec(str(tiny_model), "linear_regression")
    split = spec.with_(model_options={"device_map": "auto", "max_memory": "cpu=1GiB"})
    assert resolve(split).key == resolve(spec).key
    assert resolve(spec.with_(model_options={"quantization": "8bit"})).key != resolve(spec).key


def test_the_options_become_what_the_library_takes():
    assert told({}) == {}
    assert told({}, CUDA) == {"device_map": {"": CUDA}}
    split = told({"device_map": "auto", "max_memory": "0=70GiB, cpu=100GiB"}, CUDA)
    assert split == {"device_map": "auto", "offload_folder": "/scratch", "max_memory": {0: "70GiB", "cpu": "100GiB"}}


@pytest.mark.parametrize("name", ["8bit", "4bit"])
def test_packed_weights_need_their_package_and_a_gpu(monkeypatch, name):
    monkeypatch.setattr("importlib.util.find_spec", lambda package: None)
    with pytest.raises(ModelError, match=r"need the package bitsandbytes\. Install it"):
        told({"quantization": name}, CUDA)
    monkeypatch.setattr("importlib.util.find_spec", lambda package: object())
    with pytest.raises(ModelError, match=r"need an NVIDIA GPU, and the device is cpu\."):
        told({"quantization": name})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"device": "cpu", "device_map": "auto"}, "exclude each other"),
        ({"max_memory": "cpu=1GiB"}, "needs device_map"),
    ],
)
def test_options_that_do_not_go_together_get_a_sentence(options, said):
    with pytest.raises(ModelError, match=said):
        told(options)


def test_several_processes_share_a_model_and_take_no_other_place(monkeypatch):
    monkeypatch.setattr("iclviz.models.placing.n_joined", lambda: 4)
    shared = told({})["distributed_config"]
    assert (shared.tp_size, shared.tp_plan) == (4, "auto")
    for options in ({"device": "cpu"}, {"device_map": "auto"}, {"quantization": "8bit"}):
        with pytest.raises(ModelError, match=f"{next(iter(options))} does not go with 4 processes"):
            told(options)
