import numpy as np
import pytest

from iclviz.capture.decoding import Decoding
from iclviz.capture.engine import Engine
from iclviz.capture.plan import PlanSettings
from iclviz.errors import SpecError
from iclviz.intervening import intervention
from iclviz.interventions.ablate import Ablate
from iclviz.interventions.knock_out import KnockOut
from iclviz.interventions.scale import Scale
from iclviz.spec import POOLINGS
from tests.capture.models import LAYERS, family, marked, tiny
from tests.capture.recording import record
from tests.capture.test_engine import FORCED, INTERFACE
from tests.oracles.acting import NAME, acting_slowly
from tests.oracles.capture import candidate_logprob_slowly, record_slowly, set_eagerly

PROMPTS = [marked(prompt) for prompt in family()]
CASES = {
    "last token to relevant": [KnockOut(to="relevant")],
    "query to demonstrations, some heads and blocks": [
        KnockOut(to="demonstration", rows="query", layers=(1, 3), heads=(0, 3))
    ],
    "everything to an answer": [KnockOut(to="answer:1", rows="all")],
    "response to the query": [KnockOut(to="query", rows="response", layers=(2,))],
    "scaled at every demonstration": [Scale(to="demonstration:*", by=0.7, rows="query")],
    "scaled down from the last": [Scale(to="irrelevant", by=-2.0, layers=(2, 3))],
    "heads": [Ablate(heads=(1,), layers=(2,))],
    "all heads at answers": [Ablate(rows="answer:*", layers=(1,))],
    "attention": [Ablate(of="attention", layers=(2,), rows="query")],
    "mlp": [Ablate(of="mlp", layers=(1, 3))],
    "block": [Ablate(of="block", layers=(2,), rows="all")],
    "several": [
        KnockOut(to="relevant", rows="query", layers=(1,)),
        Scale(to="question", by=1.0, heads=(2,)),
        Ablate(heads=(0,), rows="demonstration"),
        Ablate(of="mlp", layers=(3,)),
    ],
}
SOME = ("llama", "gpt2", "gemma2", "gpt_oss")
"""Plain, fused projections, a soft-cap with windows, sinks with experts."""


def slowly(model, prompt, forced, interventions):
    n_own = len(prompt)
    with acting_slowly(model, prompt, n_own + len(forced), n_own, interventions, LAYERS):
        return record_slowly(model, prompt, forced, LAYERS, NAME)


def check(name, interventions, budget=4096):
    model = tiny(name)
    found = record(
        Engine(model, "interface", LAYERS),
        PROMPTS,
        POOLINGS,
        Decoding(8, forced=FORCED),
        PlanSettings(budget, 1, pass_tokens=0),
        interventions=interventions,
    )
    for index, prompt in enumerate(PROMPTS):
        slow = slowly(model, prompt, FORCED[index], interventions)
        for pooling in found.embeddings.keys() & slow.embeddings.keys():
            expected = slow.embeddings[pooling]
            error = np.abs(found.embeddings[pooling][index] - expected).max()
            assert error <= 1e-5 * np.abs(expected).max(), (pooling, index)
        np.testing.assert_allclose(found.last_row[index], slow.last_row, rtol=0, atol=1e-5)
        np.testing.assert_allclose(found.rows[index], slow.rows, rtol=0, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", SOME)
def test_each_intervention_equals_the_slow_way(name, case):
    check(name, CASES[case])


@pytest.mark.parametrize("name", [name for name in INTERFACE if name not in SOME and name != "opt"])
def test_every_architecture_can_be_acted_on(name):
    check(name, CASES["several"])


def test_what_is_read_in_small_batches_is_changed_alike():
    check("llama", CASES["several"], budget=30)


@pytest.mark.parametrize("case", CASES)
def test_candidates_are_scored_with_what_is_done_at_their_tokens(case):
    model, prompts = tiny("llama"), [prompt for prompt in PROMPTS if len(prompt) > 2]
    found = record(
        Engine(model, "interface", LAYERS),
        prompts,
        ["last"],
        Decoding(8, forced=FORCED[: len(prompts)]),
        PlanSettings(100, 1, pass_tokens=0),
        interventions=CASES[case],
    )
    for prompt, scores in zip(prompts, found.candidate_logprobs, strict=True):
        for candidate, score in zip(prompt.candidates, scores, strict=True):
            both = enumerate(zip(prompt.ids, candidate, strict=False))
            shared = next((i for i, (a, b) in both if a != b), len(prompt))
            with acting_slowly(model, prompt, len(candidate), shared, CASES[case], LAYERS):
                set_eagerly(model, NAME)
                expected = candidate_logprob_slowly(model, candidate, shared)
            assert score == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    "nothing",
    [Scale(to="relevant", by=0.0, rows="all"), Ablate(heads=(), rows="all"), KnockOut(to="relevant", heads=())],
)
def test_null_interventions_change_nothing(nothing):
    engine = Engine(tiny("llama"), "interface", LAYERS)
    how = (Decoding(8, forced=FORCED), PlanSettings(4096, 1, pass_tokens=0))
    plain, found = (record(engine, PROMPTS, POOLINGS, *how, interventions=one) for one in ((), (nothing,)))
    np.testing.assert_allclose(found.last_row, plain.last_row, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.embeddings["last"], plain.embeddings["last"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("way", ["eager", "alone"])
def test_outputs_of_modules_are_changed_in_every_way_of_reading(way):
    interventions = [Ablate(of="mlp", layers=(2,)), Ablate(of="block", rows="demonstration", layers=(1,))]
    engine, model = Engine(tiny("llama"), way, LAYERS), tiny("llama")
    found = record(engine, PROMPTS, ["last"], Decoding(8, forced=FORCED), interventions=interventions)
    for index, prompt in enumerate(PROMPTS):
        slow = slowly(model, prompt, FORCED[index], interventions)
        np.testing.assert_allclose(found.embeddings["last"][index], slow.embeddings["last"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("one", [KnockOut(to="relevant"), Ablate(), Scale(to="relevant", by=1.0)])
def test_attention_of_a_model_that_runs_in_its_own_code_alone_is_refused_by_name(one):
    engine = Engine(tiny("mpt"), "alone", LAYERS)
    with pytest.raises(SpecError, match=r"The attention of MptForCausalLM runs in its own code alone"):
        engine.acting([[one]] * len(PROMPTS), PROMPTS)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"kind": "ablate", "layers": [4]}, "There is no block 4: the model has 3"),
        ({"kind": "ablate", "heads": [4]}, "There is no head 4: the model has 4"),
    ],
)
def test_blocks_and_heads_that_the_model_does_not_have_are_told(table, sentence):
    engine = Engine(tiny("llama"), "interface", LAYERS)
    with pytest.raises(SpecError, match=sentence):
        record(engine, PROMPTS, ["last"], Decoding(1), interventions=[intervention(table)])
