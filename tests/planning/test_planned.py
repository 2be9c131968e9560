import json
import shutil

import pytest
from transformers import LlamaConfig

import iclviz
from iclviz.errors import ModelError, SpecError, UserError
from iclviz.mapping import grid
from iclviz.planning.planned import planned
from iclviz.planning.words import duration, lines, size
from tests.models.conftest import gguf_file, saved_gguf  # noqa: F401

pytestmark = pytest.mark.usefixtures("at_once")
SHOWN = iclviz.Demonstrations("correct", 2)


def spec_of(model, **options):
    return iclviz.RunSpec(str(model), "reading_comprehension", SHOWN, 12, **options)


def test_a_plan_reads_what_the_run_reads(tiny_model):
    plan = planned(spec_of(tiny_model), on="H100")
    recording = iclviz.run(str(tiny_model), "reading_comprehension", SHOWN, 12)
    assert plan.reading.tokens == sum(map(len, recording.prompt_ids))
    assert not plan.reading.is_estimated
    assert plan.reading.shared > 0
    assert plan.reading.read < plan.reading.tokens
    assert [one.fit.device for one in plan.devices] == ["this machine", "H100"]


def test_a_folder_with_a_configuration_alone_is_enough(tiny_model, tmp_path):
    (tmp_path / "bare").mkdir()
    shutil.copy(tiny_model / "config.json", tmp_path / "bare")
    bare, whole = planned(spec_of(tmp_path / "bare"), on="A100"), planned(spec_of(tiny_model), on="A100")
    assert bare.counts.parameters == whole.counts.parameters
    assert bare.reading.is_estimated
    assert bare.reading.n_prompts == 12
    # Nothing is near as long as its characters, and what items share is still shared.
    assert bare.reading.read < bare.reading.tokens
    assert "about" in lines(bare)[1]


def test_a_model_of_ones_own_is_known_by_its_folders_name_once_it_was_run(tiny_model):
    recording = iclviz.run(str(tiny_model), "reading_comprehension", SHOWN, 12)
    assert recording.spec.model == tiny_model.name
    assert (
        planned(recording.spec, on="A100").counts.parameters
        == planned(spec_of(tiny_model), on="A100").counts.parameters
    )


def test_a_gguf_file_says_what_its_packed_weights_take(gguf_file):  # noqa: F811
    plan = planned(
        iclviz.RunSpec(str(gguf_file), "reading_comprehension", iclviz.Demonstrations("none", 0), 2), on="A100"
    )
    assert plan.stored == plan.counts.parameters * 4
    assert any(line.startswith("file ") for line in lines(plan))


def test_a_map_costs_its_sites(tiny_model):
    run = spec_of(tiny_model)
    plan = planned(run, grid("heads"), on="this machine")
    config = LlamaConfig.from_pretrained(tiny_model)
    assert plan.map.sites == config.num_hidden_layers * config.num_attention_heads
    assert plan.map.rows >= 12 * (plan.map.sites + 1)
    assert plan.map.seconds > 0
    assert any(line.startswith("map ") for line in lines(plan))


def test_a_plan_is_plain_json(tiny_model):
    values = json.loads(json.dumps(planned(spec_of(tiny_model), grid("heads"), on="H200").to_dict()))
    assert values["memory"]["total"] == sum(
        values["memory"][part] for part in ("weights", "caches", "activations", "recording")
    )
    assert values["model"]["parameters"] > 0
    assert values["devices"][1]["device"] == "H200"
    assert values["seconds"]["total"] > 0


def test_on_a_gpu_weights_have_half_the_bytes(tiny_model):
    here, there = planned(spec_of(tiny_model), on="L40S").devices
    assert "float32" in here.fit.sentence
    assert "bfloat16" in there.fit.sentence
    same = planned(spec_of(tiny_model, dtype="float32"), on="L40S").devices[1]
    assert "float32" in same.fit.sentence


@pytest.mark.parametrize(
    ("model", "on", "kind", "said"),
    [
        ("no/such-model-here", None, ModelError, "no/such-model-here"),
        ("nothing-like-a-model", None, ModelError, "There is no model"),
        ("", "Abacus", UserError, "Unknown device 'Abacus'"),
    ],
)
def test_what_cannot_be_planned_is_a_sentence(tiny_model, monkeypatch, model, on, kind, said):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(kind, match=said):
        planned(spec_of(model or tiny_model), on=on)


def test_too_long_a_prompt_is_refused_as_by_a_run(tiny_model):
    with pytest.raises(SpecError, match="tokens"):
        planned(spec_of(tiny_model).with_(demonstrations=iclviz.Demonstrations("correct", 90)), on="A100")


def test_sizes_and_durations_are_said_in_fitting_units():
    assert [size(n) for n in (12, 4500, 537_600_000, 138e9)] == ["12 bytes", "4.5 kB", "538 MB", "138 GB"]
    assert [duration(s) for s in (0.184, 12.34, 300, 7200)] == ["0.18 s", "12 s", "5 min", "2 h"]
