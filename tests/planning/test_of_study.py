import json
from dataclasses import replace

import pytest

import iclviz
from iclviz.errors import ModelError
from iclviz.planning import of_study
from iclviz.planning.of_study import planned
from iclviz.planning.planned import planned as run_planned
from iclviz.planning.words import size, study_lines, study_rows
from iclviz.store import Store
from iclviz.studies import Kept, state_of
from iclviz.study import study

pytestmark = pytest.mark.usefixtures("at_once")


@pytest.fixture
def asked(tiny_model):
    return study(
        {
            "study": "small",
            "models": [str(tiny_model)],
            "tasks": {"reading": {"task": "reading_comprehension", "n_items": 8, "max_new_tokens": 1}},
            "conditions": {"none": {"kind": "none"}, "correct": {"kind": "correct", "k": [1, 2]}},
            "seeds": [0, 1],
            "maps": ["isolation width=1", "parts", "information_flow"],
        }
    )


def plan_of(asked):
    store = Store()
    return planned(state_of(Kept(asked), store), store)


def test_a_plan_counts_what_prompts_share_and_what_is_left(asked):
    plan = plan_of(asked)
    assert [(group.n_runs, group.n_items) for group in plan.groups] == [(3, 24), (2, 16)]
    assert (plan.n_missing, plan.n_there) == (5, 0)
    assert all(group.read < group.tokens for group in plan.groups)
    recordings = iclviz.sweep([cell.spec for cell in asked.cells], progress=False)
    tokens = sum(len(ids) for one in recordings for ids in one.prompt_ids)
    assert sum(group.tokens for group in plan.groups) == tokens
    after = plan_of(asked)
    assert (after.n_missing, after.n_there, after.groups) == (0, 5, ())
    assert after.n_maps == plan.n_maps


def test_one_run_takes_what_its_own_plan_says(asked):
    one = replace(asked, conditions=asked.conditions[-1:], seeds=(0,), maps=())
    (group,) = plan_of(one).groups
    alone = run_planned(one.cells[0].spec, on="this machine")
    assert group.read == alone.reading.read
    assert group.cost == of_study.Cost(alone.memory.total, alone.memory.disk, alone.seconds.total)


def test_maps_of_several_seeds_are_counted_and_what_is_not_foretold_is_named(asked):
    plan = plan_of(asked)
    (model,) = {one.model for one in plan.maps}
    n_maps = {one.title: one.n_maps for one in plan.maps}
    assert n_maps["isolation width=1"] == 4
    assert n_maps["parts"] == 5
    assert plan.n_maps == 15
    assert any(line.startswith("isolation width=1 of reading, none") for line in plan.unforetold)
    assert any(line.startswith("information_flow") for line in plan.unforetold)
    both = [one.cost for one in (*plan.groups, *plan.maps)]
    assert plan.models[model].memory == max(one.memory for one in both)
    assert plan.models[model].disk == sum(one.disk for one in both)
    assert plan.models[model].seconds == pytest.approx(sum(one.seconds for one in both))


def test_a_map_under_other_demonstrations_reads_the_items_again_at_each_site(asked):
    orders = replace(study({**asked.to_dict(), "maps": ["orders sets=2 orders=2"]}), seeds=(0,))
    (maps,) = plan_of(orders).maps
    run = next(cell.spec for cell in orders.cells if cell.condition == "correct, k = 2")
    assert maps.n_maps == 1  # one demonstration has no other order
    assert maps.read == (1 + 2 * 2) * run_planned(run, on="this machine").reading.read


def test_donors_of_a_map_are_named(asked):
    plan = plan_of(replace(study({**asked.to_dict(), "maps": ["patch shown=correct k=1"]}), seeds=(0,)))
    assert any(line.endswith("the texts whose values are put in place") for line in plan.unforetold)


def test_a_model_whose_code_cannot_be_counted_is_named(asked, monkeypatch):
    def refused(*anything):
        raise ModelError("No model can be made of it.")

    monkeypatch.setattr(of_study, "counts_of", refused)
    plan = plan_of(asked)
    assert plan.groups[0].cost is None
    assert plan.groups[0].read < plan.groups[0].tokens
    assert any("No model can be made of it" in line for line in plan.unforetold)
    assert next(study_rows(plan))[-1] == "?"


def test_it_is_plain_json_and_lines(asked):
    plan = plan_of(asked)
    values = json.loads(json.dumps(plan.to_dict()))
    assert values["groups"][0]["cost"]["seconds"] > 0
    (cost,) = values["models"].values()
    lines = list(study_lines(plan))
    assert any(size(cost["memory"]) in line and "on this machine" in line for line in lines)
    assert len(list(study_rows(plan))) == len(plan.groups) + len(plan.maps)
