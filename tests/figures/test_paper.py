import json

import numpy as np
import plotly.graph_objects as go
import pytest
from samples import DRAWN, drawn

from iclviz.figures.paper import COLUMNS, PX_PER_MM, PX_PER_PT, fitted

LETTER = 6.5


def texts(figure):
    """Every text that stands in a figure, but for labels at its ticks."""
    yield from (axis.title.text for axis in [*figure.select_xaxes(), *figure.select_yaxes()])
    yield from (annotation.text for annotation in figure.layout.annotations)


WIDTHS = ["single column", pytest.param("double column", marks=pytest.mark.long)]
"""The narrow one leaves the least room."""


@pytest.mark.parametrize("column", WIDTHS)
@pytest.mark.parametrize("name", DRAWN)
def test_it_is_as_wide_as_the_column_and_no_higher_than_a_page(name, column):
    figure, of = fitted(drawn(name), COLUMNS[column]), COLUMNS[column]
    assert figure.layout.width * of.scale / PX_PER_MM == pytest.approx(of.width_mm, abs=0.1)
    assert 30 < figure.layout.height * of.scale / PX_PER_MM <= 170


@pytest.mark.parametrize("column", WIDTHS)
@pytest.mark.parametrize("name", DRAWN)
def test_its_text_has_seven_points_and_no_title_stands_above(name, column):
    figure, of = fitted(drawn(name), COLUMNS[column]), COLUMNS[column]
    assert not figure.layout.title.text
    assert not figure.layout.title.subtitle.text
    sizes = {figure.layout.template.layout.font.size, *(one.font.size for one in figure.layout.annotations)}
    sizes |= {axis.title.font.size for axis in [*figure.select_xaxes(), *figure.select_yaxes()]}
    assert {round(size * of.scale / PX_PER_PT, 3) for size in sizes} == {7}


@pytest.mark.parametrize("column", WIDTHS)
@pytest.mark.parametrize("name", DRAWN)
def test_panels_lie_inside_and_beside_each_other(name, column):
    figure = fitted(drawn(name), COLUMNS[column])
    pairs = {(trace.xaxis or "x", trace.yaxis or "y") for trace in figure.data}
    boxes = [(figure.layout[f"xaxis{x[1:]}"].domain, figure.layout[f"yaxis{y[1:]}"].domain) for x, y in pairs]
    for place, (across, up) in enumerate(boxes):
        assert 0 <= across[0] < across[1] <= 1
        assert 0 <= up[0] < up[1] <= 1
        for other_across, other_up in boxes[:place]:
            beside = across[1] <= other_across[0] or other_across[1] <= across[0]
            assert beside or up[1] <= other_up[0] or other_up[1] <= up[0]


@pytest.mark.parametrize("name", DRAWN)
def test_the_values_that_it_shows_stay_the_same(name):
    for ours, theirs in zip(fitted(drawn(name), COLUMNS["single column"]).data, drawn(name).data, strict=True):
        for letter in "xyz":
            np.testing.assert_array_equal(getattr(ours, letter, None), getattr(theirs, letter, None))


def test_the_figure_itself_is_left_as_it_was():
    figure = drawn("similarity-matrices")
    before = json.loads(figure.to_json())
    fitted(figure, COLUMNS["single column"])
    assert json.loads(figure.to_json()) == before


def test_panels_that_would_be_too_narrow_go_into_further_rows():
    rows = {
        column: len({axis.domain for axis in fitted(drawn("similarity-by-condition"), of).select_yaxes()})
        for column, of in COLUMNS.items()
    }
    assert rows == {"single column": 4, "double column": 2}


def test_long_titles_and_names_are_broken_into_lines():
    long = "A measure whose name takes more words than a column of a paper has room for in a line of its own"
    figure = go.Figure([go.Scatter(x=[1, 2], y=[1, 2], name=long), go.Scatter(x=[1, 2], y=[2, 1], name="short")])
    figure.update_layout(xaxis_title=long, yaxis_title=long, meta={"name": "any", "caption": ""})
    narrow = fitted(figure, COLUMNS["single column"])
    lines = [line for text in [*texts(narrow), narrow.data[0].name] for line in text.split("<br>")]
    assert max(map(len, lines)) * LETTER <= COLUMNS["single column"].canvas
    assert "".join(narrow.layout.xaxis.title.text.replace("<br>", " ")) == long


def test_labels_that_do_not_fit_beside_each_other_stand_upright():
    labels = [f"condition number {place}" for place in range(8)]
    figure = go.Figure(go.Bar(x=labels, y=list(range(8)), name="score"))
    assert fitted(figure, COLUMNS["single column"]).layout.xaxis.tickangle == -90
    assert fitted(go.Figure(go.Bar(x=["A", "B"], y=[1, 2])), COLUMNS["single column"]).layout.xaxis.tickangle == 0
