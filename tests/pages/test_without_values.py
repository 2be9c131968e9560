"""Own tasks that leave an analysis without any value: every page says so in a sentence, and a bundle is exported."""

import json
import re

import numpy as np
import pandas as pd
import pytest

import iclviz
from iclviz.reporting.export import export
from iclviz.store import Store
from iclviz.tasks import task
from tests.pages.conftest import charts, opened, record, said, sealed_again, widget, with_model

ROWS = range(28)


def rows(**columns):
    """Rows whose answers all differ, unless a column (a function of the row's number) says otherwise."""
    return [
        {"query": f"France {i} ->", "answer": f"Paris {i}", **{name: of(i) for name, of in columns.items()}}
        for i in ROWS
    ]


FILES = {
    "all answers differ": rows(),
    "one answer": rows(answer=lambda i: "Paris"),
    "two groups": rows(
        answer=lambda i: "ab"[i // 2 % 2],
        group=lambda i: "gh"[i % 2] if i < 20 else "shown",
        use=lambda i: "query" if i < 20 else "demonstration",
    ),
    "one value of a number": rows(labels=lambda i: {"size": 3}),
    "a label in one row": rows(labels=lambda i: {"kind": "x"} if i == 3 else {}),
    "relevant text alone": rows(relevant=lambda i: "France"),
}
PAGES = ("summary", "behaviour", "rsa", "probing", "attention", "compare")
FOR_LOOKING = ("Look further", "Change of")


def chosen_task(name, chosen, model, folder, items):
    path = folder / "mine.json"
    path.write_text(json.dumps(FILES[name]))
    of = task(str(path)).name
    return with_model({**chosen, "a_task": of, "b_task": of, "a_k": 1, "b_k": 4, "items": items}, model)


LONG = ("one answer", "one value of a number", "a label in one row", "relevant text alone", "two groups")
"""Cases that leave less without a value than others do."""
CASES = [
    *(pytest.param(name, 20, marks=[pytest.mark.long] if name in LONG else []) for name in FILES),
    ("all answers differ", 2),
    ("two groups", 2),
]


@pytest.mark.parametrize(("name", "items"), CASES)
def test_every_page_opens_and_every_section(name, items, chosen, long_model, tmp_path):
    choices = chosen_task(name, chosen, long_model, tmp_path, items)
    record(choices)
    for page in PAGES:
        test = opened(page, choices)
        assert not test.exception, page
        assert not test.error, (page, [one.value for one in test.error])
        for control in [one for one in test.segmented_control if one.label in FOR_LOOKING]:
            for option in control.options:
                widget(test.segmented_control, control.label).set_value(option).run()
                assert not test.exception, (page, option)
                assert not test.error, (page, option)


def test_the_summary_of_answers_that_all_differ_says_that_nothing_has_a_value(chosen, long_model, tmp_path):
    choices = chosen_task("all answers differ", chosen, long_model, tmp_path, 20)
    record(choices)
    test = opened("summary", choices)
    assert "No measure of the primary analysis has a value here." in said(test)
    text = " ".join(one.value for one in test.markdown)
    assert "links with behaviour cannot be tested: no measure has a value." in text


@pytest.mark.parametrize("name", ["all answers differ", "relevant text alone"])
def test_a_bundle_leaves_out_what_has_no_value_and_says_why(name, chosen, long_model, tmp_path, monkeypatch):
    monkeypatch.setattr("iclviz.reporting.figure_files.browser", lambda: None)
    choices = chosen_task(name, chosen, long_model, tmp_path, 20)
    record(choices)
    keys = [iclviz.runs()[place].key for place in (0, 1)]
    to = export(keys, tmp_path / "out")
    drawn = {path.stem for path in (to / "figures").rglob("*.csv")}
    told = (to / "README.txt").read_text()
    left_out = set(re.findall(r"^  \S+, ([\w-]+): .+\.$", told, re.M))
    assert "attention-ratio-by-layer" in left_out
    assert not drawn & left_out
    if name == "all answers differ":
        assert left_out >= {"alignment-by-layer", "probe-by-layer", "link-by-layer", "class-distance-by-layer"}
        assert "the hypothesis predicts the same of every pair" in told.lower()
    for path in (to / "figures").rglob("*.csv"):
        assert pd.read_csv(path).notna().any().any()
    script = (to / "rebuild.py").read_text()
    assert all(f"figures.{name.replace('-', '_')}(" not in script for name in left_out)
    assert all(f"name={name!r}" not in script for name in left_out)


def spoil(embeddings, attention, attention_last, scores):
    """What an earlier version sealed where a 16-bit dtype had overflowed in one item: states, attention and scores that
    are no numbers.
    """
    for values in embeddings.values():
        values[3, 2] = np.inf
    for mass in (*attention.values(), *attention_last.values()):
        mass[3, 2] = np.nan
    scores["answer_logprob"][3], scores["absolute_error"][3] = np.nan, np.inf


@pytest.mark.parametrize("sides", ["b", pytest.param("ab", marks=pytest.mark.long)])
def test_numbers_that_are_none_in_an_old_recording_are_said_on_every_page(sides, chosen, long_model):
    choices = with_model(
        {**chosen, "a_k": 1, "b_k": 2, "options": {"linear_regression": {"distractor": True}}}, long_model
    )
    record(choices)
    for entry in Store().summaries():
        if entry.spec.demonstrations.k == 2 or sides == "ab":
            sealed_again(entry, spoil)
    for page in PAGES:
        test = opened(page, choices)
        assert not test.exception, page
        assert not test.error, (page, [one.value for one in test.error])
        for control in [one for one in test.segmented_control if one.label in FOR_LOOKING]:
            for option in control.options:
                widget(test.segmented_control, control.label).set_value(option).run()
                assert not test.exception, (page, option)
                assert not test.error, (page, option)
        if page in ("rsa", "probing", "attention"):
            assert "no number, from block 3 on" in said(test), page


def test_a_measure_at_fault_leaves_the_summary_its_others(chosen, tmp_path, monkeypatch):
    record(chosen)
    whole = opened("summary", chosen)
    monkeypatch.setenv("ICLVIZ_EXTENSIONS", str(tmp_path / "own"))
    (tmp_path / "own" / "measures").mkdir(parents=True)
    (tmp_path / "own" / "measures" / "mine.py").write_text(
        "from iclviz.analysis.measure import MeanOverItems\n\nclass Mine(MeanOverItems):\n"
        '    name, title, axis, about, page = "mine", "mine", "Mine", "Mine.", "rsa"\n\n'
        "    def of_items(self, recording, measuring, items):\n        raise ValueError('boom')\n\n"
        "    def methods(self, recordings, measuring, titles, used):\n        raise ValueError('boom')\n\n"
        "MEASURE = Mine()\n"
    )
    test = opened("summary", chosen)
    assert not test.exception
    assert [one.key for one in charts(test)] == [one.key for one in charts(whole)]
    options = next(one.options for one in (*test.button_group, *test.selectbox) if one.label == "Change of")
    assert "Mine" not in options
