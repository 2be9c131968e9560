import pytest

import iclviz
from iclviz.jobs.queue import Queue
from iclviz.store import Store
from tests.pages.conftest import charts, labels, opened, pressed, said, text, the_run


def test_a_click_moves_the_label_of_the_answer_in_both_conditions(recorded):
    test = opened("competence", recorded)
    assert not test.exception
    assert "Does the answer follow its label, and stay when another one is moved?" in said(test)
    pressed(test, "Act on A and B")
    grids = {str(job.spec.grid) for job in Queue(Store()).jobs() if job.is_open}
    (one,) = grids
    assert one.startswith("competence label=answer control=")


def test_what_was_moved_is_drawn_and_said(recorded):
    of = "competence label=answer control=position every=1"
    for k in (0, 2):
        iclviz.effect_map(the_run(k), of, progress=False)
    test = opened("competence", {**recorded, "beside": "position", "competence_options": "every=1"})
    assert not test.exception
    assert len(charts(test)) == 1
    assert "with answer moved in block" in text(test)


def test_labels_and_options_that_do_not_fit_are_said(recorded):
    test = opened("competence", {**recorded, "competence_options": "draws=0"})
    assert "draws = 0 does not fit" in test.error[0].value
    assert not [label for label in labels(test) if label.startswith("Act on")]


@pytest.mark.parametrize("label", ["name", "position"])
def test_a_label_whose_classes_are_no_answers_is_refused_when_it_is_made(recorded, label):
    control = "answer"
    with pytest.raises(iclviz.UserError, match="different right answers"):
        iclviz.effect_map(the_run(2), f"competence label={label} control={control}", progress=False)
