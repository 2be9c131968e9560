import re
from dataclasses import replace
from pathlib import Path

import pytest

import iclviz
from iclviz.errors import SpecError
from iclviz.reporting.methods import Resampling, methods
from iclviz.reporting.references import BIBTEX
from iclviz.spec import Demonstrations


@pytest.fixture
def runs(tiny_model):
    return [
        iclviz.run(str(tiny_model), "linear_regression", Demonstrations(kind, k, seed), 16, task_options={"noise": 2})
        for kind, k, seed in (("correct", 2, 0), ("correct", 2, 1), ("shuffled", 2, 0), ("none", 0, 0))
    ]


def test_it_says_exactly_what_was_run(runs):
    text = methods(runs).markdown
    for fact in (
        f"We analysed {Path(runs[0].spec.model).name} (identified by its files' content; 3 blocks",
        "float32",
        "16 items",
        "item seed 0",
        "noise = 2",
        "correct demonstrations, k = 2 (seed 0, 1)",
        "shuffled demonstrations, k = 2 (seed 0)",
        "no demonstrations",
        "(mean over the query)",
        "“Same line”",
        "1,000 permutations of single items",
        f"torch {runs[0].environment['torch']}",
    ):
        assert fact in text, fact


def test_runs_that_differ_in_their_order_are_told_apart_and_are_no_seeds(tiny_model):
    runs = [
        iclviz.run(str(tiny_model), "reading_comprehension", Demonstrations("correct", 3, order=order), 16)
        for order in (0, 2)
    ]
    text = methods(runs).markdown
    assert (
        "Conditions: correct demonstrations, k = 3 (seed 0); "
        "correct demonstrations, k = 3, in another order than drawn (order 2) (seed 0)"
    ) in text
    assert "over demonstration seeds" not in text


def test_runs_of_different_items_have_a_paragraph_each(runs, tiny_model):
    other = iclviz.run(str(tiny_model), "reading_comprehension", Demonstrations("none", 0), 16)
    text = methods([*runs, other]).markdown
    assert len(text.strip().split("\n\n")) == 2
    assert "reading comprehension" in text


def test_attention_is_told_of_the_conditions_that_have_irrelevant_text(tiny_model):
    options = {"distractor": True}
    a, b = (
        iclviz.run(str(tiny_model), "linear_regression", Demonstrations(kind, k), 16, task_options=options)
        for kind, k in (("none", 0), ("correct", 2))
    )
    assert "no attention ratio was computed" in methods([a]).markdown
    assert "in the conditions whose prompts hold irrelevant text" in methods([a, b]).markdown
    assert "in the conditions" not in methods([b]).markdown


def test_every_citation_has_its_entry_and_no_other(runs):
    written = methods(runs)
    cited = {key.strip(" @") for found in re.findall(r"\[(@[^\]]+)\]", written.markdown) for key in found.split(";")}
    assert cited
    assert set(re.findall(r"^@\w+\{([^,]+),", written.bibtex, re.MULTILINE)) == cited


def test_latex_cites_and_escapes(runs):
    latex = methods(runs).latex
    assert r"\citep{yousefi2023incontext}" in latex
    assert r"k = 2" in latex
    text = re.sub(r"\\citep\{[^}]*\}|\$[^$]*\$", "", latex)
    assert not re.search(r"(?<!\\)[%&#_$]", text)
    assert "log$_{10}$" in latex
    assert "[@" not in latex


def test_the_number_of_permutations_is_what_was_used(runs):
    assert "permuted in their own unit 200 times" in methods(runs, Resampling(probe_permutations=200)).markdown


def test_too_few_units_are_said(tiny_model):
    run = iclviz.run(str(tiny_model), "reading_comprehension", Demonstrations("none", 0), 6)
    assert "no p value is given" in methods([run]).markdown


def test_nothing_to_describe_is_refused():
    with pytest.raises(SpecError, match="No recording"):
        methods([])


def test_a_model_that_processes_shared_is_said_to_have_been(runs):
    shared = replace(runs[0], environment={**runs[0].environment, "processes": 4})
    words = ", shared by 4 processes by tensor parallelism)"
    assert words in methods([shared]).markdown
    assert words not in methods(runs[:1]).markdown


@pytest.mark.parametrize("entry", BIBTEX.values())
def test_entries_are_balanced(entry):
    assert entry.count("{") == entry.count("}")


def test_what_a_chat_template_read_besides_the_message_is_said(runs):
    chat = replace(runs[0], spec=runs[0].spec.with_(prompt_style="chat", template={"date": "2025-01-01"}))
    assert "in chat style (its template read date = 2025-01-01); responses" in methods([chat]).markdown
    assert "in plain style; responses" in methods(runs[:1]).markdown


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"max_new_tokens": 6}, "up to 6 tokens"),
        ({"first_token": "as is"}, "in plain style, nothing put before them; responses"),
        ({"first_token": None}, "in plain style, begun as their tokenizer did at that time; responses"),
        ({"model_options": {"device": "cpu", "trust_remote_code": True}}, "loaded with trust_remote_code = True)"),
        ({"seed": 1}, "item seed 1"),
    ],
    ids=lambda changed: str(changed),
)
def test_runs_that_were_made_otherwise_have_a_paragraph_that_says_so(runs, changed, said):
    other = replace(runs[0], spec=runs[0].spec.with_(**changed))
    usual, changed_paragraph = methods([runs[0], other]).markdown.strip().split("\n\n")
    assert "up to 8 tokens" in usual
    assert said not in usual
    assert said in changed_paragraph


def test_runs_that_only_keep_other_things_are_described_together(runs):
    other = replace(runs[1], spec=runs[1].spec.with_(poolings=("last",), attention_items=(1,)))
    assert methods([runs[0], other]).markdown == methods(runs[:2]).markdown
