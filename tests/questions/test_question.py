import json

import numpy as np
import pytest

from iclviz.analysis.measures import Measuring
from iclviz.errors import AnalysisError
from iclviz.questions import analyses
from iclviz.questions.answers import Answers
from iclviz.questions.question import ANALYSES, Question, Refusal
from iclviz.store import Store


@pytest.fixture
def store(own_cache):
    return Store(own_cache)


def ask(key="a", hypothesis="same_line"):
    return analyses.alignment.of([key], hypothesis, "query_mean", "cosine", "spearman", 0.0)


def test_the_way_of_asking_does_not_matter():
    named = analyses.alignment.of(
        ["a"], hypothesis="same_line", pooling="query_mean", metric="cosine", method="spearman", drop_largest=0.0
    )
    assert named.digest == ask().digest


def test_another_recording_or_argument_is_another_question():
    assert len({ask().digest, ask("b").digest, ask(hypothesis="slope_similarity").digest}) == 3


def test_an_argument_that_the_analysis_does_not_take_is_refused_when_asking():
    with pytest.raises(TypeError):
        analyses.alignment.of(["a"], "same_line")


def test_a_question_goes_to_json_and_back():
    question = analyses.log_ratio.of(["a"], Measuring(rows="last"))
    again = Question.from_dict(json.loads(json.dumps(question.to_dict())))
    assert again.digest == question.digest


def test_every_analysis_is_found_by_its_name():
    assert ANALYSES["alignment"] is analyses.alignment
    assert all(name == one.name and one.compute.__doc__ for name, one in ANALYSES.items())


def test_an_answer_equals_what_the_analysis_gives(few_and_many):
    question = analyses.log_ratio.of([few_and_many[1].key], Measuring(rows="last"))
    found = question.answered(few_and_many[1:])
    direct = analyses.log_ratio.compute(few_and_many[1:], Measuring(rows="last"))
    np.testing.assert_array_equal(found.mean, direct.mean)


def test_answers_outlive_the_process_that_gave_them(few_and_many, store):
    question = analyses.rsm_stack.of([few_and_many[0].key], "query_mean", "cosine", 0.0)
    assert Answers(store).get(question) is None
    assert question not in Answers(store)
    stack = question.answered(few_and_many[:1])
    Answers(store).put(question, stack)
    assert question in Answers(store)
    np.testing.assert_array_equal(Answers(store).get(question), stack)


def test_a_refusal_is_said_again_whenever_the_answer_is_read(store):
    Answers(store).put(ask(), Refusal("There is no such thing."))
    with pytest.raises(AnalysisError, match="no such thing"):
        Answers(store).get(ask())


def test_answers_of_other_code_are_not_believed(store, monkeypatch):
    Answers(store).put(ask(), 1)
    monkeypatch.setattr("iclviz.questions.question.analyses_version", lambda: "other")
    assert Answers(store).get(ask()) is None
