"""Following gradients, and the catalogue of heads."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from iclviz.capture.tracers.head_catalogue import HeadCatalogue, ordinary_tokens
from iclviz.capture.tracers.information_flow import InformationFlow, answer_tokens, loss_of, mean_flow, random_tokens
from iclviz.capture.tracing import Traced
from iclviz.errors import SpecError
from tests.capture.models import LAYERS, family, marked, tiny
from tests.oracles.following import flow_slowly, weights_and_gradients

PROMPTS = [marked(prompt) for prompt in family() if len(prompt) > 6]
ARCHITECTURES = ["llama", "gpt2", "gemma2", "gpt_oss", "mistral"]


def subject(name, way="interface"):
    return Traced(tiny(name), None, LAYERS, torch.device("cpu"), way)


def loss(logits):
    return logits.float().logsumexp(-1) - logits[3].float()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_weights_and_gradients_are_those_of_one_graph_over_the_whole_model(name):
    model, ids = tiny(name), PROMPTS[0].ids
    found = {}
    value = Traced(model, None, LAYERS, torch.device("cpu"), "interface").backward(
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
    Traced(model, None, LAYERS, torch.device("cpu"), "interface").backward(
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
    Traced(model, None, LAYERS, torch.device("cpu"), "interface").backward(PROMPTS[0].ids, loss, lambda *told: None)
    assert [one.requires_grad for one in model.parameters()] == wanted
    assert all(one.grad is None for one in model.parameters())


@pytest.mark.parametrize("absolute", ["sum", "heads"])
def test_flow_is_the_mean_over_pairs_of_each_kind(absolute):
    model = tiny("llama")
    tracer = InformationFlow(absolute=absolute)
    made = dict(tracer.traced(Traced(model, None, LAYERS, torch.device("cpu"), "interface"), PROMPTS, frozenset({1})))
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
        list(InformationFlow().traced(subject("llama"), bare, frozenset()))
    with pytest.raises(SpecError, match="runs in its own code alone"):
        list(InformationFlow().traced(subject("llama", "eager"), PROMPTS, frozenset()))
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
    followed = Traced(model, Words(), LAYERS, torch.device("cpu"), "interface")
    tracer = HeadCatalogue(sequences=3, n=6)
    made = dict(tracer.traced(followed, PROMPTS[:1], frozenset()))
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
    again = dict(tracer.traced(followed, PROMPTS[:1], frozenset({0, 1})))
    np.testing.assert_allclose(again[2]["induction"], made[2]["induction"], rtol=1e-5)


def test_too_few_words_are_refused():
    followed = Traced(tiny("llama"), Words(), LAYERS, torch.device("cpu"), "interface")
    with pytest.raises(SpecError, match="59 ordinary tokens, and 80 are needed"):
        list(HeadCatalogue(n=40).traced(followed, PROMPTS[:1], frozenset()))
