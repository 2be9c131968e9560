"""Following gradients, and the catalogue of heads."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from iclviz.capture.first_tokens import loss_of, margin_of
from iclviz.capture.tracers.attribution_patching import AttributionPatching
from iclviz.capture.tracers.head_catalogue import HeadCatalogue, ordinary_tokens
from iclviz.capture.tracers.information_flow import InformationFlow, answer_tokens, mean_flow, random_tokens
from iclviz.capture.tracers.reweighting import Reweighting
from iclviz.capture.tracing import Traced
from iclviz.errors import SpecError
from iclviz.mapping import Texts
from tests.capture.models import HEADS, LAYERS, family, marked, tiny
from tests.oracles.following import flow_slowly, weights_and_gradients

PROMPTS = [marked(prompt) for prompt in family() if len(prompt) > 6]
ARCHITECTURES = ["llama", "gpt2", "gemma2", "gpt_oss", "mistral"]


def subject(name, way="interface"):
    return Traced(tiny(name), None, LAYERS, HEADS, torch.device("cpu"), way)


def loss(logits):
    return logits.float().logsumexp(-1) - logits[3].float()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_weights_and_gradients_are_those_of_one_graph_over_the_whole_model(name):
    model, ids = tiny(name), PROMPTS[0].ids
    found = {}
    value = Traced(model, None, LAYERS, HEADS, torch.device("cpu"), "interface").backward(
        ids, loss, lambda layer, weights, gradient: found.setdefault(layer, (weights.clone(), gradient.clone()))
    )
    expected = weights_and_gradients(model, ids, loss)
    assert sorted(found) == list(range(LAYERS))
    for layer, (weights, gradient) in enumerate(expected):
        torch.testing.assert_close(found[layer][0], weights[..., : len(ids)], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(found[layer][1], gradient[..., : len(ids)], atol=1e-5, rtol=1e-3)
    with torch.no_grad():
        assert value == pytest.approx(float(loss(model(input_ids=torch.tensor([ids])).logits[0, -1])), abs=1e-4)


def test_states_and_their_gradients_are_told_of_every_layer():
    model, ids, found = tiny("llama"), PROMPTS[0].ids, {}
    Traced(model, None, LAYERS, HEADS, torch.device("cpu"), "interface").backward(
        ids, loss, lambda *told: None, lambda layer, state, gradient: found.setdefault(layer, (state, gradient))
    )
    with torch.enable_grad():
        output = model(input_ids=torch.tensor([ids]), use_cache=False, output_hidden_states=True)
        expected = torch.autograd.grad(loss(output.logits[0, -1]), output.hidden_states[:-1])
    for layer in range(LAYERS):
        torch.testing.assert_close(found[layer][0], output.hidden_states[layer][0].detach(), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(found[layer][1], expected[layer][0], atol=1e-5, rtol=1e-3)
    assert LAYERS in found


def test_following_leaves_the_model_as_it_was():
    model = tiny("llama")
    wanted = [one.requires_grad for one in model.parameters()]
    Traced(model, None, LAYERS, HEADS, torch.device("cpu"), "interface").backward(
        PROMPTS[0].ids, loss, lambda *told: None
    )
    assert [one.requires_grad for one in model.parameters()] == wanted
    assert all(one.grad is None for one in model.parameters())


@pytest.mark.parametrize("absolute", ["sum", "heads"])
def test_flow_is_the_mean_over_pairs_of_each_kind(absolute):
    model = tiny("llama")
    tracer = InformationFlow(absolute=absolute)
    made = dict(
        tracer.traced(
            Traced(model, None, LAYERS, HEADS, torch.device("cpu"), "interface"),
            Texts(PROMPTS, range(9)),
            frozenset({1}),
        )
    )
    assert 1 not in made
    assert len(made) == len(PROMPTS) - 1
    prompt = PROMPTS[0]
    pairs = weights_and_gradients(model, prompt.ids, loss_of(prompt))
    if absolute == "heads":
        pairs = [(weights.abs(), gradient.abs()) for weights, gradient in pairs]
    expected = flow_slowly(pairs, set(answer_tokens(prompt)), len(prompt) - 1)
    np.testing.assert_allclose(made[0]["flow"], expected, rtol=1e-3, atol=1e-9)
    assert made[0]["loss"] > 0


def test_counts_of_pairs_are_those_of_the_paper():
    """|wp| = sum of p, |pq| = C, |ww| = N (N + 1) / 2 less both."""
    ones = np.ones((9, 9))
    np.testing.assert_allclose(mean_flow(ones, [2, 5]), [1, 1, 1])
    only = np.zeros((9, 9))
    only[8, [2, 5]] = 3
    np.testing.assert_allclose(mean_flow(only, [2, 5]), [0, 3, 0])
    only = np.zeros((9, 9))
    only[5, 1] = 7
    np.testing.assert_allclose(mean_flow(only, [2, 5]), [1, 0, 0])
    assert np.isnan(mean_flow(ones, [])[:2]).all()


def test_random_tokens_are_as_many_and_none_of_an_answer():
    prompt = PROMPTS[0]
    answers = answer_tokens(prompt)
    drawn = random_tokens(prompt, answers, 0)
    assert len(drawn) == len(answers)
    assert not set(drawn) & {*answers, len(prompt) - 1}
    assert drawn == random_tokens(prompt, answers, 0)


def test_what_cannot_be_followed_is_refused_in_words():
    bare = [replace(prompt, marks=[]) for prompt in PROMPTS]
    with pytest.raises(SpecError, match="no flow goes through one"):
        list(InformationFlow().traced(subject("llama"), Texts(bare, range(9)), frozenset()))
    with pytest.raises(SpecError, match="runs in its own code alone"):
        list(InformationFlow().traced(subject("llama", "eager"), Texts(PROMPTS, range(9)), frozenset()))
    same = replace(PROMPTS[0], candidates=[[*PROMPTS[0].ids, 4], [*PROMPTS[0].ids, 4, 5]])
    with pytest.raises(SpecError, match="first token tells it"):
        loss_of(same)


class Words:
    """A tokenizer of words."""

    all_special_ids = (0,)

    def get_vocab(self):
        return {f"w{place}": place for place in range(60)}

    def batch_decode(self, ids):
        return [f" word{'a' * one[0]}" for one in ids]


def test_every_sequence_has_scores_at_the_places_of_its_second_copy():
    model = tiny("llama")
    followed = Traced(model, Words(), LAYERS, HEADS, torch.device("cpu"), "interface")
    tracer = HeadCatalogue(sequences=3, n=6)
    made = dict(tracer.traced(followed, Texts(PROMPTS[:1], range(9)), frozenset()))
    assert sorted(made) == [0, 1, 2]
    drawn = np.random.default_rng(1).choice(ordinary_tokens(Words()), 12, replace=False)
    start = [PROMPTS[0].ids[0]] if PROMPTS[0].roles()[0] == "special" else []
    ids = [*start, *drawn[:6].tolist() * 2]
    weights = followed.attention([ids])
    first = len(start) + 6
    for layer in range(LAYERS):
        own = weights[layer][0]
        expected = sum(own[:, i, i - 5] for i in range(first, first + 6)) / 6
        np.testing.assert_allclose(made[1]["induction"][layer], expected, rtol=1e-5)
        expected = sum(own[:, i, i - 1] for i in range(first, first + 6)) / 6
        np.testing.assert_allclose(made[1]["previous"][layer], expected, rtol=1e-5)
        expected = sum(own[:, i, i - 6] for i in range(first, first + 6)) / 6
        np.testing.assert_allclose(made[1]["duplicate"][layer], expected, rtol=1e-5)
    again = dict(tracer.traced(followed, Texts(PROMPTS[:1], range(9)), frozenset({0, 1})))
    np.testing.assert_allclose(again[2]["induction"], made[2]["induction"], rtol=1e-5)


def test_too_few_words_are_refused():
    followed = Traced(tiny("llama"), Words(), LAYERS, HEADS, torch.device("cpu"), "interface")
    with pytest.raises(SpecError, match="59 ordinary tokens, and 80 are needed"):
        list(HeadCatalogue(n=40).traced(followed, Texts(PROMPTS[:1], range(9)), frozenset()))


# The last token alone, and states


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_last_token_on_kept_keys_reads_as_one_pass_over_the_whole_text_does(name):
    """Also where its weights are multiplied, with the gradient with respect to the factors."""
    model, ids = tiny(name), PROMPTS[0].ids
    read = subject(name).last_token(ids)
    factors = torch.ones(2, LAYERS, HEADS, len(ids), requires_grad=True)
    logits, again = read(factors)
    with torch.no_grad():
        expected = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].float()
    torch.testing.assert_close(logits.detach(), expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(again, logits, atol=1e-6, rtol=1e-6)
    ((found, nothing),) = torch.autograd.grad(loss(logits), factors, retain_graph=True)
    assert nothing.abs().max() == 0
    for layer, (weights, gradient) in enumerate(weights_and_gradients(model, ids, loss)):
        row = (weights * gradient)[:, -1, : len(ids)]  # a factor of the last row, as the row itself, moves it alone
        torch.testing.assert_close(found[layer], row, atol=1e-5, rtol=1e-3)
    torch.testing.assert_close(read(torch.ones(1, LAYERS, HEADS, len(ids)))[0], logits, atol=1e-6, rtol=1e-6)


def test_factors_of_the_last_token_do_as_scaling_its_attention_does():
    prompt = PROMPTS[0]
    answers = answer_tokens(prompt)
    factors = torch.ones(LAYERS, HEADS, len(prompt))
    factors[1, 2, answers] = 3.0
    (found,) = subject("llama").last_token(prompt.ids)(factors[None])
    expected = scaled_slowly(tiny("llama"), prompt.ids, 1, 2, answers, 3.0)
    torch.testing.assert_close(found.detach(), expected, atol=1e-5, rtol=1e-4)


def scaled_slowly(model, ids, layer, head, columns, factor):
    """Logits of a text of which one head's weights from the last token on some columns are multiplied."""
    block = model.model.layers[layer].self_attn
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    d = block.head_dim
    try:
        with torch.no_grad():
            attention = model(input_ids=torch.tensor([ids]), use_cache=False, output_attentions=True).attentions[layer]
            groups = block.num_key_value_groups
            entered = []
            hook = block.v_proj.register_forward_hook(lambda module, args, output: entered.append(output))
            model(input_ids=torch.tensor([ids]), use_cache=False)
            hook.remove()
            values = entered[0].view(len(ids), -1, d)[:, head // groups]
            extra = (factor - 1) * (attention[0, head, -1, columns] @ values[columns])

            def add(module, args):
                (states,) = args
                states = states.clone()
                states[0, -1, head * d : (head + 1) * d] += extra
                return (states,)

            hook = block.o_proj.register_forward_pre_hook(add)
            logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].float()
            hook.remove()
            return logits
    finally:
        model.set_attn_implementation(before)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_states_are_those_that_the_model_hands_on(name):
    ids = PROMPTS[0].ids
    found = subject(name).states(ids, [1, len(ids) - 1])
    with torch.no_grad():
        expected = tiny(name)(input_ids=torch.tensor([ids]), use_cache=False, output_hidden_states=True).hidden_states
    assert found.shape[:2] == (LAYERS + 1, 2)
    for layer in range(LAYERS):
        torch.testing.assert_close(found[layer], expected[layer][0, [1, -1]], atol=1e-5, rtol=1e-4)


def test_a_foretold_patch_is_the_tangent_of_the_true_one():
    """Close to its own state, patching does what the gradient says: the donor differs in one early token."""
    model, prompt = tiny("llama"), PROMPTS[0]
    other = replace(prompt, ids=[*prompt.ids[:1], prompt.ids[1] + 1, *prompt.ids[2:]])
    tracer = AttributionPatching(shown="none", k=0)
    ((number, row),) = tracer.traced(subject("llama"), Texts([prompt], [0], [other]), frozenset())
    theirs = subject("llama").states(other.ids, [len(other.ids) - 1])
    margin = margin_of(prompt)
    for layer in range(1, LAYERS + 1):
        slopes = []
        for step in (1e-3, -1e-3):
            mix = subject("llama").states(prompt.ids, [len(prompt.ids) - 1])[layer]
            moved = mix + step * (theirs[layer] - mix)
            slopes.append(float(margin(patched_slowly(model, prompt.ids, layer, moved[0]))))
        assert row["effect"][0, layer - 1] == pytest.approx((slopes[0] - slopes[1]) / 2e-3, rel=0.02, abs=1e-4)
    assert number == 0
    assert row["margin"] == pytest.approx(float(margin(patched_slowly(model, prompt.ids, None, None))), abs=1e-5)


def patched_slowly(model, ids, layer, state):
    """Logits of a text whose last state after a block is another one."""

    def put(module, args, output):
        first = (output[0] if isinstance(output, tuple) else output).clone()
        first[0, -1] = state
        return (first, *output[1:]) if isinstance(output, tuple) else first

    hook = None if layer is None else model.model.layers[layer - 1].register_forward_hook(put)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].float()
    if hook:
        hook.remove()
    return logits


def test_factors_are_learned_on_the_other_half_and_lower_its_loss():
    tracer = Reweighting(epochs=3, rate=0.05)
    prompts = PROMPTS[:4]
    rows = dict(tracer.traced(subject("llama"), Texts(prompts, range(4)), frozenset()))
    assert sorted(rows) == [0, 1, 2, 3]
    by_half = {bool(row["half"]): row["factor"] for row in rows.values()}
    assert len(by_half) == 2
    for number, row in rows.items():
        np.testing.assert_array_equal(row["factor"], by_half[bool(row["half"])])
        b = torch.log(torch.tensor(row["factor"]))
        factors = torch.ones(LAYERS, HEADS, len(prompts[number]))
        factors[:, :, answer_tokens(prompts[number])] = torch.exp(b)[:, :, None]
        (logits,) = subject("llama").last_token(prompts[number].ids)(factors[None])
        assert row["reweighted"] == pytest.approx(float(margin_of(prompts[number])(logits)), abs=1e-4)
    for half, factor in by_half.items():
        learned = [number for number, row in rows.items() if bool(row["half"]) != half]
        b = torch.log(torch.tensor(factor))
        before, after = 0.0, 0.0
        for number in learned:
            factors = torch.ones(LAYERS, HEADS, len(prompts[number]))
            read, cost = subject("llama").last_token(prompts[number].ids), loss_of(prompts[number])
            before += float(cost(read(factors[None])[0]))
            factors[:, :, answer_tokens(prompts[number])] = torch.exp(b)[:, :, None]
            after += float(cost(read(factors[None])[0]))
        assert after < before
    again = dict(tracer.traced(subject("llama"), Texts(prompts, range(4)), frozenset({0, 1, 2})))
    np.testing.assert_allclose(again[3]["factor"], rows[3]["factor"], rtol=1e-5)
