"""A figure of a page and the file of an export with its name hold the same numbers."""

import numpy as np
import pandas as pd
import pytest
import streamlit as st

import iclviz
from iclviz.figures import table
from iclviz.reporting.export import export
from tests.pages.conftest import looked_further, opened, record, sections

PAGES = ("summary", "behaviour", "rsa", "probing", "attention")
OF_A_LAYER = {"similarity-matrices"}
"""Drawn at the layer that the page shows, in the export at another."""


@pytest.fixture
def drawn(monkeypatch):
    """A function: every figure of a page by name, also of what it offers to look at further; of several the first."""
    shown, show = [], st.plotly_chart

    def showing(figure, *arguments, **options):
        shown.append(figure)
        return show(figure, *arguments, **options)

    monkeypatch.setattr(st, "plotly_chart", showing)

    def of_page(page, choices):
        shown.clear()
        test = opened(page, choices)
        assert not test.exception
        if any(one.label == "Look further" for one in test.segmented_control):
            for section in sections(test):
                looked_further(test, section)
        return {one.layout.meta["name"]: table(one) for one in reversed(shown)}

    return of_page


def numbers(columns):
    """The numbers of a figure, column by column."""
    frame = pd.DataFrame(columns).drop(columns="series")
    return {name: values.to_numpy(float) for name, values in frame.items() if values.dtype.kind in "if"}


@pytest.mark.parametrize("name", ["linear_regression", "reading_comprehension"])
def test_a_page_and_its_export_show_the_same_numbers(name, drawn, of_task, tmp_path, monkeypatch):
    monkeypatch.setattr("iclviz.reporting.figure_files.browser", lambda: None)
    choices = of_task(name)
    record(choices)
    runs = {(one.spec.demonstrations.kind, one.spec.demonstrations.k): one.key for one in iclviz.runs()}
    keys = [runs[choices["a_kind"], choices["a_k"]], runs[choices["b_kind"], choices["b_k"]]]
    files = {path.stem: path for path in (export(keys, tmp_path / "out") / "figures").rglob("*.csv")}
    compared = set()
    for page in PAGES:
        for figure, columns in drawn(page, choices).items():
            if figure not in files or figure in OF_A_LAYER:
                continue
            ours, theirs = numbers(columns), numbers(pd.read_csv(files[figure]))
            assert ours, figure
            for column, values in ours.items():
                np.testing.assert_allclose(values, theirs[column], rtol=1e-12, equal_nan=True, err_msg=figure)
            compared.add(figure)
    assert compared >= {
        "score-by-condition", "alignment-by-layer", "probe-by-layer", "attention-ratio-by-layer",
        "class-distance-by-layer", "intrinsic-dimension-by-layer", "link-by-layer", "change-by-layer",
    }, compared  # fmt: skip
