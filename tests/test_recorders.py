import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import iclviz
from iclviz import extensions, recorded, recorders
from iclviz.errors import AnalysisError, SpecError, StoreError, UserError
from iclviz.recorders import text_array, texts_of
from iclviz.recording import Recording
from iclviz.reporting.bundles import import_bundle
from iclviz.reporting.export import export
from iclviz.resolve import resolve
from iclviz.store import Store

OWN = '''
import numpy as np
from iclviz.recorders import ArraySchema, BatchRecord, Recorder, Session


class Steps(BatchRecord):
    """The largest logit of each step, and how long the last block's states are."""

    def __init__(self, prompts):
        self.prompts, self.largest, self.norms, self.found = prompts, [], [], None

    def states(self, layer, hidden):
        self.found = hidden[:, -1].float().norm(dim=-1).numpy()

    def logits(self, logits):
        self.largest.append(logits.max(-1).values.numpy())

    def end_step(self):
        self.norms.append(self.found)

    def taken(self, responses):
        return {
            prompt: (np.array(self.largest)[: len(ids) + 1, row], np.array(self.norms)[: len(ids) + 1, row])
            for row, (prompt, ids) in enumerate(zip(self.prompts, responses))
        }


class AtWork(Session):
    def decoding(self, batch, before):
        return Steps(batch.prompts)


class Confidence(Recorder):
    name = "confidence"
    title = "Confidence"
    sentence = "The largest logit of each step."
    arrays = (
        ArraySchema("largest_logit", ("item", "step")),
        ArraySchema("state_norm", ("item", "step")),
        ArraySchema("step_name", ("item", "step"), "text"),
    )
    hooks = frozenset(["response states", "logits"])

    def session(self, subject, asked):
        return AtWork()

    def arrays_of(self, taken, n_rows):
        from iclviz.recorders import text_array
        names = text_array([f"étape {step}" for step in range(len(taken[0]))])
        return {"largest_logit": taken[0], "state_norm": taken[1], "step_name": names}


RECORDER = Confidence()
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of one's own with a recorder in it."""
    monkeypatch.setenv(extensions.SETTING, str(tmp_path / "own"))
    (tmp_path / "own" / "recorders").mkdir(parents=True)
    (tmp_path / "own" / "recorders" / "confidence.py").write_text(OWN)
    return tmp_path / "own"


def asked(tiny_model, **changes):
    return iclviz.RunSpec(str(tiny_model), "linear_regression", iclviz.Demonstrations("correct", 2), 6, **changes)


@pytest.fixture
def recording(folder, tiny_model):
    return iclviz.run_spec(asked(tiny_model, record=("confidence",)))


def test_recorders_are_known_without_torch():
    code = "import sys\nfrom iclviz.recorders import recorders, tables\nprint(len(recorders()), *tables())\n"
    code += "import iclviz.store\nassert 'torch' not in sys.modules"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    n, *names = found.stdout.split()
    assert int(n) == len(recorders.recorders())
    assert names == list(recorders.tables())


def test_every_recorder_says_what_it_is():
    for name, recorder in recorders.recorders().items():
        assert recorder.name == name
        assert recorder.title
        assert recorder.sentence.endswith(".")


def test_a_file_of_ones_own_is_a_recorder(recording, tiny_model):
    plain = iclviz.run_spec(asked(tiny_model))
    assert recording.key != plain.key
    longest = max(len(ids) for ids in recording.response_ids) + 1
    assert recording.largest_logit.shape == recording.state_norm.shape == (6, longest)
    for item, ids in enumerate(recording.response_ids):
        assert np.isfinite(recording.largest_logit[item, : len(ids) + 1]).all()
        assert np.isnan(recording.largest_logit[item, len(ids) + 1 :]).all()
        assert list(recording.recorded["step_name"][item, : len(ids) + 1]) == [
            f"étape {i}" for i in range(len(ids) + 1)
        ]
    assert recording.largest_logit.dtype == np.float32
    assert dict(plain.recorded) == {}
    for name, values in plain.embeddings.items():
        np.testing.assert_array_equal(values, recording.embeddings[name])
    assert plain.scores.keys() == recording.scores.keys()


def test_runs_that_keep_other_things_are_captured_together(folder, tiny_model):
    specs = [asked(tiny_model), asked(tiny_model, record="confidence"), asked(tiny_model, seed=1, record="confidence")]
    plain, one, other = iclviz.sweep(specs)
    assert dict(plain.recorded) == {}
    assert one.environment["together"] == plain.environment["together"]
    assert not np.array_equal(one.largest_logit[:, 0], other.largest_logit[:, 0])
    np.testing.assert_allclose(plain.embeddings["last"], one.embeddings["last"], atol=1e-3)


def test_a_started_process_has_the_recorders_of_ones_own(folder, tiny_model, own_cache):
    line = [sys.executable, "-m", "iclviz", "run", "--model", str(tiny_model), "--k", "1", "--n-items", "4"]
    root = str(Path(iclviz.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root, "ICLVIZ_CACHE": str(own_cache)}
    subprocess.run([*line, "--record", "confidence"], check=True, env=environment, capture_output=True)
    (summary,) = Store().summaries()
    assert summary.spec.record == ("confidence",)
    assert Store().load(summary.key).largest_logit.shape[0] == 4


def test_an_unknown_recorder_is_refused_with_the_known_ones(folder, tiny_model):
    with pytest.raises(SpecError, match=r"Unknown recorder 'nothing'\. Known: .*confidence"):
        iclviz.run_spec(asked(tiny_model, record=("nothing",)))
    with pytest.raises(SpecError, match="Unknown recorder 'attention'"):
        iclviz.run_spec(asked(tiny_model, record=("attention",)))


def test_what_is_asked_for_is_written_once_and_in_one_order(tiny_model):
    spec = asked(tiny_model, record=["b", "a", "b"])
    assert spec.record == ("a", "b")
    assert iclviz.RunSpec.from_dict(spec.to_dict()) == spec
    assert "record" not in asked(tiny_model).to_dict()
    with pytest.raises(SpecError, match="is no recorder's name"):
        asked(tiny_model, record=("../x",))


def test_an_array_that_is_not_there_says_how_to_record_it(folder, tiny_model):
    plain = iclviz.run_spec(asked(tiny_model))
    with pytest.raises(
        AnalysisError, match=r'This recording has no state_norm. Record it with record=\("confidence",\)'
    ):
        plain.state_norm  # noqa: B018
    assert not hasattr(plain, "nothing_of_this_name")


def test_a_recording_is_whole_where_its_recorder_is_not_installed(recording, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("BROWSER_PATH", "")
    monkeypatch.delenv(extensions.SETTING)
    back = iclviz.load(recording.key)
    np.testing.assert_array_equal(back.largest_logit, recording.largest_logit)
    Store().verify(recording.key)
    export([recording.key], tmp_path / "again")
    other = Store(tmp_path / "other")
    assert import_bundle(other, tmp_path / "again").new == (recording.key,)
    np.testing.assert_array_equal(other.load(recording.key).recorded["step_name"], recording.step_name)


def test_arrays_of_further_recorders_are_read_when_they_are_asked_for(recording):
    file = Store().place(recording.key) / "recorded.state_norm.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    opened = iclviz.load(recording.key)
    assert "state_norm" in opened.recorded
    assert np.isfinite(opened.largest_logit[:, 0]).all()
    with pytest.raises(StoreError, match="has other bytes"):
        opened.state_norm  # noqa: B018
    with pytest.raises(StoreError):
        Store().verify(recording.key)


def renamed(described):
    described["../evil"] = described.pop("state_norm")


def retyped(described):
    described["state_norm"]["dtype"] = "int32"


def without_an_axis(described):
    described["state_norm"]["axes"] = ["item"]


def by_layer(described):
    described["state_norm"]["axes"] = ["item", "layer"]


def unreadable(described):
    described["state_norm"]["dtype"] = "object"


@pytest.mark.parametrize("change", [renamed, retyped, without_an_axis, by_layer, unreadable])
def test_what_is_said_of_an_array_is_not_believed(recording, change):
    place = Store().place(recording.key)
    content = json.loads((place / "recording.json").read_text())
    change(content["recorded"])
    (place / "recording.json").write_text(json.dumps(content))
    (place / "manifest.json").unlink()
    recorded._write_manifest(place, recorded.FORMAT.today)
    with pytest.raises(StoreError, match="is damaged"):
        iclviz.load(recording.key)


def test_arrays_of_one_axis_have_one_size(recording):
    place = Store().place(recording.key)
    file = place / "recorded.state_norm.safetensors"
    save_file({"values": load_file(file)["values"][:, 1:].copy()}, file)
    (place / "manifest.json").unlink()
    recorded._write_manifest(place, recorded.FORMAT.today)
    with pytest.raises(StoreError, match=r"state_norm has the shape|step_name has the shape"):
        iclviz.load(recording.key)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("RECORDER = ", "THING = ", "it has no RECORDER"),
        ('name = "confidence"', 'name = "attention"', "its name 'attention' is taken"),
        ('"largest_logit", (', '"embeddings", (', "its array 'embeddings' has a name that is taken"),
        ('("item", "step")),', '("step",)),', "is no array by item"),
        ('"step"), "text"', '"step"), "words"', "has the dtype words"),
        ('"largest_logit", (', '"scores", (', "its array 'scores' has a name that is taken"),
        ('frozenset(["response states", "logits"])', 'frozenset(["state", "logits"])', "its hooks are frozenset"),
        ('frozenset(["response states", "logits"])', '"logits"', "its hooks are logits"),
        ('    title = "Confidence"\n', "", "it has no text title or sentence"),
    ],
)
def test_a_file_that_is_no_recorder_is_named(folder, before, after, message):
    file = folder / "recorders" / "confidence.py"
    file.write_text(OWN.replace(before, after, 1))
    with pytest.raises(UserError, match=message):
        recorders.recorders()


def test_a_recorder_is_forgotten_with_its_folder(folder, monkeypatch):
    assert "confidence" in recorders.optional()
    shutil.rmtree(folder)
    assert "confidence" not in recorders.optional()


def test_texts_come_back_as_they_were():
    texts = np.array([["", "é"], ["ab", " 😀"]], dtype=object)
    assert texts_of(text_array(texts)).tolist() == texts.tolist()


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ('"largest_logit", ("item", "step")', '"largest_logit", ("item", "step", "head")', "largest_logit has the"),
        ('"state_norm", ("item", "step")', '"state_norm", ("item", "layer")', "state_norm has the"),
        ('"state_norm", ("item", "step")', '"state_norm", ("item", "step"), "int32"', "float32 where int32"),
        ('        ArraySchema("state_norm", ("item", "step")),\n', "", "and declares"),
    ],
    ids=["another axis", "another size", "another kind", "more than declared"],
)  # fmt: skip
def test_arrays_that_are_not_as_declared_end_the_run_in_a_sentence(tiny_model, folder, before, after, sentence):
    file = folder / "recorders" / "confidence.py"
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, after))
    with pytest.raises(UserError, match=f"The recorder confidence does not make what it declares: .*{sentence}"):
        iclviz.run(str(tiny_model), "linear_regression", n_items=4, record=("confidence",))


def test_no_array_can_be_called_as_what_a_recording_is_asked_for_besides():
    fields = {one.name for one in dataclasses.fields(Recording)} | {one for one in vars(Recording) if one[0] != "_"}
    arrays = {schema.name for one in recorders.recorders().values() for schema in one.arrays}
    assert fields - arrays == recorders.ATTRIBUTES


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("return Steps(batch.prompts)", "return None", "its decoding gives a NoneType, and no BatchRecord"),
        ("        return AtWork()", "        return {}[0]", "KeyError: 0"),
        ("self.largest.append(", "self.biggest.append(", "AttributeError: 'Steps' object has no attribute 'biggest'"),
        ("            prompt: (np", "            prompt + 100: (np", "it took nothing of a prompt"),
        ("names = text_array", "names = 1 / 0 or text_array", "ZeroDivisionError"),
    ],
    ids=["no record", "session", "hook", "other prompts", "arrays"],
)  # fmt: skip
def test_a_recorder_that_goes_wrong_ends_its_own_runs_in_a_sentence_and_no_others(
    tiny_model, folder, before, after, reason
):
    assert before in OWN
    (folder / "recorders" / "confidence.py").write_text(OWN.replace(before, after))
    plain, kept = asked(tiny_model), asked(tiny_model, record=("confidence",))
    with pytest.raises(UserError, match=reason):
        iclviz.sweep([kept, plain])
    assert resolve(plain).key in Store()
