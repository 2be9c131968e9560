import pytest
from transformers import LlamaConfig

from iclviz.capture.plan import PlanSettings
from iclviz.planning.devices import DEVICES
from iclviz.planning.dry_run import counted
from iclviz.planning.fitting import fit
from iclviz.planning.reading import reading
from tests.capture.models import random_prompts

READ = reading(random_prompts([400] * 8), 8, PlanSettings(65536, 1))


@pytest.fixture(scope="module")
def llama_70b():
    return counted(
        LlamaConfig(
            vocab_size=32000, hidden_size=8192, intermediate_size=28672, num_hidden_layers=80, num_attention_heads=64,
            num_key_value_heads=8,
        ),
        "float16",
    )  # fmt: skip


def test_llama_70b_needs_two_cards_of_80_gb_or_8_bit(llama_70b):
    assert llama_70b.parameters == 68_976_648_192
    found = fit(llama_70b, READ, DEVICES["H100"])
    assert (found.how, found.n_devices, found.bits, found.budget) == ("split", 2, "8bit", 8192)
    assert found.batch == int(8192 / (400 + 9))
    assert "138.0 GB of weights in float16 do not fit on one H100: split over 2 of them" in found.sentence
    assert "in 8 bit on one" in found.sentence


def test_a_small_card_needs_more_of_them_and_4_bit_does_not_help(llama_70b):
    found = fit(llama_70b, READ, DEVICES["RTX 4090"])
    assert found.n_devices > 5
    assert found.bits == ""


def test_what_fits_whole_says_which_batch():
    small = counted(LlamaConfig(num_hidden_layers=2), "bfloat16")
    found = fit(small, READ, DEVICES["L40S"])
    assert (found.how, found.n_devices, found.bits) == ("whole", 1, "")
    assert f"up to {found.batch:,} of these prompts" in found.sentence


def test_what_fits_nowhere_is_said(llama_70b, machine):
    found = fit(llama_70b, READ, machine)
    assert (found.how, found.batch) == ("nowhere", 0)
    assert "no room in this machine's memory" in found.sentence
