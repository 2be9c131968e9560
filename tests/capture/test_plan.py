from hypothesis import given
from hypothesis import strategies as st

from iclviz.capture.plan import BatchPlan, plan_batches


@given(lengths=st.lists(st.integers(1, 500), min_size=1, max_size=60), budget=st.integers(100, 2000))
def test_every_prompt_is_in_one_batch_within_the_budget(lengths, budget):
    plan = plan_batches(lengths, budget, 1)
    assert sorted(index for batch in plan.batches for index in batch) == list(range(len(lengths)))
    for batch in plan.batches:
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= budget


def test_batches_go_from_long_to_short():
    assert plan_batches([3, 9, 5, 9], 18, 1).batches == ((1, 3), (2, 0))


def test_a_plan_survives_json():
    plan = plan_batches([3, 9, 5], 10, 2)
    assert BatchPlan.from_dict(plan.to_dict()) == plan
