from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from iclviz.capture.decoding import Decoding, plan_prompts
from iclviz.capture.effects import candidate_logprobs
from iclviz.capture.engine import Engine
from iclviz.capture.plan import PlanSettings, tokens_read
from iclviz.capture.sites import reading_as
from iclviz.interventions.ablate import Ablate
from iclviz.interventions.knock_out import KnockOut
from tests.capture.models import HEADS, LAYERS, family, marked, tiny
from tests.oracles.acting import NAME, acting_slowly
from tests.oracles.capture import candidate_logprob_slowly, set_eagerly

PROMPTS = [marked(prompt) for prompt in family() if len(prompt) > 2]
EVERY_HEAD = [[Ablate(layers=(layer,), heads=(head,))] for layer in range(1, LAYERS + 1) for head in range(HEADS)]
ROLES_BY_LAYER = [
    [KnockOut(to=role, rows="query", layers=(layer,))] for role in ("relevant", "demonstration") for layer in (1, 2, 3)
]


def ready(model, way="interface"):
    engine = Engine(model, way, LAYERS)
    return SimpleNamespace(captures=engine.captures, at_work=lambda settings: nullcontext())


def slowly(model, prompt, candidate, site):
    shared = next((i for i, (a, b) in enumerate(zip(prompt.ids, candidate, strict=False)) if a != b), len(prompt))
    with acting_slowly(model, prompt, len(candidate), shared, site, LAYERS):
        set_eagerly(model, NAME)
        return candidate_logprob_slowly(model, candidate, shared)


@pytest.mark.parametrize("name", ["llama", "gpt_oss"])
@pytest.mark.parametrize("sites", [EVERY_HEAD, ROLES_BY_LAYER], ids=["heads", "roles"])
def test_every_site_equals_the_slow_way_whatever_the_budget(name, sites):
    sites = [[], *sites]
    plans = [PlanSettings(budget, 1, pass_tokens=0) for budget in (100, 10_000)]
    both = [candidate_logprobs(ready(tiny(name)), PROMPTS, sites, plan) for plan in plans]
    model = tiny(name)
    for place, site in enumerate(sites):
        for index, prompt in enumerate(PROMPTS):
            for number, candidate in enumerate(prompt.candidates):
                slow = slowly(model, prompt, candidate, site)
                for found in both:
                    assert found[place, index, number] == pytest.approx(slow, abs=1e-4)


@pytest.mark.parametrize(("sites", "again"), [(EVERY_HEAD, False), (ROLES_BY_LAYER, True)], ids=["heads", "roles"])
def test_what_is_before_the_place_of_acting_is_read_once_for_all_sites(sites, again):
    """Of heads at the last prompt token that is everything, of attention from the query what comes before it."""
    settings = PlanSettings(100_000, 1, pass_tokens=0)
    once = tokens_read(plan_prompts(PROMPTS, Decoding(0), settings))
    copies, done = [prompt for _ in sites for prompt in PROMPTS], [site for site in sites for _ in PROMPTS]
    found = tokens_read(plan_prompts(copies, Decoding(0), settings, reading_as(done, copies)))
    of_queries = sum(len(prompt) - 1 - prompt.query_start for prompt in PROMPTS)
    assert found == once if not again else once < found <= once + len(sites) * of_queries


def test_sites_without_any_effect_have_none():
    found = candidate_logprobs(
        ready(tiny("llama")), PROMPTS, [[], [Ablate(heads=())]], PlanSettings(10_000, 1, pass_tokens=0)
    )
    np.testing.assert_allclose(found[1], found[0], atol=1e-5)


@pytest.mark.parametrize("rows", ["last", "query", "demonstration"])
def test_a_site_begins_at_its_block_from_the_states_of_the_run_as_it_is(rows):
    """The first block reads no token for a site in the last one."""
    model = tiny("llama")
    read = []
    model.model.layers[0].self_attn.register_forward_pre_hook(
        lambda module, args, kwargs: read.append(kwargs["hidden_states"].shape[:2].numel()), with_kwargs=True
    )
    settings = PlanSettings(100_000, 1, pass_tokens=0)
    counts = []
    for sites in ([[]], [[Ablate(layers=(3,), heads=(0,), rows=rows)]] * 4):
        read.clear()
        candidate_logprobs(ready(model), PROMPTS, sites, settings)
        counts.append(sum(read))
    before = sum(prompt.query_start for prompt in PROMPTS)
    assert counts[1] <= counts[0] + before
