"""Moving states along a probe's direction."""

import numpy as np
import pytest
import torch

from iclviz.capture.effects import candidate_logprobs
from iclviz.capture.plan import PlanSettings
from iclviz.capture.pooling import blocks_of
from iclviz.capture.sites import donors_of, folds_of
from iclviz.errors import SpecError
from iclviz.intervening import At
from iclviz.interventions.steer import Steer
from tests.capture.models import LAYERS, marked, random_prompt, tiny
from tests.capture.test_effects import ready
from tests.oracles.acting import rows_of
from tests.oracles.capture import candidate_logprob_slowly

N = 16
PROMPTS = [marked(random_prompt(np.random.default_rng(place), 10 + place % 4)) for place in range(N)]
GROUPS = [place // 2 for place in range(N)]
IS_CLASS = [(float(place // 2 % 2),) for place in range(N)]
NUMBERS = [(float(place // 2),) for place in range(N)]
SETTINGS = PlanSettings(10_000, 1, pass_tokens=0)


def last_states(model, layer):
    """(n, d) what leaves a block at each prompt's last token."""
    found = []
    for prompt in PROMPTS:
        with torch.no_grad():
            states = model(input_ids=torch.tensor([prompt.ids]), output_hidden_states=True, use_cache=False)
        found.append(states.hidden_states[layer][0, -1].double())
    return torch.stack(found)


@pytest.mark.parametrize("labels", [IS_CLASS, NUMBERS], ids=["class", "number"])
@pytest.mark.parametrize("random", [None, 1])
def test_it_equals_a_plain_hook_that_adds_the_direction_of_other_items(labels, random):
    one = Steer(label="kind", layers=(2,), dose=-1.5, random=random)
    donors = donors_of([one], PROMPTS, GROUPS, lambda _: (), lambda label: labels)
    found = candidate_logprobs(ready(tiny("llama")), PROMPTS, [[], [one]], SETTINGS, donors)
    assert not np.allclose(found[0], found[1], atol=1e-4)
    model, folds = tiny("llama"), np.array(folds_of(GROUPS))
    states = last_states(model, 2)
    for index, prompt in enumerate(PROMPTS[:6]):
        others = folds != folds[index]
        step = one.fitted(states[others], torch.tensor(labels).double()[others])
        moved = one.change(torch.zeros(1, states.shape[1]).double(), At(2, torch.zeros(1), donor=step[None]))[0].float()

        for number, candidate in enumerate(prompt.candidates):
            both = enumerate(zip(prompt.ids, candidate, strict=False))
            shared = next((place for place, (a, b) in both if a != b), len(prompt))
            rows = rows_of(prompt, "last", len(candidate), shared)

            def after(module, args, output, rows=rows, moved=moved):
                first = (output[0] if isinstance(output, tuple) else output).clone()
                first[0, rows] += moved
                return (first, *output[1:]) if isinstance(output, tuple) else first

            handle = blocks_of(model, LAYERS)[1].register_forward_hook(after)
            expected = candidate_logprob_slowly(model, candidate, shared)
            handle.remove()
            assert found[1, index, number] == pytest.approx(expected, abs=1e-4)


def test_the_direction_is_the_planted_one_and_as_long_as_states_vary_along_it():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(400, 6)), np.repeat([0.0, 1.0], 200)
    x[:, 2] += 4 * y
    step = Steer(label="kind", layers=(1,)).fitted(torch.tensor(x), torch.tensor(y[:, None]))[0]
    assert step[2] == pytest.approx(x[:, 2].std(), rel=0.1)
    assert step[[0, 1, 3, 4, 5]].abs().max() < 0.25 * step[2]


def test_no_dose_changes_nothing():
    one = Steer(label="kind", layers=(2,), dose=0)
    donors = donors_of([one], PROMPTS, GROUPS, lambda _: (), lambda label: IS_CLASS)
    found = candidate_logprobs(ready(tiny("llama")), PROMPTS, [[], [one]], SETTINGS, donors)
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def test_a_class_that_other_items_do_not_have_is_refused():
    with pytest.raises(SpecError, match="do not tell kind red from the rest"):
        Steer(label="kind", to="red", layers=(1,)).fitted(torch.randn(6, 4).double(), torch.zeros(6, 1).double())


def test_what_cannot_be_moved_is_refused():
    with pytest.raises(SpecError, match="moved in one block"):
        Steer(label="kind")
    with pytest.raises(SpecError, match="is no number"):
        Steer(label="kind", layers=(1,), dose="far")
