import numpy as np
import pytest

import iclviz
from iclviz.capture.decoding import Decoding
from iclviz.capture.engine import Engine
from iclviz.capture.plan import PlanSettings
from iclviz.capture.recorders.demonstration_attention import RECORDER
from iclviz.spans import Mark
from tests.capture.models import HEADS, LAYERS, family, marked, tiny
from tests.oracles.capture import record_slowly

K = 3
ARRAYS = ("demonstration_attention", "demonstration_answer_attention", "demonstration_largest_attention")


def attended(model, prompts, way, budget=4096, k=K):
    asked = {RECORDER: dict.fromkeys(range(len(prompts)), k)}
    captured = Engine(model, way, LAYERS).capture(prompts, asked, Decoding(2), PlanSettings(budget, 1, pass_tokens=0))
    return [one[RECORDER.name] for one in captured.taken], captured.response_ids


@pytest.mark.parametrize("budget", [30, 4096])
@pytest.mark.parametrize(
    ("name", "way"),
    [("llama", "interface"), ("gemma3_text", "interface"), ("gpt_oss", "interface"), ("llama", "eager"),
     ("falcon", "eager"), ("mpt", "alone")],
)  # fmt: skip
def test_it_is_read_off_the_full_matrices(name, way, budget):
    model, prompts = tiny(name), [marked(prompt) for prompt in family()]
    assert sum(len(prompt.marks) == 2 * K - 1 for prompt in prompts) > 5
    found, responses = attended(model, prompts, way, budget)
    for prompt, one, response in zip(prompts, found, responses, strict=True):
        row = record_slowly(model, prompt, response, LAYERS).token_rows[0]
        marks = {mark.name: row[..., mark.start : mark.end] for mark in prompt.marks}
        for number in range(K):
            whole, answer = (marks.get(f"{kind}:{number}") for kind in ("demonstration", "answer"))
            for array, part, reduce in zip(ARRAYS, (whole, answer, whole), (np.sum, np.sum, np.max), strict=True):
                values = one[array][..., number]
                if part is None:
                    assert np.isnan(values).all()
                else:
                    np.testing.assert_allclose(values, reduce(part, axis=-1), atol=1e-5)


def test_runs_of_other_ks_are_read_together():
    model, prompts = tiny("llama"), [marked(family()[1]), marked(family()[1], 2)]
    asked = {RECORDER: {0: 3, 1: 2}}
    captured = Engine(model, "interface", LAYERS).capture(prompts, asked, Decoding(2))
    shapes = [one[RECORDER.name][ARRAYS[0]].shape for one in captured.taken]
    assert shapes == [(LAYERS, HEADS, 3), (LAYERS, HEADS, 2)]
    alone, _ = attended(model, prompts[1:], "interface", k=2)
    np.testing.assert_allclose(captured.taken[1][RECORDER.name][ARRAYS[2]], alone[0][ARRAYS[2]], atol=1e-6)


@pytest.mark.parametrize("kind", ["correct", "custom"])
def test_a_run_keeps_it_for_each_of_its_demonstrations(tiny_model, kind):
    shown = iclviz.Demonstrations(kind, 2, 0, ("x = 3, y = 9", "x = 4, y = 12") if kind == "custom" else ())
    recording = iclviz.run(str(tiny_model), "linear_regression", shown, 6, record=("demonstration_attention",))
    for name in ARRAYS:
        values = recording.recorded[name]
        assert values.shape == (6, LAYERS, HEADS, 2)
        assert values.dtype == np.float32
        assert np.isnan(values).any() == (kind == "custom" and "answer" in name)
    for item, marks in enumerate(recording.marks):
        names = [mark.name for mark in marks]
        assert names[0] == "demonstration:0"
        assert len(names) == (2 if kind == "custom" else 4)
        for mark in marks:
            assert mark == Mark(mark.name, mark.start, mark.end)
            text = "".join(recording.tokens[item][mark.start : mark.end])
            assert text.strip() in recording.prompts[item]
    largest, mass = (recording.recorded[name] for name in (ARRAYS[2], ARRAYS[0]))
    assert (largest <= mass + 1e-6).all()
    assert (mass.sum(-1) <= 1 + 1e-5).all()


def test_without_demonstrations_there_is_nothing_to_attend_to(tiny_model):
    none = iclviz.Demonstrations("none", 0)
    recording = iclviz.run(str(tiny_model), "linear_regression", none, 4, record=("demonstration_attention",))
    assert recording.demonstration_attention.shape == (4, LAYERS, HEADS, 0)
    assert recording.marks == [[]] * 4
