import re

import pytest
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from iclviz.errors import ModelError
from iclviz.models.shares import check_shares, splits_heads
from tests.capture.models import SHAPE


def config(name="llama", **changed):
    return CONFIG_MAPPING[name](**{**SHAPE, **changed})


def said(n, *arguments, **changed):
    with pytest.raises(ModelError) as caught:
        check_shares("tiny", config(*arguments, **changed), n)
    return str(caught.value)


@pytest.mark.parametrize("name", ["llama", "qwen3", "gemma2", "mistral", "gpt_neox", "mixtral"])
def test_plans_that_leave_each_process_its_heads_are_told(name):
    assert splits_heads(config(name).base_model_tp_plan)
    check_shares("tiny", config(name), 2)


def test_heads_that_every_process_has_all_of_need_not_be_shared_evenly():
    assert not splits_heads(config("phi3").base_model_tp_plan)
    check_shares("tiny", config("phi3", num_attention_heads=3, num_key_value_heads=3), 2)


def test_a_model_without_a_plan_is_refused_by_its_name():
    assert said(2, "stablelm") == (
        "tiny cannot be shared by 2 processes: transformers has no plan of tensor parallelism for StableLm models. "
        "Run it in one process, over several GPUs by the model option device_map."
    )


@pytest.mark.parametrize(
    ("heads", "keys", "n", "words"),
    [
        (9, 3, 2, "tiny has 9 attention heads, which 2 processes cannot share evenly. Start 3 processes."),
        (12, 6, 4, "tiny has 6 key value heads, which 4 processes cannot share evenly. Start 2 or 3 or 6 processes."),
        (8, 1, 2, "tiny has 1 key value heads, which 2 processes cannot share evenly. Run it in one process"),
    ],
)
def test_heads_that_cannot_be_shared_evenly_are_refused_with_what_can(heads, keys, n, words):
    assert re.match(
        re.escape(words), said(n, num_attention_heads=heads, num_key_value_heads=keys, hidden_size=8 * heads)
    )
