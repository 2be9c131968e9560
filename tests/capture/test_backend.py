import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import iclviz
from iclviz import extensions
from iclviz.capture import backend as backends
from iclviz.capture.backends.hugging_face import HuggingFace
from iclviz.errors import UserError
from iclviz.models.locating import LocatedModel

FAKE = '''
from contextlib import contextmanager

import numpy as np

from iclviz.capture.decoding import Captured
from iclviz.capture.plan import PlanSettings
from iclviz.models.tokenizing import load_tokenizer
from iclviz.spans import ROLES

LAYERS, HEADS, WIDTH = 3, 2, 5


class Ready:
    """Says the prompt's last two tokens again, and has the prompt's number everywhere."""

    end_tokens = frozenset()
    dtype = "float32"

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def makers(self):
        return {"way": "fake"}

    def settings(self):
        return PlanSettings(400, 1)

    def environment(self):
        return {"device": "none", "attention": "fake"}

    @contextmanager
    def at_work(self, settings):
        yield

    def captures(self, prompts, plan, asked, decoding, should_stop, done, on_read, done_to_model, donors=None):
        for index, prompt in enumerate(prompts):
            if index in done:
                continue
            on_read(len(prompt))
            taken = {
                recorder.name: self.taken(recorder.name, index, kept[index], prompt)
                for recorder, kept in asked.items()
                if index in kept
            }
            yield Captured([index], [prompt.ids[-2:]], [taken], {"prefill": 0.1, "decode": 0.1, "candidates": 0.0})

    def taken(self, name, index, kept, prompt):
        if name == "embeddings":
            return {pooling: np.full((LAYERS + 1, WIDTH), index, np.float32) for pooling in kept}
        if name == "attention":
            return np.full((3, LAYERS, HEADS, len(ROLES)), 1 / len(ROLES), np.float32)
        return [-1.0 - index] * len(prompt.candidates)


class Model:
    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def ready(self, reads):
        return Ready(self.tokenizer)


class Fake:
    def takes(self, located):
        return located.path.name == "tiny"

    def tokenizer(self, located, memo, trusted):
        return load_tokenizer(located, memo)

    def load(self, located, dtype, options, memo):
        return Model(load_tokenizer(located, memo))


BACKEND = Fake()
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of one's own with a backend in it."""
    monkeypatch.setenv(extensions.SETTING, str(tmp_path / "own"))
    (tmp_path / "own" / "backends").mkdir(parents=True)
    (tmp_path / "own" / "backends" / "fake.py").write_text(FAKE)
    return tmp_path / "own"


RUN = """
import sys
import iclviz
run = iclviz.run(sys.argv[1], "linear_regression", iclviz.Demonstrations("correct", 2), 5, poolings=("last", "mean"))
assert "torch" not in sys.modules
print(run.key)
"""


def test_a_backend_of_ones_own_makes_recordings_without_torch(folder, tiny_model, own_cache):
    environment = {**os.environ, "PYTHONPATH": str(Path(iclviz.__file__).parents[1])}
    line = [sys.executable, "-c", RUN, str(tiny_model)]
    done = subprocess.run(line, check=True, env=environment, capture_output=True, text=True)
    recording = iclviz.load(done.stdout.split()[-1])
    assert list(recording.embeddings) == ["last", "mean"]
    np.testing.assert_array_equal(recording.embeddings["mean"][:, 2, 0], np.arange(5))
    assert recording.attention["question"].shape == (5, 3, 2)
    np.testing.assert_array_equal(recording.scores["answer_logprob"], -1.0 - np.arange(5))
    assert [ids[-2:] for ids in recording.prompt_ids] == list(recording.response_ids)
    assert recording.environment["attention"] == "fake"
    assert all(marks[0].name == "demonstration:0" for marks in recording.marks)


def test_backends_of_ones_own_are_asked_first(folder):
    assert isinstance(backends.backend_of(LocatedModel("other", "folder", folder)), HuggingFace)
    assert type(backends.backend_of(LocatedModel("tiny", "folder", folder / "tiny"))).__name__ == "Fake"


def test_a_file_that_is_no_backend_is_named(folder):
    (folder / "backends" / "fake.py").write_text("BACKEND = 3\n")
    with pytest.raises(UserError, match="The backend fake does not fit: it has no BACKEND"):
        backends.backend_of(LocatedModel("tiny", "folder", folder))
