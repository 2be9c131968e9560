"""No text of a task, an item, a run or a link reaches Streamlit as Markdown of its own."""

import json

import pytest

from iclviz.curating import Annotation, annotate
from iclviz.resolve import resolve
from iclviz.spec import Demonstrations, RunSpec
from iclviz.store import Store
from iclviz.tasks import task
from iclviz.ui.plain_text import as_text, lines_as_text
from tests.pages.conftest import opened, record, widget, with_model
from tests.pages.test_pages import app

MARK = ":red[zz] ![i](http://example.org/i.png) $x$ <b>y</b>"
IN_TITLES = ":smile: a -- b"
"""As much as titles may hold."""
RAW = (":red[zz]", "![i]", "$x$ <b>", ":smile:", "a -- b")
"""Parts of the mark that Markdown would read."""

PLAIN = frozenset({"html", "code", "dataframe", "plotly_chart"})
"""Kinds of elements that read no Markdown."""
AS_OPTIONS = frozenset({"selectbox", "multiselect", "text_input", "text_area"})
"""Kinds of elements whose values are plain, but not their labels and help."""


def marked_task(folder):
    rows = [
        {
            "id": f"{i} {MARK}",
            "query": f"Is {i} {MARK} even? The number ends in {i % 10}. Now:",
            "answer": f"{'yes' if i % 2 else 'no'} {MARK}",
            "labels": {"kind": f"{'odd' if i % 2 else 'even'} {MARK}"},
            "relevant": f"ends in {i % 10}",
            "irrelevant": "even?",
        }
        for i in range(30)
    ]
    path = folder / "marked.json"
    path.write_text(json.dumps({"title": f"Parity {IN_TITLES}", "description": f"Of {IN_TITLES}", "items": rows}))
    return task(str(path)).name


def elements(node):
    yield node
    for child in getattr(node, "children", {}).values():
        yield from elements(child)


def read_as_markdown(test):
    """What Streamlit is told to read as Markdown, of every element of the page."""
    for node in [*elements(test.main), *elements(test.sidebar)]:
        proto = getattr(node, "proto", None)
        if proto is None or node.type in PLAIN:
            continue
        if node.type in AS_OPTIONS:
            yield node.type, f"{proto.label} {proto.help}"
        else:
            yield node.type, str(proto)


def assert_plain(test, where):
    assert not test.exception, where
    for kind, said in read_as_markdown(test):
        assert not [raw for raw in RAW if raw in said], (where, kind, said[:300])


@pytest.fixture
def marked(chosen, long_model, tmp_path):
    name = marked_task(tmp_path)
    choices = with_model({**chosen, "a_task": name, "b_task": name, "a_k": 1, "b_k": 4}, long_model)
    record(choices)
    shown = RunSpec(str(long_model), name, Demonstrations("correct", 1, 0), choices["items"], choices["items_seed"])
    annotate(Store(), resolve(shown).key, Annotation(f"Mine {MARK}", (MARK,), MARK))
    return choices


@pytest.mark.parametrize(
    "page", ["run", "runs", "summary", "compare", "prompts", "behaviour", "rsa", "probing", "attention"]
)
def test_no_page_reads_it(page, marked):
    test = opened(page, marked)
    assert_plain(test, page)
    for control in [one for one in test.segmented_control if one.label in ("Look further", "Change of")]:
        for option in control.options:
            widget(test.segmented_control, control.label).set_value(option).run()
            assert_plain(test, (page, option))


def test_the_sidebar_and_a_link_that_names_it_read_none(marked):
    test = app(a_model=MARK, a_task=MARK, b_k=MARK, hypothesis=MARK)
    assert_plain(test, "link")


def test_ordinary_sentences_stay_as_they_are():
    said = "Alignment rose by 0.12 (95 % interval −0.1 to 0.3, p < 0.05), k = 2; linear_regression, a_1: see README.md."
    assert as_text(said) == said
    assert lines_as_text(f"{said}\nAnd *so* on.") == f"{said}  \nAnd \\*so\\* on."
