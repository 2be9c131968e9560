import numpy as np
import pytest

from iclviz.capture.decoding import Decoding
from iclviz.capture.engine import Engine
from iclviz.capture.plan import PlanSettings
from iclviz.planning.reading import reading
from tests.capture.models import LAYERS, family, going_on, random_prompts, tiny

SETTINGS = PlanSettings(4096, 1)


def test_shared_tokens_are_read_once():
    line = random_prompts([60])[0]
    prompts = [going_on(line, 5, seed) for seed in range(6)]
    found = reading(prompts, 4, SETTINGS)
    assert found.tokens == 6 * 65
    assert found.read == 60 + 6 * 5
    assert found.shared == 60
    assert found.own_tokens == 5 + found.steps
    apart = reading(prompts, 4, PlanSettings(4096, 1, sharing=False))
    assert apart.read == apart.tokens


@pytest.mark.parametrize("budget", [64, 4096])
def test_passes_are_those_that_the_engine_runs(budget, monkeypatch):
    prompts, settings = family(), PlanSettings(budget, 1)
    found = reading(prompts, 3, settings)
    model = tiny("llama")
    seen = []

    def note(module, args, kwargs):
        ids, mask = kwargs["input_ids"], kwargs["attention_mask"]
        seen.append((ids.shape[0], ids.shape[1], mask.shape[1]))

    model.base_model.register_forward_pre_hook(note, with_kwargs=True)
    engine = Engine(model, "interface", LAYERS)
    engine.capture(prompts, {}, Decoding(3, forced=[[5, 6, 7]] * len(prompts)), settings)
    read = [(one.rows, one.width, one.columns) for one in found.passes]
    steps = [(one.rows, 1, one.before + step) for one in found.decoded for step in range(1, one.steps + 1)]
    assert sorted(seen) == sorted([*read, *steps])


def test_candidates_are_read_as_the_engine_reads_them():
    found = reading(random_prompts([20, 20]), 1, SETTINGS)
    # Of two candidates one goes on for three tokens and the other changes the last one and goes on for one.
    assert [(one.rows, one.width) for one in found.candidates] == [(2, 3), (2, 2)]
    assert all(one.logits for one in found.candidates)


def test_responses_are_foretold_shorter_than_their_limit():
    prompts = random_prompts([10])
    assert reading(prompts, 200, SETTINGS).steps == 9
    assert reading(prompts, 3, SETTINGS).steps == 4
    assert np.isclose(reading(prompts, 200, SETTINGS).decoded[0].room, 64)
