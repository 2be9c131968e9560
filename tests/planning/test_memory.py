import numpy as np
from transformers import LlamaConfig

import iclviz
from iclviz.capture.plan import PlanSettings
from iclviz.planning.dry_run import counted
from iclviz.planning.memory import map_bytes, memory, packed_bytes, recorded_bytes
from iclviz.planning.reading import reading
from iclviz.store import Store
from tests.capture.models import random_prompts

CONFIG = LlamaConfig(vocab_size=100, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4)
SETTINGS = PlanSettings(4096, 1)


def test_the_disk_is_what_a_recording_really_takes(tiny_model):
    recording = iclviz.run(str(tiny_model), "reading_comprehension", iclviz.Demonstrations("correct", 1), 24,
                           record=("trajectory",))  # fmt: skip
    config = LlamaConfig.from_pretrained(tiny_model)
    prompts = random_prompts([40] * 24)
    found = recorded_bytes(counted(config), reading(prompts, 8, SETTINGS), recording.spec)
    arrays = [one.nbytes for table in (recording.attention, recording.attention_last) for one in table.values()]
    arrays += [np.asarray(one).nbytes for one in recording.embeddings.values()]
    numbers = sum(one.nbytes for one in recording.recorded.values() if one.dtype.kind == "f")
    assert sum(arrays) + numbers <= found <= 1.1 * (sum(arrays) + numbers) + 2000
    assert found <= Store().summary(recording.key).size


def test_more_text_holds_more_keys_and_more_items_record_more():
    counts = counted(CONFIG)
    spec = iclviz.RunSpec("m", "t", n_items=4, poolings=("mean", "last"))
    short, long = (memory(counts, reading(random_prompts([size] * 4), 4, SETTINGS), spec) for size in (20, 200))
    assert short.weights == long.weights == counts.weight_bytes
    assert short.caches < 4 * 200 * counts.key_bytes <= long.caches
    assert short.recording == long.recording
    more = memory(counts, reading(random_prompts([20] * 8), 4, SETTINGS), spec.with_(n_items=8))
    assert more.recording == 2 * short.recording
    assert more.total == more.weights + more.caches + more.activations + more.recording


def test_packed_weights_are_those_of_linear_layers():
    counts = counted(CONFIG, "bfloat16")
    linear = 2 * (4 * 32 * 32 + 3 * 32 * 48)
    assert counts.packable == linear
    assert packed_bytes(counts, "8bit") == 2 * (counts.parameters - linear) + linear
    assert packed_bytes(counts, "4bit") < packed_bytes(counts, "8bit")


def test_a_map_takes_what_its_arrays_take():
    base, sites, places = 4 * 10 * 3, 4 * 2 * 5 * (1 + 2) * 10 * 3, 4 * 2 * 5 * 10 * (2 + 2)
    assert map_bytes((2, 5), 1, 2, 10, 3) == base + sites + places
