import iclviz
from iclviz.jobs.queue import Queue
from iclviz.store import Store
from tests.pages.conftest import charts, opened, pressed, said, the_run


def test_a_click_follows_the_condition_that_has_demonstrations(recorded):
    test = opened("flow", recorded)
    assert not test.exception
    assert "In which blocks do the demonstrations' answers gather what was read" in said(test)
    pressed(test, "Follow B")
    (job,) = [job for job in Queue(Store()).jobs() if job.is_open]
    assert (str(job.spec.grid), job.spec.run.demonstrations.k) == ("information_flow", 2)


def test_what_was_followed_is_drawn(recorded):
    iclviz.trace(the_run(2), "information_flow", progress=False)
    test = opened("flow", recorded)
    assert not test.exception
    assert len(charts(test)) == 1


def test_without_demonstrations_it_says_what_to_choose(recorded):
    test = opened("flow", {**recorded, "b_kind": "none", "b_k": 0})
    assert not test.exception
    assert "Choose a condition that has demonstrations" in said(test)
