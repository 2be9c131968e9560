import numpy as np
import pytest

import iclviz
from iclviz.analysis.acting_on_item import changed_item
from iclviz.errors import ModelError
from iclviz.intervening import intervention
from iclviz.jobs.live import LiveAnswers, LiveTable
from iclviz.jobs.live_acting import Acting, act
from iclviz.jobs.live_model import LiveModel
from iclviz.live import LiveAnswer, LiveSpec
from iclviz.mapping import as_mapped
from iclviz.spec import Demonstrations, RunSpec
from iclviz.store import Store


@pytest.fixture
def recording(tiny_model):
    return iclviz.run_spec(RunSpec(str(tiny_model), "reading_comprehension", Demonstrations("correct", 2), 6))


@pytest.fixture
def store(own_cache, recording):
    return Store(own_cache)


def asked(recording, *typed, item=1, writes=False):
    done = tuple(intervention(one) for one in typed)
    return LiveSpec(as_mapped(recording.spec), item, done, recording.origin.model, writes)


CUTS = [
    "knock_out to=relevant",
    "ablate layers=2 heads=1",
    "ablate of=mlp to=resample layers=2",
    "patch shown=none k=0",
]


@pytest.mark.parametrize("typed", [None, *CUTS])
def test_it_says_of_one_item_what_a_run_of_all_says(recording, store, typed):
    done = [typed] if typed else []
    run = iclviz.run_spec(recording.spec.with_(interventions=tuple(done)))
    model = LiveModel(store)
    for item in range(recording.n_items):
        found = model.answer(asked(recording, *done, item=item, writes=True))
        assert found.logprobs[0] == pytest.approx(run.scores["answer_logprob"][item], abs=1e-4)
        assert found.margin == pytest.approx(run.scores["logprob_margin"][item], abs=1e-4)
        assert run.responses[item].startswith(found.response)
        for role, masses in found.attention.items():
            np.testing.assert_allclose(masses, run.attention_last[role][item].mean(axis=1), atol=1e-5)
        assert (found.acted > 0) is bool(done)


def test_what_is_done_in_the_run_is_done_live_too(recording, store):
    cut = iclviz.run_spec(recording.spec.with_(interventions=("knock_out to=relevant",)))
    found = LiveModel(store).answer(asked(cut, item=2))
    assert found.logprobs[0] == pytest.approx(cut.scores["answer_logprob"][2], abs=1e-4)


def test_specs_and_answers_come_back_from_json(recording):
    spec = asked(recording, *CUTS, writes=True)
    assert LiveSpec.from_dict(spec.to_dict()) == spec
    assert LiveSpec.from_dict(spec.to_dict()).key == spec.key
    assert spec.key != asked(recording, *CUTS).key
    answer = LiveAnswer(["a", "b"], [-1.0, -2.0], "a", {"relevant": [0.1]}, 1, 1, 0.1)
    assert LiveAnswer.from_dict(answer.to_dict()) == answer


def test_the_process_answers_what_was_asked_last_and_forgets_what_is_not_wanted_any_more(recording, store):
    table, answers = LiveTable(store), LiveAnswers(store)
    specs = [asked(recording, typed) for typed in CUTS[:3]]
    for spec in specs:
        table.submit(spec, spec.key, asker="one")
    other = asked(recording, item=3)
    table.submit(other, other.key, asker="other")
    act(store, once=True)
    assert [answers.get(spec.key) is not None for spec in (*specs, other)] == [False, False, True, True]
    assert not table.jobs()


def test_what_cannot_be_done_fails_with_its_sentence(recording, store):
    table = LiveTable(store)
    for spec, sentence in (
        (asked(recording, "ablate layers=99"), "There is no block 99"),
        (asked(recording, item=40), "There is no item 40"),
        (asked(recording, "knock_out to=instruction"), "Nothing is done by this"),
    ):
        table.submit(spec, spec.key, asker="one")
        Acting(table).answer_next()
        job = table.get(spec.key)
        assert job.state == "failed"
        assert sentence in job.error
        table.remove(spec.key)


def test_a_model_whose_files_are_others_now_is_refused(recording, store):
    spec = asked(recording)
    other = LiveSpec(spec.run, spec.item, spec.done, "files-of-another")
    with pytest.raises(ModelError, match="changed since"):
        LiveModel(store).answer(other)


def test_a_change_is_of_probabilities_among_the_candidates():
    before = LiveAnswer(["x", "y"], [-1.0, -2.0], "", {"relevant": [0.2, 0.3], "question": [0.1, 0.1]}, -1, -1, 0.1)
    after = LiveAnswer(["x", "y"], [-3.0, -2.0], "", {"question": [0.4, 0.1]}, 1, 1, 0.1)
    found = changed_item(before, after)
    assert sum(found.before) == pytest.approx(1)
    assert found.before[0] == pytest.approx(1 / (1 + np.exp(-1)))
    assert (found.margin_before, found.margin_after) == (1.0, -1.0)
    assert found.attention_change == {"relevant": [-0.2, -0.3], "question": [pytest.approx(0.3), 0.0]}
