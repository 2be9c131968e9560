import pytest

import iclviz
from iclviz.jobs.queue import Queue
from iclviz.mapping import MapSpec
from iclviz.spec import RunSpec
from iclviz.store import Store
from tests.pages.conftest import charts, labels, opened, pressed, record, said, text, the_run, widget


def test_a_first_click_asks_for_task_vectors_of_the_condition_with_demonstrations(recorded):
    test = opened("vectors", recorded)
    assert not test.exception
    assert "How much of what demonstrations do comes back with one state of another item?" in said(test)
    pressed(test, "Act on B")
    (job,) = [job for job in Queue(Store()).jobs() if job.is_open]
    assert str(job.spec.grid).startswith("task_vector shown=correct k=2")
    assert job.spec.run.demonstrations.k == 0


def test_where_the_run_without_demonstrations_is_not_there_one_click_asks_for_both(recorded):
    both = {**recorded, "a_kind": "shuffled", "a_k": 2}
    record(both)
    for one in [one for one in iclviz.runs() if one.spec.demonstrations.k == 0]:
        Store().delete(one.key)
    test = opened("vectors", both)
    pressed(test, "Try it")
    kinds = {type(job.spec) for job in Queue(Store()).jobs() if job.is_open}
    assert kinds == {MapSpec, RunSpec}


@pytest.mark.parametrize("kind", ["task_vector", "function_vector"])
def test_shares_are_drawn_and_said(recorded, kind):
    iclviz.effect_map(the_run(0), f"{kind} shown=correct k=2", progress=False)
    test = opened("vectors", {**recorded, "vector": kind})
    assert not test.exception
    assert len(charts(test)) == 1
    assert "B: " in text(test)
    widget(test.selectbox, "Effect on").set_value("answer").run()
    assert not test.exception
    assert len(charts(test)) == 1


def test_options_are_typed_and_a_wrong_one_says_what_is_wrong(recorded):
    test = opened("vectors", {**recorded, "vector_options": "draws=0"})
    assert not test.exception
    assert "draws = 0 does not fit" in test.error[0].value
    assert "Act on B" not in labels(test)


def test_without_any_demonstrations_it_says_what_to_choose(recorded):
    test = opened("vectors", {**recorded, "b_kind": "none", "b_k": 0})
    assert not test.exception
    assert "Vectors are of demonstrations" in said(test)
