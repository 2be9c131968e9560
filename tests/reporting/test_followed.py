from types import SimpleNamespace

from iclviz.reporting.followed import ANSWERING, NONE, OTHER, followed, followed_sentence
from iclviz.spans import Span

TASK = SimpleNamespace(has_statements=True)


def recording():
    """Three items that say the same: one is answered, one takes the other statement, one takes none."""
    tokens = ["Mia ", "sings. ", "Bob ", "runs. ", "Who ", "is ", "Mia?"]
    spans = [Span("relevant", 0, 2), Span("irrelevant", 2, 4), Span("question", 4, 7)]
    return SimpleNamespace(
        n_items=4,
        tokens=[tokens] * 4,
        spans=[spans] * 4,
        parsed=["sings", "runs", "sleeps", None],
        scores={"right": [1, 0, 0, 0]},
    )


def test_a_response_followed_the_statement_that_answers_another_or_none():
    assert followed(recording(), TASK) == [ANSWERING, OTHER, NONE, NONE]


def test_a_task_without_statements_has_none_to_follow():
    assert followed(recording(), SimpleNamespace(has_statements=False)) == []
    assert followed_sentence({"A": []}) == ""


def test_they_are_counted_in_a_and_in_b():
    told = followed_sentence({"A": [ANSWERING, OTHER], "B": [ANSWERING, ANSWERING]})
    assert told.startswith(
        "Responses followed: the answering statement 1 in A and 2 in B; another statement 1 in A and 0"
    )
