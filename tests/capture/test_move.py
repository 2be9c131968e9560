"""Moving states to another class of a label."""

import math

import numpy as np
import pytest
import torch

from iclviz.capture.effects import candidate_logprobs
from iclviz.capture.pooling import blocks_of
from iclviz.capture.sites import donors_of, folds_of
from iclviz.errors import SpecError
from iclviz.intervening import At
from iclviz.interventions.move import Move
from tests.capture.models import LAYERS, tiny
from tests.capture.test_effects import ready
from tests.capture.test_steer import GROUPS, NUMBERS, PROMPTS, SETTINGS, last_states
from tests.oracles.acting import rows_of
from tests.oracles.capture import candidate_logprob_slowly

CLASSES = [tuple(float(place // 2 % 3 == own) for own in range(3)) for place in range(len(PROMPTS))]
NEXT = [(*one[-1:], *one[:-1]) for one in CLASSES]
HIGHER = [(one + 1,) for (one,) in NUMBERS]


@pytest.mark.parametrize(("labels", "to"), [(CLASSES, NEXT), (NUMBERS, HIGHER)], ids=["class", "number"])
@pytest.mark.parametrize("random", [None, 1])
def test_it_equals_a_plain_hook_that_moves_the_state_as_other_items_say(labels, to, random):
    one = Move(label="kind", layers=(2,), random=random)
    donors = donors_of([one], PROMPTS, GROUPS, lambda _: (), lambda label: labels, lambda target: to)
    found = candidate_logprobs(ready(tiny("llama")), PROMPTS, [[], [one]], SETTINGS, donors)
    model, folds = tiny("llama"), np.array(folds_of(GROUPS))
    states = last_states(model, 2)
    for index, prompt in enumerate(PROMPTS[:4]):
        others = folds != folds[index]
        fit = one.fitted(states[others], torch.tensor(labels).double()[others])[None]

        for number, candidate in enumerate(prompt.candidates):
            both = enumerate(zip(prompt.ids, candidate, strict=False))
            shared = next((place for place, (a, b) in both if a != b), len(prompt))
            rows = rows_of(prompt, "last", len(candidate), shared)

            def after(module, args, output, rows=rows, fit=fit, index=index):
                first = (output[0] if isinstance(output, tuple) else output).clone()
                own = first[0, rows].double()
                n = len(own)
                at = At(2, torch.zeros(n), donor=fit.expand(n, -1, -1), target=torch.tensor([to[index]] * n).double())
                first[0, rows] = one.change(own, at).float()
                return (first, *output[1:]) if isinstance(output, tuple) else first

            handle = blocks_of(model, LAYERS)[1].register_forward_hook(after)
            expected = candidate_logprob_slowly(model, candidate, shared)
            handle.remove()
            assert found[1, index, number] == pytest.approx(expected, abs=1e-4)


def test_a_linear_reader_finds_the_other_class_and_all_else_as_it_was():
    rng = np.random.default_rng(0)
    y = np.eye(3)[rng.integers(3, size=600)]
    x = rng.normal(size=(600, 8))
    x[:, :3] += 5 * y
    states, labels = torch.tensor(x), torch.tensor(y)
    one = Move(label="kind", layers=(1,))
    fit = one.fitted(states, labels)[None].expand(600, -1, -1)
    target = labels.roll(1, dims=1)
    moved = one.change(states, At(1, torch.zeros(600), donor=fit, target=target))
    means = torch.stack([states[labels[:, own] == 1].mean(dim=0) for own in range(3)])
    for own in range(3):
        torch.testing.assert_close(moved[target[:, own] == 1].mean(dim=0)[:3], means[own][:3], atol=0.4, rtol=0)
    assert (moved - states)[:, 3:].abs().max() < 0.6
    of_itself = one.change(states, At(1, torch.zeros(600), donor=fit, target=labels))
    again = one.change(of_itself, At(1, torch.zeros(600), donor=fit, target=labels))
    torch.testing.assert_close(again, of_itself, atol=1e-6, rtol=0)


def test_an_item_whose_label_has_nowhere_to_go_is_left_alone():
    one = Move(label="kind", layers=(2,))
    to = [(math.nan,) * 3 if place < 5 else own for place, own in enumerate(NEXT)]
    donors = donors_of([one], PROMPTS, GROUPS, lambda _: (), lambda label: CLASSES, lambda target: to)
    found = candidate_logprobs(ready(tiny("llama")), PROMPTS, [[], [one]], SETTINGS, donors)
    np.testing.assert_allclose(found[0, :5], found[1, :5], atol=1e-6)
    assert (np.abs(found[0, 5:] - found[1, 5:]).max(axis=-1) > 1e-4).all()


def test_one_eraser_serves_all_classes_and_directions():
    first, second = Move(label="kind", to="a", layers=(2,)), Move(label="kind", layers=(2,), draw=3, random=1)
    assert first.as_fitted == second.as_fitted
    assert first.as_fitted != Move(label="kind", layers=(1,)).as_fitted


def test_several_blocks_are_refused():
    with pytest.raises(SpecError, match="moved in one block"):
        Move(label="kind", layers=(1, 2))
