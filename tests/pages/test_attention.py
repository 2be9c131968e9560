"""The Attention page: one block and head chosen by controls, by a click and by a link, and attention on text."""

import json

import numpy as np
import pytest
import streamlit as st

import iclviz
from iclviz.curating import Annotation, annotate, annotation
from iclviz.figures.attention import attention_ratio_by_head
from iclviz.jobs.queue import Queue
from iclviz.reporting import figure_files
from iclviz.store import Store
from iclviz.ui import clickable, link_fields, page_state
from iclviz.ui.runs_table import recordings_of, runs
from tests.figures.samples import A, B, log_ratio
from tests.pages.conftest import charts, labels, opened, pressed, record, said, sealed_again, widget
from tests.pages.test_pages import app


def kept(chosen, side, *places):
    """Run one side with attention kept token by token of some items."""
    shown = iclviz.Demonstrations(chosen[f"{side}_kind"], chosen[f"{side}_k"], chosen[f"{side}_seed"])
    options = chosen["options"][chosen[f"{side}_task"]]
    return iclviz.run(
        chosen[f"{side}_model"],
        chosen[f"{side}_task"],
        shown,
        chosen["items"],
        chosen["items_seed"],
        options,
        attention_items=places,
    )


def drawn(test, name):
    """A figure on the page as plain JSON."""
    found = (json.loads(chart.proto.spec) for chart in charts(test))
    return next(figure for figure in found if figure["layout"]["meta"]["name"] == name)


def subtitle(test, name):
    return drawn(test, name)["layout"]["title"]["subtitle"]["text"]


def shaded(test):
    """The shaded prompts on the page."""
    return [html.proto.body for html in test.get("html") if "iclviz-attention" in html.proto.body]


@pytest.mark.parametrize(("chosen_map", "name"), [("head", "attention-ratio-by-head"), ("split", "attention-split")])
def test_a_figure_of_the_overview_is_drawn_once_it_is_chosen(chosen_map, name, chosen):
    record(chosen)
    test = opened("attention", chosen)
    with pytest.raises(StopIteration):
        drawn(test, name)
    widget(test.selectbox, "Shown").set_value(chosen_map).run()
    assert drawn(test, name)


def test_a_block_and_a_head_are_chosen_by_controls(chosen):
    record(chosen)
    test = opened("attention", chosen)
    assert subtitle(test, "attention-of-head").startswith("Block 2, mean over heads")
    before = shaded(test)
    widget(test.slider, "Block").set_value(1).run()
    widget(test.selectbox, "Head").set_value("1").run()
    assert not test.exception
    assert subtitle(test, "attention-of-head").startswith("Block 1, head 1")
    assert len(shaded(test)) == 2
    assert shaded(test) != before


def test_a_link_carries_the_head_and_one_that_the_model_lacks_is_the_mean(chosen):
    record(chosen)
    assert widget(opened("attention", {**chosen, "head": "1"}).selectbox, "Head").value == "1"
    assert widget(opened("attention", {**chosen, "head": "99"}).selectbox, "Head").value == ""


def test_the_ratio_of_the_chosen_head_stands_below_its_shares(chosen):
    a, _ = record_both(chosen)
    test = opened("attention", {**chosen, "head": "1"})
    ratio = iclviz.analysis.recording_log_ratio_by_head(a)
    assert f"{ratio.mean[1, 1]:.3f}".replace("-", "−") in str(test.table[0].value)


def record_both(chosen):
    record(chosen)
    return [Store().load(entry.key) for entry in sorted(Store().summaries(), key=lambda one: one.spec.demonstrations.k)]


def test_without_tokens_kept_shading_is_by_role_and_a_run_is_offered(chosen):
    record(chosen)
    test = opened("attention", {**chosen, "item": 3, "shaded": "token"})
    assert widget(test.segmented_control, "Shaded by").options == ["role"]
    assert "A and B did not keep this item's attention token by token" in said(test)
    pressed(test, "Keep it token by token in A and B")
    assert not test.exception
    assert [job.spec.attention_items for job in Queue(Store()).jobs() if job.is_open] == [(3,), (3,)]


def test_keeping_an_item_adds_to_its_run_and_makes_no_second_row(chosen):
    record(chosen, "a")
    kept(chosen, "a", 3, 5)
    (few,) = [entry.key for entry in Store().summaries() if not entry.spec.attention_items]
    annotate(Store(), few, Annotation("pilot"))
    pressed(opened("attention", {**chosen, "item": 7, "shaded": "token"}), "Keep it token by token in A")
    (asked,) = [job.spec for job in Queue(Store()).jobs() if job.is_open]
    assert asked.attention_items == (3, 5, 7)
    kept(chosen, "a", 3, 5, 7)
    (run,) = Store().runs()
    assert run.entry.spec.attention_items == (3, 5, 7)
    assert annotation(Store(), run.entry.key).name == "pilot"
    assert len(runs()) == 1
    assert set(recordings_of([run.entry.key])) == {entry.key for entry in Store().summaries()}


def test_what_a_fuller_recording_keeps_is_found_for_those_who_ask_for_less(chosen):
    kept(chosen, "a", 3)
    kept(chosen, "b", 3)
    assert len(charts(opened("attention", chosen))) == len(
        charts(opened("attention", {**chosen, "attention_items": [3]}))
    )


def test_a_job_may_be_watched_at_two_places_of_the_page(chosen):
    record(chosen, "a")
    test = pressed(pressed(opened("attention", chosen), "Run B"), "Keep it token by token in A")
    assert not test.exception
    assert labels(test).count("Cancel") == 4


def test_a_run_that_differs_in_its_attention_items_alone_is_used(chosen):
    record(chosen)
    kept(chosen, "a", 3, 5)
    test = opened("attention", {**chosen, "item": 3, "shaded": "token"})
    assert widget(test.segmented_control, "Shaded by").options == ["role", "token"]
    assert len(shaded(test)) == 1
    assert "B did not keep this item" in said(test)
    assert "Keep it token by token in B" in labels(test)
    kept(chosen, "b", 3)
    test = opened("attention", {**chosen, "item": 3, "shaded": "token"})
    assert len(shaded(test)) == 2
    assert "did not keep" not in said(test)
    widget(test.number_input, "Item").set_value(4).run()
    assert widget(test.segmented_control, "Shaded by").options == ["role"]


def test_without_sinks_the_scale_is_smaller(chosen):
    for side in "ab":
        kept(chosen, side, 0)
    of_choice = {**chosen, "attention_items": [0], "shaded": "token"}
    test = opened("attention", of_choice)
    assert all("iclviz-sink" in body for body in (one.partition("</style>")[2] for one in shaded(test)))
    before = drawn(test, "attention-on-text")["layout"]["yaxis"]["range"]
    widget(test.toggle, "Scale with attention sinks").set_value(True).run()
    assert not test.exception
    assert test.session_state["choices"]["sinks"]
    assert not any("iclviz-sink" in body for body in (one.partition("</style>")[2] for one in shaded(test)))
    assert drawn(test, "attention-on-text")["layout"]["yaxis"]["range"][1] >= before[1]


def test_attention_of_the_last_prompt_token_marks_it(chosen):
    record(chosen)
    test = opened("attention", {**chosen, "rows": "last"})
    assert all(body.partition("</style>")[2].count("iclviz-looking") == 1 for body in shaded(test))


def test_items_to_keep_are_in_the_link_and_in_both_runs(chosen):
    test = app(attention_items="[5,0]", items="8")
    assert not test.exception
    assert test.session_state["choices"]["attention_items"] == [0, 5]
    test = opened("run", {**chosen, "attention_items": [1, 40]})
    assert widget(test.multiselect, "Keep attention token by token for items").value == [1]
    pressed(test, "Run both")
    assert [job.spec.attention_items for job in Queue(Store()).jobs()] == [(1,), (1,)]


@pytest.mark.parametrize("text", ["3", "[-1]", '["a"]', "[0.5]", json.dumps(list(range(17)))])
def test_nonsense_for_items_to_keep_is_refused(text):
    with pytest.raises((ValueError, TypeError)):
        link_fields.places(text)


def test_choosing_a_run_chooses_its_items_to_keep(chosen, monkeypatch):
    monkeypatch.setattr(st, "session_state", {"choices": dict(chosen)})
    page_state.set_condition("b", kept(chosen, "b", 2, 7).spec)
    assert page_state.page_state()["attention_items"] == [2, 7]
    assert page_state.condition_specs().a.attention_items == page_state.condition_specs().b.attention_items == (2, 7)


@pytest.mark.parametrize(
    ("show", "point", "expected"),
    [
        (lambda figure: clickable.show_blocks(figure, 3, None), {"x": 7, "y": 0.2}, {"layer": 7, "head": ""}),
        (lambda figure: clickable.show_cells(figure, 3, None, None), {"x": 4, "y": 9}, {"layer": 9, "head": "4"}),
    ],
)
def test_a_click_sets_block_and_head_and_the_end_of_a_selection_nothing(show, point, expected, monkeypatch):
    written, taken = [], {}
    state = {"choices": {"layer": 1, "head": "2"}}
    monkeypatch.setattr(st, "session_state", state)
    monkeypatch.setattr(clickable, "write_url", lambda: written.append(True))
    monkeypatch.setattr(clickable, "show", lambda figure, draw, copied: draw(figure, key="figure"))
    monkeypatch.setattr(st, "plotly_chart", lambda figure, **options: taken.update(options))
    show(attention_ratio_by_head({A: log_ratio(12, 9), B: log_ratio(12, 9, seed=1)}))
    state["figure"] = {"selection": {"points": []}}
    taken["on_select"]()
    assert state["choices"] == {"layer": 1, "head": "2"}
    state["figure"] = {"selection": {"points": [point]}}
    taken["on_select"]()
    assert state["choices"] == expected
    assert written == [True]


def test_marks_for_clicks_are_on_the_page_alone(monkeypatch):
    seen = []
    monkeypatch.setattr(clickable, "show", lambda figure, draw, copied: draw(type(figure)(figure), key="figure"))
    monkeypatch.setattr(st, "plotly_chart", lambda figure, **options: seen.append(figure))
    ratios = {A: log_ratio(12, 9), B: log_ratio(12, 9, seed=1)}
    ratios[A].mean[3, 4] = np.nan
    figure = attention_ratio_by_head(ratios)
    before = figure_files.csv(figure)
    clickable.show_cells(figure, 3, 2, None)
    marks = [trace for trace in seen[0].data if trace.type == "scatter"]
    assert [len(trace.x) for trace in marks] == [12 * 9 - 1, 12 * 9]
    assert all(trace.marker.opacity == 0 and not trace.showlegend for trace in marks)
    assert len(seen[0].layout.shapes) == 2
    assert len(figure.data) == 2
    assert not figure.layout.shapes
    assert figure_files.csv(figure) == before


def test_ratios_that_are_bounds_are_counted_and_not_missing(chosen):
    """Of one item every head of a block gives the irrelevant text less than float32 holds."""
    choices = {**chosen, "options": {"linear_regression": {"distractor": True}}}
    record(choices)
    for entry in Store().summaries():
        sealed_again(entry, lambda attention, **others: attention["irrelevant"].__setitem__((0, 1), 0))
    test = opened("attention", {**choices, "rows": "response"})
    assert not test.exception
    assert "in 1 of 48 ratios (2 %) attention to one text is below what float32 holds" in said(test)
    assert "missing" not in said(test)
