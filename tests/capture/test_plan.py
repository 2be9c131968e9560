import pytest
from hypothesis import given
from hypothesis import strategies as st

from iclviz.capture.plan import LIKE, PlanSettings, plan_batches, tokens_read
from tests.capture.test_prefixes import TEXTS, distinct_positions

BUDGETS = st.integers(1, 60)


def groups(plan):
    return [group for root in plan for group in root.walk()]


def check_order(group, read=frozenset()):
    """Every prefix is read before those that go on from it, and before its prompts are decoded."""
    for rows in group.passes:
        assert all(row.parent is None or row.parent in read for row in rows)
        read = read.union(rows)
    assert all(leaf.last is None or leaf.last in read for leaf in group.leaves)
    for child in group.children:
        check_order(child, read)


@given(texts=TEXTS, budget=BUDGETS, pass_tokens=st.sampled_from([0, 40]), sharing=st.booleans())
def test_the_token_ranges_on_its_path_are_a_prompt(texts, budget, pass_tokens, sharing):
    plan = plan_batches(texts, PlanSettings(budget, 1, sharing, pass_tokens), new_tokens=2)
    leaves = {leaf.prompt: leaf for group in groups(plan) for leaf in group.leaves}
    assert sorted(leaves) == list(range(len(texts)))
    for prompt, leaf in leaves.items():
        tokens = [token for row in leaf.path for token in texts[row.prompts[0]][row.start : row.end]]
        assert tokens == list(texts[prompt])
    for root in plan:
        check_order(root)


@given(texts=TEXTS, budget=BUDGETS)
def test_where_passes_cost_nothing_everything_shared_is_read_once(texts, budget):
    assert tokens_read(plan_batches(texts, PlanSettings(budget, 1, pass_tokens=0))) == distinct_positions(texts)


def test_sharing_that_costs_more_passes_than_it_saves_is_left_out():
    texts = [[1, *range(10 * n, 10 * n + 9)] for n in range(1, 5)]
    (group,) = plan_batches(texts, PlanSettings(1000, 1))
    assert [len(rows) for rows in group.passes] == [4]


@pytest.mark.parametrize("budget", [40, 100, 1000])
def test_tokens_that_are_held_at_the_same_time_stay_within_the_budget(budget):
    texts = [[0] * 12 + [line] * 9 + [query, 3] for line in range(1, 6) for query in range(4, 8)]
    plan = plan_batches(texts, PlanSettings(budget, 1, pass_tokens=0), new_tokens=3)

    def most(group):
        own = sum(len(row) for rows in group.passes for row in rows) + len(group.leaves) * 4
        return own + max(map(most, group.children), default=0)

    assert max(map(most, plan)) <= budget


def test_a_pass_reads_rows_of_like_length_and_no_more_than_its_share_of_the_budget():
    plan = plan_batches([[n] * n for n in range(1, 40)], PlanSettings(400, 1))
    passes = [rows for group in groups(plan) for rows in group.passes]
    assert len(passes) < 30
    for rows in passes:
        lengths = [len(row) for row in rows]
        assert min(lengths) >= LIKE * max(lengths)
        assert len(rows) == 1 or max(lengths) * len(rows) <= 100


def test_prompts_of_all_conditions_of_a_sweep_are_decoded_together():
    points = [[100 * item + n for n in range(8)] for item in range(4)]
    texts = [[*own[:k], 9, item] for k in (2, 4, 8) for item, own in enumerate(points)]
    (group,) = plan_batches(texts, PlanSettings(1000, 1, pass_tokens=1))
    assert len(group.leaves) == 12
    assert tokens_read([group]) == 4 * 8 + 12 * 2


def test_short_stretches_are_read_first_so_that_longer_ones_share_a_pass():
    lines = [[1, 2, line, *[line] * 30] for line in (3, 4)] + [[line] * 33 for line in (5, 6)]
    texts = [[*line, query] for line in lines for query in (7, 8)]
    (group,) = plan_batches(texts, PlanSettings(1000, 1, pass_tokens=0))
    assert [sorted(len(row) for row in rows) for rows in group.passes] == [[2], [31, 31, 33, 33], [1] * 8]


def test_prompts_with_nothing_of_their_own_need_no_pass():
    (group,) = plan_batches([[1] * 50, [1] * 50], PlanSettings(1000, 1))
    assert [len(rows) for rows in group.passes] == [1]
    assert {leaf.last for leaf in group.leaves} == set(group.passes[0])


def test_without_sharing_each_prompt_runs_alone():
    plan = plan_batches([[1, 2], [1, 2], [1]], PlanSettings(1000, 1, sharing=False))
    assert [[leaf.prompt for leaf in group.leaves] for group in plan] == [[0], [1], [2]]
    assert tokens_read(plan) == 5
