"""What every task promises, whatever it asks."""

from itertools import pairwise

import numpy as np
import pytest

from iclviz.errors import SpecError
from iclviz.spec import Demonstrations
from iclviz.tasks import task, tasks

SOLVED = ("correct", "shuffled", "random", "out-of-domain")


@pytest.fixture(params=list(tasks()))
def one(request):
    return task(request.param)


def made(one, n_items=24, seed=0, **options):
    resolved = one.resolve_options(options, "plain")
    return one.data(n_items, seed, resolved), resolved


def texts(one, demonstrations, n_items=24, **options):
    data, resolved = made(one, n_items, **options)
    return [prompt.text for prompt in one.prompts(data, demonstrations, resolved)]


def test_every_table_has_an_entry_for_each_item(one):
    data, _ = made(one)
    for table in (data.labels, data.groups, data.covariates):
        assert all(len(values) == 24 for values in table.values())
    for matrix in data.hypotheses.values():
        assert matrix.shape == (24, 24)
        np.testing.assert_array_equal(matrix, matrix.T)


def test_every_hypothesis_has_its_unit_and_labels_with_groups_exist(one):
    data, _ = made(one)
    assert set(data.hypotheses) <= set(data.groups)
    assert set(data.groups) <= set(data.hypotheses) | set(data.labels)


def test_the_primary_analysis_names_things_that_exist(one):
    data, _ = made(one)
    scores = one.score(data, [item.answer for item in data.items], np.full((24, 8), -1.0))
    assert one.primary.hypothesis in data.hypotheses
    assert one.primary.label in data.labels
    assert one.primary.label in data.groups
    assert one.primary.score in scores


def test_every_name_has_a_title(one):
    data, _ = made(one)
    scores = one.score(data, [item.answer for item in data.items], np.full((24, 8), -1.0))
    for name in [*data.labels, *data.hypotheses, *scores, *data.covariates]:
        assert one.titles[name]
    assert {name: one.hypothesis_labels[name] in data.labels for name in data.hypotheses}


def test_item_ids_differ_and_do_not_depend_on_demonstrations(one):
    data, _ = made(one)
    ids = [item.id for item in data.items]
    assert len(set(ids)) == len(ids)


def test_the_same_seed_gives_the_same_text_and_another_seed_another(one):
    demonstrations = Demonstrations("correct", 3, 0)
    assert texts(one, demonstrations) == texts(one, demonstrations)
    assert texts(one, demonstrations) != texts(one, Demonstrations("correct", 3, 1))


@pytest.mark.parametrize("kind", SOLVED)
def test_the_set_for_k_plus_one_starts_with_the_set_for_k(one, kind):
    data, options = made(one)
    for index in (0, 7):
        sets = [one.demonstrations(data, index, Demonstrations(kind, k, 0), options) for k in range(1, 7)]
        for fewer, more in pairwise(sets):
            assert more[: len(fewer)] == fewer


@pytest.mark.parametrize("kind", SOLVED)
def test_the_query_is_the_same_text_under_any_demonstrations(one, kind):
    data, options = made(one)
    shown = one.prompts(data, Demonstrations(kind, 3, 0), options)
    bare = one.prompts(data, Demonstrations("none", 0, 0), options)
    assert [prompt.query for prompt in shown] == [prompt.query for prompt in bare]


def test_out_of_domain_demonstrations_have_the_role_demonstration(one):
    data, options = made(one)
    shown = one.demonstrations(data, 0, Demonstrations("out-of-domain", 3, 0), options)
    assert {segment.role for segment in shown} == {"demonstration"}


def test_the_right_answer_is_parsed_as_right(one):
    data, _ = made(one)
    parsed = [one.parse(item.candidates[0]) for item in data.items]
    assert [entry.value for entry in parsed] == [item.answer for item in data.items]
    assert all(entry.end <= len(item.candidates[0]) for entry, item in zip(parsed, data.items, strict=True))


@pytest.mark.parametrize("response", ["", "\n", "   ", "I cannot say.", "😀", "…"])
def test_an_unparseable_response_gets_the_worst_main_score(one, response):
    data, _ = made(one)
    assert one.parse(response).value is None
    assert one.parse(response).end == len(response)
    answers = [item.answer for item in data.items]
    right = one.score(data, answers, np.full((24, 8), -1.0))[one.primary.score]
    failed = one.score(data, [None, *answers[1:]], np.full((24, 8), -1.0))[one.primary.score]
    assert np.isfinite(failed).all()
    assert failed[0] < right[0]


def test_an_unknown_option_lists_the_known_ones(one):
    with pytest.raises(SpecError, match=one.options[0].name):
        one.resolve_options({"nonsense": 1}, "plain")


def test_an_unknown_kind_lists_the_known_ones(one):
    with pytest.raises(SpecError, match="shuffled"):
        one.check_demonstrations(Demonstrations("nonsense", 2))


def test_more_items_than_there_are_says_how_many(one):
    with pytest.raises(SpecError, match="Take n_items <="):
        made(one, n_items=10**6)


def test_an_instruction_is_one_segment_before_everything(one):
    data, options = made(one, instruction="Do this.")
    prompt = one.prompts(data, Demonstrations("correct", 2, 0), options)[0]
    assert prompt.segments[0].role == "instruction"
    assert prompt.text.startswith("Do this.\n")


def test_a_path_says_that_own_tasks_are_not_read():
    with pytest.raises(SpecError, match="reads no task files"):
        task("my_tasks/items.csv")


@pytest.mark.parametrize("name", ["items.csv", "mine.py", "a/b"])
def test_a_file_name_is_taken_for_a_path(name):
    with pytest.raises(SpecError, match="reads no task files"):
        task(name)


def test_an_unknown_task_lists_the_known_ones():
    with pytest.raises(SpecError, match="linear_regression"):
        task("nonsense")
