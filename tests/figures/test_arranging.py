import numpy as np
import plotly.graph_objects as go
import pytest
from samples import DRAWN, drawn

from iclviz.figures.arranging import MOST_OF_LABEL, arrange, shorten_labels

PHONE = 310
LONG = [f"{letter} label that goes on for some sixty letters, as some people's do" for letter in "ABCDEFGHIJKL"]


@pytest.mark.parametrize("name", DRAWN)
def test_on_a_phone_panels_have_room_and_stand_one_under_another(name):
    figure = drawn(name)
    arrange(figure, PHONE)
    margin = figure.layout.margin
    room = PHONE - margin.l - margin.r
    pairs = {(trace.xaxis or "x", trace.yaxis or "y") for trace in figure.data}
    across = [figure.layout[f"xaxis{x[1:]}"].domain for x, _ in pairs]
    assert min((end - start) * room for start, end in across) >= 130
    assert len({start for start, _ in across}) == 1


@pytest.mark.parametrize("name", DRAWN)
def test_on_a_phone_colour_bars_lie_under_the_panels(name):
    figure = drawn(name)
    arrange(figure, PHONE)
    layout = figure.to_plotly_json()["layout"]
    used = {trace.coloraxis for trace in figure.data if trace.type == "heatmap" and trace.coloraxis}
    for axis in used:
        bar = layout[axis]["colorbar"]
        assert bar["orientation"] == "h"
        assert bar["y"] < 0


def test_a_player_stands_under_everything_else():
    figure = drawn("similarity-play")
    arrange(figure, PHONE)
    places = [part.y for part in (*figure.layout.sliders, *figure.layout.updatemenus)]
    assert all(place < figure.layout.coloraxis.colorbar.y for place in places)
    assert len(set(places)) == len(places)


def test_long_labels_are_shortened_at_the_axis_and_whole_in_the_values():
    figure = go.Figure(go.Bar(x=LONG, y=np.arange(len(LONG))))
    shorten_labels(figure)
    assert max(map(len, figure.layout.xaxis.ticktext)) <= MOST_OF_LABEL
    assert list(figure.data[0].x) == LONG == list(figure.layout.xaxis.tickvals)


def test_labels_that_can_be_read_are_left_as_they_are():
    figure = go.Figure(go.Bar(x=["right", "wrong"], y=[1, 2]))
    shorten_labels(figure)
    assert figure.layout.xaxis.ticktext is None


def test_labels_that_would_lie_over_each_other_are_left_out():
    matrix = go.Heatmap(z=np.eye(40), x=[str(i) for i in range(40)], y=[str(i) for i in range(40)])
    figure = go.Figure(matrix, {"yaxis": {"scaleanchor": "x"}})
    arrange(figure, PHONE)
    assert len(figure.layout.yaxis.ticktext) < 20
    assert list(figure.layout.yaxis.tickvals) == list(figure.layout.yaxis.ticktext)


def test_categories_are_never_left_out_but_make_the_panel_higher():
    names = [f"name {number}" for number in range(40)]
    figure = go.Figure(go.Bar(y=names, x=np.arange(40), orientation="h"))
    arrange(figure, PHONE)
    assert len(figure.layout.yaxis.ticktext) == 40


def test_marks_whose_sizes_say_something_stay_apart_on_a_phone():
    figure = go.Figure(go.Scatter(x=[0, 1], y=[0, 0], mode="markers", marker_size=[5, 13]))
    arrange(figure, PHONE)
    assert max(figure.data[0].marker.size) < 13
    assert min(figure.data[0].marker.size) >= 3
