import json

import numpy as np
import pytest

from iclviz import analysis, extensions
from iclviz.analysis.measure import Measuring
from iclviz.answers import Answers
from iclviz.errors import AnalysisError
from iclviz.questions.question import Analysis, Question, Refusal, is_outdated
from iclviz.store import Store


@pytest.fixture
def store(own_cache):
    return Store(own_cache)


def ask(key="a", hypothesis="same_line"):
    return analysis.recording_alignment.of([key], hypothesis, "query_mean")


def test_the_way_of_asking_does_not_matter():
    named = analysis.recording_alignment.of(
        ["a"], hypothesis="same_line", pooling="query_mean", metric="cosine", method="spearman", drop_largest=0.0
    )
    assert named.digest == ask().digest


def test_another_recording_or_argument_is_another_question():
    assert len({ask().digest, ask("b").digest, ask(hypothesis="slope_similarity").digest}) == 3


def test_an_argument_that_the_analysis_does_not_take_is_refused_when_asking():
    with pytest.raises(TypeError):
        analysis.recording_alignment.of(["a"], "same_line", poolings="last")


def test_a_question_goes_to_json_and_back():
    question = analysis.measured.of(["a"], "attention_ratio", Measuring(rows="last", own={"b": 1, "a": None}))
    again = Question.from_dict(json.loads(json.dumps(question.to_dict())))
    assert again.digest == question.digest


def test_every_analysis_is_found_by_its_name():
    found = {name: one for name in analysis.__all__ if isinstance(one := getattr(analysis, name), Analysis)}
    assert len(found) > 20
    assert all(name == one.name and one.__doc__ for name, one in found.items())


@pytest.mark.parametrize("name", ["compare", "nothing", "os"])
def test_what_is_no_analysis_cannot_be_asked_for(name):
    with pytest.raises(ValueError, match="no analysis"):
        Question(name, ("a",), {}).answered([])


def test_an_answer_equals_what_the_analysis_gives(few_and_many):
    question = analysis.measured.of([few_and_many[1].key], "attention_ratio", Measuring(rows="last"))
    found = question.answered(few_and_many[1:])
    direct = analysis.measured(few_and_many[1], "attention_ratio", Measuring(rows="last"))
    np.testing.assert_array_equal(found.estimate, direct.estimate)


def test_answers_outlive_the_process_that_gave_them(few_and_many, store):
    question = analysis.recording_rsms.of([few_and_many[0].key])
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


def test_answers_of_a_measure_of_ones_own_are_those_of_its_file_as_it_is_now(tmp_path, monkeypatch):
    before = ask().digest
    monkeypatch.setenv(extensions.SETTING, str(tmp_path))
    (tmp_path / "measures").mkdir()
    assert ask().digest == before
    (tmp_path / "measures" / "mine.py").write_text("VALUE = 3\n")
    with_it = ask().digest
    (tmp_path / "measures" / "mine.py").write_text("VALUE = 4\n")
    assert len({before, with_it, ask().digest}) == 3
    assert not is_outdated()
