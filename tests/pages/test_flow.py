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


def test_further_sections_ask_for_what_is_not_there_and_then_show_it(recorded):
    shown = {**recorded, "section": "Answers isolated"}
    test = opened("flow", shown)
    pressed(test, "Act on B")
    iclviz.effect_map(the_run(2), "isolation", progress=False)
    test = opened("flow", shown)
    assert not test.exception
    assert len(charts(test)) == 1
    shown["section"] = "Answers re-weighted"
    assert "Not tried yet for B: a factor for each head" in said(opened("flow", shown))
    iclviz.trace(the_run(2), "reweighting", progress=False)
    test = opened("flow", shown)
    assert not test.exception
    assert len(charts(test)) == 1


def test_attention_and_the_own_answer_need_a_recording_and_shared_answers(recorded):
    """Its task's demonstrations have answers that no query has."""
    shown = {**recorded, "section": "Attention and own answer"}
    test = opened("flow", shown)
    assert "did not keep attention by demonstration" in said(test)
    iclviz.run_spec(iclviz.load(the_run(2)).spec.with_(record=("demonstration_attention",)))
    test = opened("flow", shown)
    assert not test.exception
    assert "cannot foretell its answer" in said(test)
