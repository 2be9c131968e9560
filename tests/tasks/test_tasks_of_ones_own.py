"""Tasks of one's own that are code: what they do not keep of what a task promises is told in a sentence."""

import re

import pytest

import iclviz
from iclviz import extensions
from iclviz.errors import UserError
from iclviz.places import checkout
from iclviz.tasks import problems

PAGE = (checkout() / "docs" / "extending.md").read_text()
SUMS = re.search(r'^```python title="tasks/sums.py"\n(.*?)^```$', PAGE, flags=re.MULTILINE | re.DOTALL).group(1)


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A function: put the worked example into a folder of one's own, with something replaced."""
    monkeypatch.setenv(extensions.SETTING, str(tmp_path / "own"))
    (tmp_path / "own" / "tasks").mkdir(parents=True)

    def write(before, after):
        assert before in SUMS
        (tmp_path / "own" / "tasks" / "sums.py").write_text(SUMS.replace(before, after))

    return write


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ('"carries", "right")', '"carries", "wright")', "Sums has no title 'wright'; it has carries, sum"),
        ('PrimaryAnalysis("query_mean"', 'PrimaryAnalysis("query"', "Sums has no pooling 'query'"),
        ('("none", "correct", "random"', '("none", "corect", "random"', "Sums has no demonstration kind 'corect'"),
        ('{"near_sum": "sum"}', "{}", "Sums has no hypothesis with a label 'near_sum'"),
        ('"chat": "Answer', '"talk": "Answer', "Sums has no instruction for the prompt style 'chat'"),
        ("options, foreign_task = ()", "options, foreign_task = (3,)", "the options of Sums are no tuple of Option"),
    ],
)
def test_what_a_class_does_not_keep_is_told_when_it_is_found(written, before, after, reason):
    written(before, after)
    assert f"The extension sums.py in {extensions.folders()[0] / 'tasks'} cannot be run" in str(problems()["sums"])
    assert reason in str(problems()["sums"])


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ('Segment("question"', 'Segment("qestion"', "there is no role 'qestion'; known: special, instruction"),
        ("for text, sum in queries]", "for text, sum in queries[1:]]", "data gives 5 items where 6"),
        ('"sum": sums}', '"sum": sums[1:]}', r"labels of data have sum in the shape (5,) where (6,) is needed"),
        ("similarity(sums)", "similarity(sums)[:2]", r"hypotheses of data have near_sum in the shape (2, 6)"),
        ("similarity(sums)", "np.triu(similarity(sums) + 1)", "the hypothesis near_sum is not symmetric"),
        ('("carries", "sum", "near_sum")', '("carries", "sum")', "data has no group for the hypothesis 'near_sum'"),
        ('"larger": pairs', '"smaller": pairs', "Sums has no title 'smaller'"),
        ("Item(text, ", 'Item("one", ', "two items have one id"),
        ('"right": np.array(right', '"right": np.array(right[1:]', "the scores have right in the shape (5,)"),
        ('{"right": np.array', '{"carries": np.array', "score has no entry 'right'"),
        ("Parsed(None, len(response))", "Parsed(None, len(response) + 1)", "parse ends at"),
        ("return Parsed(found", "return str(found) if found else Parsed(found", "and no Parsed"),
        ("pairs = rng.permutation(SHOWN)", "pairs = rng.permutation(SHOWNN)", "NameError: name 'SHOWNN'"),
    ],
)
def test_what_items_and_scores_do_not_keep_ends_the_run_in_a_sentence(written, tiny_model, before, after, reason):
    written(before, after)
    with pytest.raises(UserError) as refused:
        iclviz.run(str(tiny_model), "sums", iclviz.Demonstrations("correct", 2), 6)
    assert str(refused.value).startswith("The task sums of sums.py in ")
    assert reason in str(refused.value)
