import numpy as np
import pytest

from iclviz import analysis
from iclviz.answers import Answers
from iclviz.errors import AnalysisError, UserError
from iclviz.jobs.analyst import Analyst, analyse
from iclviz.jobs.asked import ANALYST, Asked
from iclviz.jobs.table import Progress
from iclviz.store import Store


@pytest.fixture
def asked(own_cache):
    return Asked(Store(own_cache))


def ask(key, pooling="query_mean"):
    return analysis.recording_rsms.of([key], pooling)


def submit(asked, question, asker=""):
    return asked.submit(question, question.digest, asker=asker)


def test_every_question_is_answered_and_forgotten(asked, few_and_many):
    questions = [ask(one.key) for one in few_and_many]
    for question in questions:
        submit(asked, question)
    analyse(asked.store, once=True)
    assert not asked.jobs()
    stacks = [Answers(asked.store).get(question) for question in questions]
    assert [stack.shape for stack in stacks] == [(4, 12, 12)] * 2
    assert not np.array_equal(*stacks)


def test_what_the_recordings_do_not_have_is_an_answer_too(asked, few_and_many):
    question = ask(few_and_many[0].key, "no such pooling")
    submit(asked, question)
    assert Analyst(asked).answer_next()
    with pytest.raises(AnalysisError, match="no such pooling"):
        Answers(asked.store).get(question)


def test_a_recording_that_is_gone_fails_with_a_sentence(asked):
    question = ask("a" * 32)
    submit(asked, question)
    assert Analyst(asked).answer_next()
    job = asked.get(question.digest)
    assert job.state == "failed"
    assert "no recording" in job.error


def test_a_fault_of_the_program_fails_that_question_alone(asked, few_and_many, monkeypatch):
    broken, sound = ask(few_and_many[0].key, "last"), ask(few_and_many[0].key)
    submit(asked, broken)
    submit(asked, sound)
    answered = type(sound).answered

    def breaking(question, runs):
        if question.digest == broken.digest:
            raise ZeroDivisionError("so")
        return answered(question, runs)

    monkeypatch.setattr(type(sound), "answered", breaking)
    analyse(asked.store, once=True)
    assert "ZeroDivisionError" in asked.get(broken.digest).error
    assert sound in Answers(asked.store)


def test_an_analyst_of_older_code_makes_room_for_a_newer_one(asked, few_and_many, monkeypatch):
    question = ask(few_and_many[0].key)
    analyst = Analyst(asked)
    asked.submit(question, "digest of newer analyses")
    monkeypatch.setattr("iclviz.questions.question._version_on_disk", lambda: "newer")
    with pytest.raises(UserError, match="have changed"):
        analyst.answer_next()
    assert asked.get("digest of newer analyses").state == "queued"


def test_a_page_of_older_code_is_told_to_start_again(asked, few_and_many):
    asked.submit(ask(few_and_many[0].key), "digest of older analyses")
    assert Analyst(asked).answer_next()
    assert "Start it again" in asked.get("digest of older analyses").error


def test_askers_take_turns(asked):
    for number in range(3):
        submit(asked, ask(f"a{number}"), "first")
    submit(asked, ask("b0"), "second")
    served = []
    while job := asked.next():
        served.append(job.spec.keys[0])
        asked.start(job.key)
        asked.finish(job.key, "done")
    assert served == ["a0", "b0", "a1", "a2"]


def test_a_question_that_nobody_waits_for_is_dropped_unless_it_is_being_answered(asked):
    waiting, running = (submit(asked, ask(name)) for name in "ab")
    asked.start(running.key)
    for job in (waiting, running):
        asked.drop(job.key)
    assert [job.key for job in asked.jobs()] == [running.key]


def test_there_is_one_analyst(asked):
    with asked.worker_lease(ANALYST), pytest.raises(UserError, match="Another analyst"):
        analyse(asked.store, once=True)


def test_progress_is_told_while_a_question_is_answered(asked, few_and_many, monkeypatch):
    monkeypatch.setattr("iclviz.jobs.analyst.TELL_SECONDS", 0.0)
    told = []
    change = asked.change
    monkeypatch.setattr(asked, "change", lambda key, **fields: told.append(fields) or change(key, **fields))
    submit(asked, analysis.recording_alignment.of([few_and_many[0].key], "same_line"))
    Analyst(asked).answer_next()
    assert any(isinstance(one.get("progress"), Progress) for one in told)


def test_a_question_that_ends_its_analyst_three_times_fails_with_that_sentence(asked):
    question = ask("a" * 32)
    submit(asked, question)
    for _ in range(3):
        asked.start(asked.next().key)
    assert asked.next() is None
    assert "ended its analyst 3 times" in asked.get(question.digest).error
