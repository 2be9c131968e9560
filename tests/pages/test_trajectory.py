import pytest

import iclviz
from iclviz.jobs.queue import Queue
from iclviz.spec import Demonstrations, RunSpec
from iclviz.store import Store
from tests.pages.conftest import charts, looked_further, opened, pressed, record, said, sections, widget


@pytest.fixture
def recorded(of_task):
    """Reading comprehension, none against two demonstrations, with what the model would answer at each layer."""
    chosen = {**of_task("reading_comprehension"), "items": 8}
    for side in "ab":
        shown = Demonstrations(chosen[f"{side}_kind"], chosen[f"{side}_k"])
        iclviz.run_spec(
            RunSpec(chosen["a_model"], "reading_comprehension", shown, 8, record=("trajectory",)), progress=False
        )
    return chosen


def test_where_it_was_not_kept_a_button_records_it(chosen):
    record(chosen)
    test = opened("trajectory", chosen)
    assert not test.exception
    assert "did not keep what the model would answer" in said(test)
    assert not charts(test)
    pressed(test, "Record the trajectory of A and B")
    jobs = [job for job in Queue(Store()).jobs() if job.is_open]
    assert [job.spec.record for job in jobs] == [("trajectory",)] * 2


def test_every_section_shows_it(recorded):
    test = opened("trajectory", {**recorded, "record": ["trajectory"]})
    assert not test.exception
    assert len(charts(test)) == 1
    assert sections(test) == ["B minus A", "Right against wrong", "Over candidates", "One item"]
    for section in sections(test):
        looked_further(test, section)
        assert len(charts(test)) > 1 or "No item is" in said(test) or section == "Right against wrong"


def test_a_run_that_keeps_it_is_found_whatever_else_is_asked_for(recorded):
    record(recorded)
    test = opened("trajectory", recorded)
    assert len(charts(test)) == 1
    for quantity in ("rank", "entropy", "kl", "answer"):
        widget(test.selectbox, "Quantity").set_value(quantity).run()
        assert not test.exception
        assert len(charts(test)) == 1
