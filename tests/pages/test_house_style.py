"""What pages have in common: the line that says what the data are, the switch to all seeds, folded controls."""

from base64 import b64decode

import numpy as np
import pytest
from plotly.io import from_json

import iclviz
from iclviz import analysis
from iclviz.primary import primary_measuring
from iclviz.tasks import task
from iclviz.ui.options import HOW
from tests.pages.conftest import charts, opened, read, record, said, widget

INSIDE = {"rsa": "alignment", "probing": "probe", "attention": "attention_ratio"}
"""Page -> the measure that it opens with."""


def captions(test):
    return read(" ".join(one.value for one in test.caption))


@pytest.mark.parametrize("page", ["summary", "behaviour", "prompts", *INSIDE])
def test_one_line_says_what_a_and_b_share_and_what_differs(page, chosen):
    record(chosen)
    test = opened(page, chosen)
    assert not test.exception
    line = test.caption[0].value
    assert "Linear regression, 16 items" in line
    assert "They differ only in k: :blue-badge[A] 2 → :orange-badge[B] 4." in line
    assert "Demonstration seed 0, the only one recorded." in line


@pytest.mark.parametrize("page", INSIDE)
def test_pages_show_all_seeds_with_the_mean_over_them(page, chosen):
    record(chosen, seeds=[0, 1, 2])
    one = opened(page, chosen)
    assert "Demonstration seed 0, of 3 recorded." in captions(one)
    widget(one.toggle, "All 3 seeds").set_value(True).run()
    assert not one.exception
    assert "All 3 demonstration seeds." in captions(one)
    assert "For these 3 demonstration sets." in captions(one)
    shown = next(chart.proto.spec for chart in charts(one) if chart.key == "figure-measure-of-set")
    runs = [run for run in map(iclviz.load, [run.key for run in iclviz.runs()]) if run.spec.demonstrations.k == 2]
    measuring = primary_measuring(task("linear_regression"), runs[0])
    of_seeds = [analysis.measured(run, INSIDE[page], measuring).estimate for run in runs]
    drawn = next(trace for trace in from_json(shown).data if trace.name and trace.name.startswith("A:"))
    values = np.frombuffer(b64decode(drawn.y["bdata"]), drawn.y["dtype"])
    np.testing.assert_allclose(values, np.mean(of_seeds, axis=0), equal_nan=True)


@pytest.mark.parametrize("page", [*INSIDE, "compare"])
def test_what_is_folded_is_told_with_its_value(page, chosen):
    record(chosen)
    test = opened(page, chosen)
    assert HOW == "How it is computed"
    assert " · " in captions(test)
    assert {"rsa": "Similarity: Cosine", "probing": "Embedding: ", "attention": "Attention of: Prompt's end",
            "compare": "Bands: yes"}[page] in captions(test)  # fmt: skip


def test_the_attention_page_opens_with_what_the_summary_tests(chosen):
    record(chosen)
    test = opened("attention", {**chosen, "options": {"linear_regression": {"distractor": True}}})
    assert test.session_state["choices"]["rows"] == "last"
    assert not said(test).count("Traceback")


def test_a_layer_that_a_small_model_lacks_comes_back_with_a_larger_one(chosen):
    record(chosen)
    test = opened("rsa", {**chosen, "layer": 29})
    assert widget(test.slider, "Layer").value == 3
    assert test.session_state["choices"]["layer"] == 29
