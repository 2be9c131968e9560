"""Erasing a label: equal to plain hooks and the library's own eraser, fitted on other items."""

import numpy as np
import pytest
import torch
from concept_erasure import LeaceFitter

from iclviz.capture.effects import candidate_logprobs
from iclviz.capture.plan import PlanSettings
from iclviz.capture.pooling import blocks_of
from iclviz.capture.sites import donors_of, folds_of
from iclviz.errors import SpecError
from iclviz.interventions.erase import Erase
from tests.capture.models import LAYERS, marked, random_prompt, tiny
from tests.capture.test_effects import ready
from tests.oracles.acting import rows_of
from tests.oracles.capture import candidate_logprob_slowly

N = 16
PROMPTS = [marked(random_prompt(np.random.default_rng(place), 10 + place % 4)) for place in range(N)]
GROUPS = [place // 2 for place in range(N)]
CLASSES = [tuple(float(place // 2 % 3 == one) for one in range(3)) for place in range(N)]
NUMBERS = [(float(place // 2),) for place in range(N)]
SETTINGS = PlanSettings(10_000, 1, pass_tokens=0)
CASES = {
    "a class at the last token": (Erase(label="kind", layers=(2,)), CLASSES),
    "a number at the last token": (Erase(label="size", layers=(1,)), NUMBERS),
    "a class over the query": (Erase(label="kind", layers=(2,), rows="query"), CLASSES),
    "a class in two blocks, one after the other": (Erase(label="kind", layers=(1, 3)), CLASSES),
    "a class from what an MLP adds": (Erase(label="kind", of="mlp", layers=(2,)), CLASSES),
}


def donors(one, labels):
    return donors_of([one], PROMPTS, GROUPS, lambda _: (), lambda label: labels)


def module_of(model, one, layer):
    block = blocks_of(model, LAYERS)[layer - 1]
    return block if one.of == "state" else block.mlp


def hooks(model, one, erasers, rows):
    """Plain hooks that erase at positions."""

    def hook(layer):
        def after(module, args, output):
            first = (output[0] if isinstance(output, tuple) else output).clone()
            first[0, rows] = erasers[layer](first[0, rows].double()).float()
            return (first, *output[1:]) if isinstance(output, tuple) else first

        return after

    return [module_of(model, one, layer).register_forward_hook(hook(layer)) for layer in erasers]


def states(model, one, prompt, layer, erasers):
    """(rows, d) what a part holds at the place, with lower blocks erased."""
    found = []
    rows = rows_of(prompt, one.rows, len(prompt), len(prompt))
    handles = hooks(model, one, erasers, rows)
    watch = module_of(model, one, layer).register_forward_hook(
        lambda module, args, output: found.append((output[0] if isinstance(output, tuple) else output)[0, rows])
    )
    with torch.no_grad():
        model(input_ids=torch.tensor([prompt.ids]), use_cache=False)
    for handle in [*handles, watch]:
        handle.remove()
    return found[0].double()


def fitted(model, one, labels, held_out):
    """Erasers by block, fitted on the items of other folds, each on states that are erased below."""
    erasers = {}
    training = [place for place in range(N) if folds_of(GROUPS)[place] != held_out]
    for layer in one.layers:
        x, z = [], []
        for place in training:
            own = states(model, one, PROMPTS[place], layer, dict(erasers))
            x.append(own)
            z += [labels[place]] * len(own)
        erasers[layer] = LeaceFitter.fit(torch.cat(x), torch.tensor(z).double()).eraser
    return erasers


@pytest.mark.parametrize("case", CASES)
def test_it_equals_plain_hooks_with_the_librarys_eraser(case):
    one, labels = CASES[case]
    found = candidate_logprobs(ready(tiny("llama")), PROMPTS, [[], [one]], SETTINGS, donors(one, labels))
    assert not np.allclose(found[0], found[1], atol=1e-4)
    model = tiny("llama")
    erasers = {fold: fitted(model, one, labels, fold) for fold in set(folds_of(GROUPS))}
    for index, prompt in enumerate(PROMPTS):
        for number, candidate in enumerate(prompt.candidates):
            shared = next(
                (i for i, (a, b) in enumerate(zip(prompt.ids, candidate, strict=False)) if a != b), len(prompt)
            )
            rows = rows_of(prompt, one.rows, len(candidate), shared)
            handles = hooks(model, one, erasers[folds_of(GROUPS)[index]], rows)
            expected = candidate_logprob_slowly(model, candidate, shared)
            for handle in handles:
                handle.remove()
            assert found[1, index, number] == pytest.approx(expected, abs=1e-4)


def test_no_linear_reader_tells_the_label_in_the_states_it_was_fitted_on():
    rng = np.random.default_rng(0)
    labels = torch.tensor([CLASSES[place % N] for place in range(200)]).double()
    x = torch.tensor(rng.normal(size=(200, 12))) + 3 * labels @ torch.tensor(rng.normal(size=(3, 12)))
    one = Erase(label="kind", layers=(1,))
    fit = one.fitted(x, labels)
    from iclviz.intervening import At

    erased = one.change(x, At(1, torch.arange(200), donor=fit.expand(200, *fit.shape)))
    centred = labels - labels.mean(0)
    before, after = ((states - states.mean(0)).T @ centred / 200 for states in (x, erased))
    assert before.abs().max() > 0.1
    assert after.abs().max() < 0.05 * before.abs().max()


def test_groups_stay_whole_in_folds_of_about_one_size():
    groups = [0] * 7 + [1, 1, 2, 2, 3, 4, 5, 6, 6, 7]
    folds = folds_of(groups)
    assert all(
        len({fold for fold, group in zip(folds, groups, strict=True) if group == one}) == 1 for one in set(groups)
    )
    assert len(set(folds)) == 4
    assert folds == folds_of(groups)


def test_what_cannot_be_erased_is_refused():
    with pytest.raises(SpecError, match="in blocks that are named"):
        Erase(label="kind")
    with pytest.raises(SpecError, match="not the same text in other items"):
        Erase(label="kind", layers=(1,), rows="all")
    with pytest.raises(SpecError, match="is no label"):
        Erase(label="", layers=(1,))
