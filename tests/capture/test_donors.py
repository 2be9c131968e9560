"""What other prompts hold, put in place of a prompt's own."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from iclviz.capture.effects import candidate_logprobs
from iclviz.capture.plan import PlanSettings
from iclviz.capture.sites import Donors, derangement, donors_of, matched
from iclviz.errors import SpecError
from iclviz.intervening import At
from iclviz.interventions.ablate import Ablate
from iclviz.interventions.function_vector import FunctionVector
from iclviz.interventions.patch import Patch
from iclviz.spans import Mark
from tests.capture.models import LAYERS, family, marked, random_prompt, tiny
from tests.capture.test_effects import ready
from tests.oracles.acting import NAME, acting_slowly
from tests.oracles.capture import candidate_logprob_slowly, set_eagerly

PROMPTS = [marked(prompt) for prompt in family() if len(prompt) > 6]
OTHERS = [marked(random_prompt(np.random.default_rng(place), 14 + place)) for place in range(len(PROMPTS))]
GROUPS = [place % 4 for place in range(len(PROMPTS))]
SETTINGS = PlanSettings(10_000, 1, pass_tokens=0)
PARTS = [(of, (2,)) for of in ("attention", "mlp")]
CASES = {
    "a head of another item": Ablate(to="resample", heads=(1,), layers=(2,)),
    "the mean of an MLP over the query": Ablate(of="mlp", to="mean", layers=(3,), rows="query"),
    "what a block of another item adds": Ablate(of="block", to="resample", layers=(2,), rows="query", draw=1),
    "attention of another item": Ablate(of="attention", to="resample", layers=(1, 3)),
    "a patched state": Patch(shown="none", k=0, layers=(2,)),
    "states patched over the query": Patch(shown="none", k=0, layers=(1, 2), rows="query"),
    "states patched at answers": Patch(shown="none", k=0, layers=(2,), rows="answer:*"),
    "a task vector": Patch(shown="none", k=0, layers=(2,), item="another", draw=1),
    "a head's mean under other demonstrations": Patch(
        of="head", shown="none", k=0, heads=(2,), layers=(3,), item="mean"
    ),
    "a function vector": FunctionVector(sources="1:0,3:2", shown="none", k=0, layers=(2,)),
    "a patched head": Patch(of="head", shown="none", k=0, heads=(0, 3), layers=(3,)),
}


def slowly(model, index, prompt, candidate, one, donors):
    shared = next((i for i, (a, b) in enumerate(zip(prompt.ids, candidate, strict=False)) if a != b), len(prompt))
    whose = [donors.prompts[place] for place in donors.of[index, one]]
    with acting_slowly(model, prompt, len(candidate), shared, [one], LAYERS, {one: whose}):
        set_eagerly(model, NAME)
        return candidate_logprob_slowly(model, candidate, shared)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_what_donors_hold_stands_in_place_as_the_slow_way_puts_it(name, case):
    one = CASES[case]
    donors = donors_of([one], PROMPTS, GROUPS, lambda _: OTHERS)
    found = candidate_logprobs(ready(tiny(name)), PROMPTS, [[], [one]], SETTINGS, donors)
    assert not np.allclose(found[0], found[1], atol=1e-4)
    model = tiny(name)
    for index, prompt in enumerate(PROMPTS):
        for number, candidate in enumerate(prompt.candidates):
            expected = slowly(model, index, prompt, candidate, one, donors)
            assert found[1, index, number] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("rows", ["last", "query", "answer:*", "question"])
def test_a_state_put_into_itself_changes_nothing(rows):
    one = Patch(shown="none", k=0, rows=rows)
    donors = Donors(PROMPTS, {(index, one): (index,) for index in range(len(PROMPTS))})
    found = candidate_logprobs(ready(tiny("llama")), PROMPTS, [[], [one]], SETTINGS, donors)
    np.testing.assert_allclose(found[1], found[0], atol=1e-5)


@pytest.mark.parametrize(
    "one",
    [
        Patch(shown="none", k=0, layers=(2,), item="random", draw=3),
        FunctionVector(sources="1:0", shown="none", k=0, layers=(2,), random=1),
    ],
)
def test_a_random_direction_is_as_long_as_what_it_stands_for_and_always_the_same(one):
    donor, values = torch.randn(5, 8), torch.randn(5, 8)
    at = At(2, torch.arange(5), donor=donor)
    drawn = one.change(values, at) - (values if one.kind == "function_vector" else 0)
    torch.testing.assert_close(drawn.norm(dim=-1), donor.norm(dim=-1))
    assert (drawn / donor.norm(dim=-1, keepdim=True)).std(dim=0).max() < 1e-5
    cosine = torch.nn.functional.cosine_similarity(drawn, donor)
    assert cosine.abs().max() < 0.999
    torch.testing.assert_close(one.change(values, at) - (values if one.kind == "function_vector" else 0), drawn)


def test_a_function_vector_names_heads_that_there_are():
    with pytest.raises(SpecError, match="are no heads"):
        FunctionVector(sources="1", shown="none")
    assert FunctionVector(sources="3:2,1:0,3:2", shown="none").sources == "1:0,3:2"
    one = FunctionVector(sources="1:99", shown="none", k=0, layers=(2,))
    with pytest.raises(SpecError, match="no head 99"):
        candidate_logprobs(
            ready(tiny("llama")), PROMPTS, [[one]], SETTINGS, donors_of([one], PROMPTS, GROUPS, lambda _: OTHERS)
        )


def test_sites_with_different_donors_are_never_read_as_one():
    sites = [[Ablate(to="resample", of="attention", layers=(1,), rows="query", draw=draw)] for draw in range(3)]
    donors = donors_of([one for site in sites for one in site], PROMPTS, GROUPS, lambda _: ())
    together = candidate_logprobs(ready(tiny("llama")), PROMPTS, sites, SETTINGS, donors)
    for place, site in enumerate(sites):
        alone = candidate_logprobs(ready(tiny("llama")), PROMPTS, [site], SETTINGS, donors)
        np.testing.assert_allclose(together[place], alone[0], atol=1e-5)


@pytest.mark.parametrize(
    "groups",
    [[0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1], list(range(7)), [0, 1, 1, 1, 2, 3]],
)
@pytest.mark.parametrize("draw", range(4))
def test_donors_are_of_other_groups_and_each_is_one_once_where_that_can_be(groups, draw):
    found = derangement(groups, draw)
    assert all(groups[item] != groups[donor] for item, donor in enumerate(found))
    if 2 * max(map(groups.count, groups)) <= len(groups):
        assert sorted(found) == list(range(len(groups)))
    assert found == derangement(groups, draw)


def test_items_of_one_group_are_each_others_donors():
    assert all(item != donor for item, donor in enumerate(derangement([0] * 5, 0)))


def test_draws_differ():
    assert len({tuple(derangement(list(range(8)), draw)) for draw in range(5)}) > 1


def test_what_is_the_same_for_all_items_is_refused():
    """A place in demonstrations that all items share."""
    prompt = marked(random_prompt(np.random.default_rng(0), 20))
    start = prompt.query_start
    ends = [[*prompt.ids[:start], *range(2 + n, 8 + n)] for n in range(3)]
    prompts = [replace(prompt, ids=ids, marks=[Mark("answer:0", 1, start)], candidates=[]) for ids in ends]
    with pytest.raises(SpecError, match="Nothing would change"):
        donors_of([Ablate(to="resample", rows="answer:0")], prompts, [0, 1, 2], lambda _: ())


def test_the_query_is_matched_from_its_end_and_marks_by_name_and_length():
    first, second = PROMPTS[0], OTHERS[0]
    pairs = matched(first, len(first), second, "query")
    assert pairs[len(first) - 1] == len(second) - 1
    assert len(pairs) == min(len(first) - first.query_start, len(second) - second.query_start)
    for at, there in matched(first, len(first), second, "answer:*").items():
        names = [next(m.name for m in one.marks if m.name[:6] == "answer" and m.start <= p < m.end)
                 for one, p in ((first, at), (second, there))]  # fmt: skip
        assert names[0] == names[1]


@pytest.mark.parametrize("rows", ["all", "response"])
def test_places_that_no_donor_has_are_refused(rows):
    with pytest.raises(SpecError, match="no other item has"):
        Ablate(to="mean", rows=rows)
    with pytest.raises(SpecError, match="has no like"):
        Patch(shown="none", rows=rows)
