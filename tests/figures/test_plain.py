"""Texts of tasks, items and runs are shown as they were written in every figure."""

import json
import re
from collections.abc import Mapping
from html import unescape

import numpy as np
import pytest
from samples import DRAWN, score

from iclviz.figures import FIGURES, score_by_condition, table
from iclviz.figures.plain import as_written, in_pattern, read_back
from iclviz.reporting import figure_files
from iclviz.spans import ROLES

MARKUP = '<b>x</b> <a href="http://example.org">y</a> &lt; &#65; %{y} </s>'
TEXTS = {
    "a result",
    "score",
    "unit",
    "hypothesis_title",
    "group_title",
    "hypothesis",
    "label",
    "condition",
    "item",
    "versus",
}
"""Arguments of figures that are free text; others name a choice."""


def marked(value, name="a result"):
    """The argument of a figure with markup behind every text in it."""
    if isinstance(value, str):
        return f"{value} {MARKUP}" if name in TEXTS and value not in ROLES else value
    if isinstance(value, Mapping):
        return {marked(key): marked(one, name) for key, one in value.items()}
    if isinstance(value, list):
        return [marked(one) for one in value]
    if isinstance(value, np.ndarray) and value.dtype.kind == "U":
        return np.array([marked(one) for one in value.tolist()])
    return value


def drawn_with_markup(name):
    def draw(*arguments, **named):
        return FIGURES[name](*map(marked, arguments), **{key: marked(one, key) for key, one in named.items()})

    return DRAWN[name](draw)


def texts(value):
    """Every text of a figure's plain JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            if key not in ("meta", "template", "legendgroup"):  # what Plotly does not draw
                yield from texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)


@pytest.mark.parametrize("name", DRAWN)
def test_no_markup_of_a_text_is_left_to_plotly(name):
    figure = json.loads(drawn_with_markup(name).to_json())
    for text in texts(figure):
        assert not re.search(r"<b>|<a |</s>|&lt; &#65;", text), text


@pytest.mark.parametrize("name", DRAWN)
def test_the_table_holds_the_texts_as_they_were(name):
    figure = drawn_with_markup(name)
    columns = table(figure)
    words = [*columns, *(one for values in columns.values() for one in values if isinstance(one, str))]
    assert not any("&amp;" in word or "&lt;b" in word for word in words)


def test_what_is_escaped_is_read_back():
    for text in (MARKUP, "p < 0.05 & more", "&amp;lt;", "<br>", "a<b", "&", "&lt;b&gt;"):
        assert read_back(as_written(text)) == text
    assert as_written("p < 0.05 & more") == "p < 0.05 & more"
    assert "%{" not in in_pattern("%{x} <b>")


def test_words_along_an_axis_are_no_numbers_and_no_dates():
    figure = score_by_condition({"2020-01-01": score(), "10": score(1.0, 1)}, score="Closeness")
    assert figure.layout.xaxis.type == "category"


def test_long_words_along_an_axis_are_cut_and_leave_room():
    long = "word " * 40
    figure = score_by_condition({long: score(), "B": score(1.0, 1)}, score="Closeness")
    assert [len(text) <= 72 for text in figure.layout.xaxis.ticktext] == [True, True]
    assert long in table(figure)["series"]


def test_an_image_shows_the_text_and_no_link():
    drawn = figure_files.image(score_by_condition({f"A: {MARKUP[:50]}": score()}, score="Closeness"), "svg").decode()
    assert "<a " not in drawn
    assert MARKUP[:50] in unescape(re.sub(r"<[^>]*>", "", drawn))
