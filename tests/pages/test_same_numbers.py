"""A figure of a page and the file of an export with its name hold the same numbers."""

import numpy as np
import pandas as pd
import pytest
import streamlit as st

import iclviz
from iclviz.analysis.measures import all_measures
from iclviz.analysis.wording import capital
from iclviz.figures import table
from iclviz.reporting.export import export
from iclviz.ui import figure
from tests.pages.conftest import looked_further, opened, record, sections

PAGES = ("summary", "behaviour", "rsa", "probing", "attention")
OF_A_LAYER = {"similarity-matrices"}
"""Drawn at the layer that the page shows, in the export at another."""


AT_LEAST = {"score-by-condition", "probe-by-layer", "attention-ratio-by-layer", "intrinsic-dimension-by-layer"}
OTHERS = {
    "linear_regression": {"class-distance-by-layer", "link-by-layer"},
    "reading_comprehension": {"alignment-by-layer"},
}
"""Task -> what has values in it besides."""


def of_page_picker(test):
    """The control that chooses a page's measure, if it has one."""
    return [one for one in (*test.segmented_control, *test.selectbox) if one.key == "choice-shown"]


def named(title):
    """The measure of that title, or of that name."""
    return next(name for name, one in all_measures().items() if title in (name, capital(one.title)))


@pytest.fixture
def drawn(monkeypatch):
    """A function: every figure of a page by name, also of what it offers to look at further; of several the last."""
    shown, show = [], st.plotly_chart

    def showing(one, *arguments, **options):
        shown.append(one)
        return show(one, *arguments, **options)

    monkeypatch.setattr(st, "plotly_chart", showing)
    monkeypatch.setattr(figure.show, "__defaults__", ("", showing, None))

    def of_page(page, choices):
        shown.clear()
        test = opened(page, choices)
        assert not test.exception
        for measure in of_page_picker(test):
            for option in measure.options:
                assert not of_page_picker(test)[0].set_value(named(option)).run().exception
            of_page_picker(test)[0].set_value(named(measure.options[0])).run()
        if any(one.label == "Look further" for one in test.segmented_control):
            for section in sections(test):
                looked_further(test, section)
        return {one.layout.meta["name"]: table(one) for one in shown}

    return of_page


def numbers(columns):
    """The numbers of a figure, column by column."""
    frame = pd.DataFrame(columns).drop(columns="series")
    return {name: values.to_numpy(float) for name, values in frame.items() if values.dtype.kind in "if"}


@pytest.mark.parametrize("name", OTHERS)
def test_a_page_and_its_export_show_the_same_numbers(name, drawn, of_task, tmp_path, monkeypatch):
    monkeypatch.setattr("iclviz.reporting.figure_files.browser", lambda: None)
    choices = of_task(name)
    record(choices)
    runs = {(one.spec.demonstrations.kind, one.spec.demonstrations.k): one.key for one in iclviz.runs()}
    keys = [runs[choices["a_kind"], choices["a_k"]], runs[choices["b_kind"], choices["b_k"]]]
    files = {path.stem: path for path in (export(keys, tmp_path / "out") / "figures").rglob("*.csv")}
    compared = set()
    for page in PAGES:
        for title, columns in drawn(page, choices).items():
            if title not in files or title in OF_A_LAYER:
                continue
            ours, theirs = numbers(columns), numbers(pd.read_csv(files[title]))
            assert ours, title
            for column, values in ours.items():
                np.testing.assert_allclose(values, theirs[column], rtol=1e-12, equal_nan=True, err_msg=title)
            compared.add(title)
    assert compared >= AT_LEAST | OTHERS[name], compared
