import pytest
import torch

from iclviz.capture import budget
from iclviz.capture.budget import LEAST_TOKENS, MOST_TOKENS, bytes_per_token, token_budget
from tests.capture.models import LAYERS, SETTINGS, SHAPE, tiny


def test_a_token_takes_its_keys_its_values_and_one_blocks_activations():
    keys = 2 * LAYERS * SHAPE["num_key_value_heads"] * 8 * 4
    assert bytes_per_token(tiny("llama")) == keys + 4 * (8 * SHAPE["hidden_size"] + 3 * SHAPE["intermediate_size"])
    assert bytes_per_token(tiny("llama").half()) == bytes_per_token(tiny("llama")) - keys // 2


@pytest.mark.parametrize("name", SETTINGS)
def test_every_architecture_has_a_size(name):
    assert bytes_per_token(tiny(name)) > 0


def test_the_budget_fills_at_most_half_of_the_free_memory_with_a_power_of_two(monkeypatch):
    model = tiny("llama")
    monkeypatch.setattr(budget, "free_memory", lambda device: 5000 * bytes_per_token(model))
    assert token_budget(model) == 2048


@pytest.mark.parametrize(("free", "tokens"), [(10, LEAST_TOKENS), (2**50, MOST_TOKENS["cpu"])])
def test_the_budget_keeps_its_bounds(monkeypatch, free, tokens):
    monkeypatch.setattr(budget, "free_memory", lambda device: free)
    assert token_budget(tiny("llama")) == tokens


def test_the_free_memory_of_the_cpu_is_a_number_of_bytes():
    assert budget.free_memory(torch.device("cpu")) > 2**20
