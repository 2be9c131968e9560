"""Two processes of torchrun, over gloo, beside one process with the whole model."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

import iclviz
from iclviz.jobs.queue import Queue
from iclviz.places import checkout
from iclviz.spec import POOLINGS
from iclviz.store import Store
from tests.capture.models import SHAPE, tiny
from tests.capture.together import ACTING, EAGER, captured_whole, spec_of

pytestmark = pytest.mark.xdist_group("tensor parallel")  # whose processes are started once

SHARES = {"llama": 2, "qwen3": 2, "gemma2": 2, "phi3": 1, EAGER: 2}
"""Grouped keys; norms of heads; capped scores and windows; heads that every process has all of; and a model whose own
attention is recorded.
"""

LAUNCH = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
OF_A_HALF = {"rtol": 2**-10, "atol": 2**-12}
"""Where a recording keeps float16, two neighbours of which a rounding may choose between."""


DIES = """
import os

from iclviz.recorders import ArraySchema, BatchRecord, Recorder, Session


class Dies(Recorder):
    name, title, sentence = "dies", "Dies", "Ends."
    arrays = (ArraySchema("dies", ("item",)),)
    hooks = frozenset(["rows"])

    def session(self, subject, asked):
        return Dying()


class Dying(Session):
    def decoding(self, batch, before):
        return Row()


class Row(BatchRecord):
    def row(self, layer, weights, beside):
        if os.environ["LOCAL_RANK"] == "1":
            FAULT


RECORDER = Dies()
"""


def with_dying_recorder(folder, fault):
    """The folder of a recorder that befalls the second process."""
    (folder / "own" / "recorders").mkdir(parents=True)
    (folder / "own" / "recorders" / "dies.py").write_text(DIES.replace("FAULT", fault))
    return str(folder / "own")


def launched(*arguments, **environment):
    own = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(checkout()), **environment}
    return subprocess.run(
        [*LAUNCH, *map(str, arguments)], env={**os.environ, **own}, capture_output=True, text=True, timeout=300
    )


def with_tokenizer(folder, model, tokenizer):
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def broken(tiny_model):
    """A model of which one state overflows."""
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    model.model.layers[1].mlp.down_proj.weight.data[3] = torch.inf
    return model


@pytest.fixture(scope="module")
def table(tmp_path_factory, tiny_model, tokenizer):
    """Where the processes find their models, and leave what they found."""
    folder = tmp_path_factory.mktemp("together")
    one_key = AutoModelForCausalLM.from_config(CONFIG_MAPPING["llama"](**{**SHAPE, "num_key_value_heads": 1}))
    return {
        "models": {name: with_tokenizer(folder / name, tiny(name), tokenizer) for name in SHARES},
        "refused": {
            "no plan": with_tokenizer(folder / "gpt2", tiny("gpt2"), tokenizer),
            "one key": with_tokenizer(folder / "one_key", one_key, tokenizer),
        },
        "tiny": str(tiny_model),
        "broken": with_tokenizer(folder / "broken", broken(tiny_model), tokenizer),
        "caches": [str(folder / "first"), str(folder / "second")],
        "found": str(folder / "found"),
        "homes": [
            str(Path(with_tokenizer(folder / home / "mine", tiny(name), tokenizer)).parent)
            for home, name in (("here", "llama"), ("there", "mistral"))
        ],
    }


@pytest.fixture(scope="module")
def together(table):
    """What two processes found."""
    file = Path(table["found"]).with_name("table.json")
    file.write_text(json.dumps(table))
    own = with_dying_recorder(file.parent, "os._exit(3)")
    ended = launched("tests.capture.together", file, ICLVIZ_EXTENSIONS=own)
    assert Path(table["found"]).exists(), ended.stderr
    return pickle.loads(Path(table["found"]).read_bytes())


def leaves(taken, name=""):
    """Every array in what recorders took, by the way to it."""
    if isinstance(taken, np.ndarray | float | int):
        yield name, np.asarray(taken, float)
    elif isinstance(taken, dict):
        for key, value in taken.items():
            yield from leaves(value, f"{name}/{key}")
    elif isinstance(taken, list | tuple):
        for place, value in enumerate(taken):
            yield from leaves(value, f"{name}/{place}")
    elif hasattr(taken, "__dict__"):
        yield from leaves(vars(taken), name)
    else:
        assert isinstance(taken, str)


@pytest.mark.parametrize("name", SHARES)
def test_two_processes_record_what_one_does_with_the_whole_model(together, table, name):
    found = together.captured[name]
    assert found.shares == SHARES[name]
    assert found.way == ("eager" if name == EAGER else "interface")
    whole = captured_whole(table["models"][name], found.way)
    assert [batch.prompts for batch in found.batches] == [batch.prompts for batch in whole]
    assert [batch.response_ids for batch in found.batches] == [batch.response_ids for batch in whole]
    seen = set()
    for batch, expected in zip(found.batches, whole, strict=True):
        for (place, values), (same, right) in zip(leaves(batch.taken), leaves(expected.taken), strict=True):
            assert place == same
            np.testing.assert_allclose(values, right, **CLOSE, err_msg=place)
            seen.add(place.split("/")[2])
    assert seen == {"embeddings", "attention", "token_attention", "candidates", "trajectory"}


@pytest.fixture(scope="module")
def pairs(together, table, tmp_path_factory):
    """Each run by two processes and by one."""
    shared = Store(Path(table["caches"][0]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ICLVIZ_CACHE", str(tmp_path_factory.mktemp("whole") / "cache"))
        whole = iclviz.sweep([spec_of(table["tiny"], done) for done in ACTING])
        heads = iclviz.effect_map(whole[0], "heads")
    runs = [(shared.load(key), one) for key, one in zip(together.keys, whole, strict=True)]
    return runs, (shared.load_map(together.map), heads)


@pytest.mark.parametrize("number", range(len(ACTING)))
def test_a_run_by_two_processes_is_the_run_by_one_whatever_is_done_to_the_model(pairs, number):
    shared, whole = pairs[0][number]
    assert shared.key == whole.key
    assert shared.responses == whole.responses
    assert shared.environment["processes"] == 2
    assert "processes" not in whole.environment
    for pooling in POOLINGS:
        if pooling in whole.embeddings:
            np.testing.assert_allclose(shared.embeddings[pooling], whole.embeddings[pooling], **OF_A_HALF)
    for name in ("attention", "attention_last", "scores"):
        for one, values in getattr(whole, name).items():
            np.testing.assert_allclose(getattr(shared, name)[one], values, **CLOSE, err_msg=f"{name} {one}")
    assert shared.recorded.keys() == whole.recorded.keys()
    for name in whole.recorded.keys() - {"trajectory_token"}:
        np.testing.assert_allclose(shared.recorded[name], whole.recorded[name], **CLOSE, err_msg=name)


def test_interventions_on_heads_of_either_process_have_an_effect(pairs):
    (plain, _), *changed = pairs[0]
    for shared, _ in changed:
        assert (shared.recorded["changed_places"] > 0).all()
        assert np.abs(shared.scores["answer_logprob"] - plain.scores["answer_logprob"]).max() > 1e-4


def test_a_map_of_heads_by_two_processes_is_the_map_by_one(pairs):
    shared, whole = pairs[1]
    assert shared.key == whole.key
    np.testing.assert_allclose(shared.logprobs, whole.logprobs, **CLOSE)


def test_a_run_that_was_stopped_goes_on_from_its_pieces(together, pairs):
    assert 0 < len(together.pieces) < 6
    shared, _ = pairs[0][0]
    assert shared.environment["plan"]["token_budget"] == 100


def test_the_first_process_alone_writes(together, table):
    first, second = (Path(one) for one in table["caches"])
    assert (first / "recordings").is_dir()
    written = [path for path in second.rglob("*") if path.is_file()]
    assert not [path for path in written if {"recordings", "unfinished", "maps"} & set(path.parts)], written


def test_a_model_of_other_files_in_another_process_is_refused(together):
    assert "Process 1 of 2 could not go on: The files of mine are others on this machine" in together.others


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("no plan", "cannot be shared by 2 processes: transformers has no plan of tensor parallelism for GPT2"),
        ("one key", "has 1 key value heads, which 2 processes cannot share evenly"),
    ],
)
def test_a_model_that_cannot_be_shared_is_refused(together, what, words):
    assert words in together.refused[what]


def test_what_two_processes_cannot_do_is_said_and_they_go_on(together):
    assert "The model option device_map does not go with 2 processes" in together.with_option
    assert "computes no numbers in float32" in together.broken
    assert "of which each of several processes has some heads only" in together.trace


def test_where_one_process_dies_the_run_fails_with_a_sentence(together, table):
    lost = "Not all of the processes that share the model are there any more"
    assert lost in together.died
    job = Queue(Store(Path(table["caches"][0]))).get(together.dead)
    assert job.state == "failed"
    assert "Start all of them again: what is finished is kept." in job.error
    assert lost in together.afterwards


@pytest.mark.long
@pytest.mark.parametrize("fault", ["os._exit(3)", "raise ValueError('not here')"])
def test_whatever_befalls_one_process_all_end_with_a_sentence(tmp_path, tiny_model, fault):
    own = with_dying_recorder(tmp_path, fault)
    arguments = ["--model", tiny_model, "--task", "reading_comprehension", "--k", 1, "--n-items", 4, "--record", "dies"]
    ended = launched("iclviz", "run", *arguments, ICLVIZ_EXTENSIONS=own, ICLVIZ_RANKS_TIMEOUT="5")
    assert ended.returncode
    assert "Not all of the processes that share the model are there any more (another one ended" in ended.stderr
