import pytest
import torch

from iclviz.capture import choosing
from iclviz.capture.choosing import choose_way
from iclviz.errors import ModelError
from tests.capture.models import LAYERS, tiny


@pytest.mark.parametrize(
    ("name", "way"),
    [("llama", "interface"), ("qwen2", "interface"), ("gpt2", "interface"), ("mistral", "interface"),
     ("gemma2", "eager"), ("bloom", "eager")],
)  # fmt: skip
def test_the_fast_way_is_taken_where_it_is_exact(name, way):
    assert choose_way(tiny(name), LAYERS) == way


def test_a_registered_function_that_gives_other_rows_is_not_believed(monkeypatch):
    monkeypatch.setattr(
        "iclviz.capture.attention.row_weights", lambda query, key, *rest: torch.rand(1, query.shape[1], key.shape[2])
    )
    assert choose_way(tiny("llama"), LAYERS) == "eager"


def test_a_model_that_no_way_records_exactly_is_refused(monkeypatch):
    monkeypatch.setattr(choosing, "_rows_of", lambda *arguments: None)
    with pytest.raises(ModelError, match="LlamaForCausalLM cannot be recorded exactly"):
        choose_way(tiny("llama"), LAYERS)
