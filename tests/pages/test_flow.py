import pytest

import iclviz
from iclviz.jobs.queue import Queue
from iclviz.store import Store
from tests.pages.conftest import charts, opened, pressed, record, said


@pytest.fixture
def recorded(of_task):
    chosen = {**of_task("reading_comprehension"), "items": 16}
    record(chosen)
    return chosen


def test_a_click_follows_the_condition_that_has_demonstrations(recorded):
    test = opened("flow", recorded)
    assert not test.exception
    assert "In which blocks do the demonstrations' answers gather what was read" in said(test)
    pressed(test, "Follow B")
    (job,) = [job for job in Queue(Store()).jobs() if job.is_open]
    assert (str(job.spec.grid), job.spec.run.demonstrations.k) == ("information_flow", 2)


def test_what_was_followed_is_drawn(recorded):
    key = next(one.key for one in iclviz.runs() if one.spec.demonstrations.k == 2)
    iclviz.trace(key, "information_flow", progress=False)
    test = opened("flow", recorded)
    assert not test.exception
    assert len(charts(test)) == 1


def test_without_demonstrations_it_says_what_to_choose(recorded):
    test = opened("flow", {**recorded, "b_kind": "none", "b_k": 0})
    assert not test.exception
    assert "Choose a condition that has demonstrations" in said(test)
