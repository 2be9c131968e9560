import numpy as np
import pytest

from iclviz.capture.decoding import Decoding
from iclviz.capture.engine import Engine
from iclviz.capture.live import LivePrompt
from iclviz.capture.recorders.attention import RECORDER as ATTENTION
from iclviz.capture.recorders.candidates import RECORDER as CANDIDATES
from iclviz.capture.sites import donors_of
from tests.capture.models import LAYERS, family, marked, tiny
from tests.capture.test_acting import CASES
from tests.capture.test_donors import CASES as WITH_DONORS

PROMPTS = [marked(prompt) for prompt in family()]
KEPT = {CANDIDATES: {0: True}, ATTENTION: {0: True}}
DECODING = Decoding(4)


SOON = ("heads", "block", "several")
"""Cases of every part; all are compared with the slow way in test_acting.py."""


@pytest.mark.parametrize(
    ("name", "case"),
    [
        *(("llama", case) for case in ("nothing", "heads", "block", "several")),
        *(pytest.param("llama", case, marks=pytest.mark.long) for case in CASES if case not in SOON),
        ("gemma2", "several"),
        pytest.param("gpt_oss", "several", marks=pytest.mark.long),
    ],
)
def test_a_prompt_that_is_kept_says_what_one_that_is_read_anew_says(name, case):
    engine, done = Engine(tiny(name), "interface", LAYERS), CASES.get(case, [])
    for prompt in PROMPTS:
        held = LivePrompt(engine, prompt)
        anew = engine.capture([prompt], KEPT, DECODING, done_to_model=[done])
        for _ in range(2):
            found = held.captured(KEPT, DECODING, done)
            assert found.response_ids == anew.response_ids
            for recorder in ("candidates", "attention"):
                np.testing.assert_allclose(found.taken[0][recorder], anew.taken[0][recorder], atol=1e-5)


@pytest.mark.parametrize("case", WITH_DONORS)
def test_donors_of_one_prompt_are_those_among_all(case):
    engine, one = Engine(tiny("llama"), "interface", LAYERS), WITH_DONORS[case]
    prompts = [prompt for prompt in PROMPTS if len(prompt) > 6]
    donors = donors_of([one], prompts, list(range(len(prompts))), lambda _: prompts[::-1])
    every = {CANDIDATES: dict.fromkeys(range(len(prompts)), True)}
    anew = engine.capture(prompts, every, Decoding(0), done_to_model=[[one]] * len(prompts), donors=donors)
    for index, prompt in enumerate(prompts):
        found = LivePrompt(engine, prompt).captured({CANDIDATES: {0: True}}, Decoding(0), [one], donors.only(index))
        np.testing.assert_allclose(found.taken[0]["candidates"], anew.taken[index]["candidates"], atol=1e-4)


@pytest.mark.parametrize("way", ["eager", "alone"])
def test_every_way_of_reading_can_keep_a_prompt(way):
    engine = Engine(tiny("llama"), way, LAYERS)
    found = LivePrompt(engine, PROMPTS[-1]).captured(KEPT, DECODING, CASES["mlp"])
    anew = engine.capture([PROMPTS[-1]], KEPT, DECODING, done_to_model=[CASES["mlp"]])
    np.testing.assert_allclose(found.taken[0]["candidates"], anew.taken[0]["candidates"], atol=1e-4)
