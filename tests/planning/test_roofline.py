from dataclasses import replace

import pytest
from transformers import LlamaConfig

from iclviz.capture.plan import PlanSettings
from iclviz.planning.devices import DEVICES
from iclviz.planning.dry_run import counted
from iclviz.planning.reading import Pass, reading
from iclviz.planning.roofline import pass_seconds, seconds
from tests.capture.models import going_on, random_prompts

LARGE = LlamaConfig(
    vocab_size=32000, hidden_size=4096, intermediate_size=11008, num_hidden_layers=2, num_attention_heads=32
)
SETTINGS = PlanSettings(4096, 1)


@pytest.fixture(scope="module")
def counts():
    return counted(LARGE, "bfloat16")


def test_one_token_takes_what_reading_the_weights_takes(counts):
    card = replace(DEVICES["H100"], launch=0)
    weights = float((counts.pass_.times * counts.pass_.weights).sum())
    assert pass_seconds(counts, Pass(1, 1, 0, 0), card) == pytest.approx(weights / card.bandwidth, rel=0.02)


def test_many_tokens_take_what_multiplying_takes(counts):
    card = replace(DEVICES["H100"], launch=0)
    arithmetic = 8192 * counts.pass_.flops_per_token / card.speed["bfloat16"]
    assert arithmetic < pass_seconds(counts, Pass(1, 8192, 0, 0), card) < 2 * arithmetic


def test_attention_grows_with_the_context(counts):
    card = DEVICES["A100"]
    short, long = (pass_seconds(counts, Pass(1, 512, before, 0), card) for before in (0, 100_000))
    assert long - short == pytest.approx(512 * 100_000 * counts.pair_flops / card.speed["bfloat16"], rel=0.1)


def test_shared_text_costs_time_once(counts, machine):
    line = random_prompts([200])[0]
    together = reading([going_on(line, 4, seed) for seed in range(8)], 4, SETTINGS)
    apart = reading(random_prompts([204] * 8), 4, SETTINGS)
    shared, own = (seconds(counts, one, machine) for one in (together, apart))
    assert 5 * shared.prefill < own.prefill
    assert shared.decode == pytest.approx(own.decode, rel=0.1)
    assert shared.total == shared.prefill + shared.decode + shared.candidates


def test_few_rows_run_slower_than_many(machine):
    assert machine.rate(1, "float32") == 5e9 < machine.rate(16, "float32") < machine.rate(1000, "float32") == 5e10
