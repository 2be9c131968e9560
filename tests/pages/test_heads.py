import iclviz
from iclviz.jobs.queue import Queue
from iclviz.store import Store
from tests.pages.conftest import charts, labels, opened, pressed, said, text, the_run


def open_jobs():
    return {str(getattr(job.spec, "grid", "a run")) for job in Queue(Store()).jobs() if job.is_open}


def test_a_first_click_asks_for_the_catalogue(recorded):
    test = opened("heads", recorded)
    assert not test.exception
    assert "What kind of head is each?" in said(test)
    pressed(test, "Follow B")
    assert open_jobs() == {"head_catalogue"}


def test_scores_are_drawn_and_each_that_is_missing_has_a_button(recorded):
    iclviz.trace(the_run(2), "head_catalogue", progress=False)
    test = opened("heads", recorded)
    assert not test.exception
    assert len(charts(test)) == 1
    assert len(test.dataframe) == 1
    wanted = [f"Add: {what}" for what in ("Attention to answers", "Effect of ablating", "Function-vector score")]
    assert set(wanted) <= set(labels(test))
    pressed(test, "Add: Function-vector score")
    assert open_jobs() == {"a run", "head_means shown=correct k=2"}


def test_maps_of_heads_are_among_the_scores_and_a_head_is_seen_everywhere(recorded):
    iclviz.trace(the_run(2), "head_catalogue", progress=False)
    iclviz.effect_map(the_run(2), "heads", progress=False)
    test = opened("heads", {**recorded, "layer": 2, "head": "1"})
    assert not test.exception
    assert "Block 2, head 1:" in text(test)
    assert "Effect (nats)" in text(test)
    assert "Add: Effect of ablating" not in labels(test)
    assert {"What it attends to", "Ablate it on one item"} <= set(labels(test))
