import pytest
from hypothesis import given
from hypothesis import strategies as st

from iclviz.capture.plan import PlanSettings, plan_batches
from tests.capture.test_prefixes import TEXTS, distinct_positions


def batches(plan):
    return [batch for root in plan for batch in root.walk()]


def ways(plan, before=()):
    """Each prompt with the rows on its way."""
    for batch in plan:
        for number, row in enumerate(batch.rows):
            way = (*(before[row.parent] if before else ()), row)
            if not batch.children:
                yield row.prompts[0], way
        if batch.children:
            here = [(*(before[row.parent] if before else ()), row) for row in batch.rows]
            assert {row.parent for child in batch.children for row in child.rows} == set(range(len(batch.rows)))
            yield from ways(batch.children, here)


def check_ways(plan, texts):
    found = dict(ways(plan))
    assert sorted(found) == list(range(len(texts)))
    for prompt, way in found.items():
        assert [token for row in way for token in texts[row.prompts[0]][row.start : row.end]] == list(texts[prompt])


@given(texts=TEXTS, budget=st.integers(1, 60), pass_tokens=st.sampled_from([0, 40]))
def test_the_rows_on_its_way_are_a_prompt(texts, budget, pass_tokens):
    check_ways(plan_batches(texts, PlanSettings(budget, 1, pass_tokens=pass_tokens), new_tokens=2), texts)


@given(texts=TEXTS)
def test_where_passes_cost_nothing_everything_shared_is_read_once(texts):
    plan = plan_batches(texts, PlanSettings(10**6, 1, pass_tokens=0))
    read = sum(len(row) for batch in batches(plan) for row in batch.rows)
    assert read == distinct_positions(texts)


def test_sharing_that_costs_more_passes_than_it_saves_is_left_out():
    texts = [[1, *range(10 * n, 10 * n + 9)] for n in range(1, 5)]
    (batch,) = plan_batches(texts, PlanSettings(1000, 1))
    assert len(batch.rows) == 4
    assert batch.width == 10


@pytest.mark.parametrize("budget", [40, 100, 1000])
def test_live_tokens_stay_within_the_budget(budget):
    texts = [[0] * 12 + [line] * 9 + [query, 3] for line in range(1, 6) for query in range(4, 8)]
    plan = plan_batches(texts, PlanSettings(budget, 1, pass_tokens=0), new_tokens=3)

    def most(batch):
        steps = 0 if batch.children else 3
        return len(batch.rows) * (batch.width + steps) + max(map(most, batch.children), default=0)

    assert max(map(most, plan)) <= budget


def test_longest_prompts_come_first_and_rows_are_of_like_length():
    plan = plan_batches([[n] * n for n in (3, 9, 5, 9)], PlanSettings(18, 1))
    assert [[row.prompts[0] for row in batch.rows] for batch in plan] == [[1, 3], [0, 2]]


def test_prompts_with_nothing_of_their_own_to_read_are_in_a_batch_without_a_pass():
    (root,) = plan_batches([[1] * 50, [1] * 50, [1] * 50 + [2]], PlanSettings(1000, 1))
    assert sorted(batch.width for batch in root.children) == [0, 1]


def test_without_sharing_each_prompt_runs_alone():
    plan = plan_batches([[1, 2], [1, 2], [1]], PlanSettings(1000, 1, sharing=False))
    assert [(batch.rows[0].prompts, batch.width) for batch in plan] == [((0,), 2), ((1,), 2), ((2,), 1)]


@given(texts=st.lists(st.lists(st.integers(0, 1), max_size=8), min_size=2, max_size=12))
def test_halves_hold_the_same_prompts_and_ways(texts):
    for batch in plan_batches(texts, PlanSettings(10**6, 1, pass_tokens=0)):
        if len(batch.rows) == 1:
            continue
        halves = batch.halves()
        assert halves[0].prompts | halves[1].prompts == batch.prompts
        assert not halves[0].prompts & halves[1].prompts
        for half in halves:
            own = sorted(half.prompts)
            found = dict(ways([half]))
            assert sorted(found) == own
            for prompt, way in found.items():
                tokens = [token for row in way for token in texts[row.prompts[0]][row.start : row.end]]
                assert tokens == list(texts[prompt][way[0].start :])
