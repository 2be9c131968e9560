import json

import pytest

from tests.pages.conftest import charts, looked_further, opened, record, widget


def test_all_layers_can_be_played(page):
    widget(page.toggle, "Play").set_value(True).run()
    assert not page.exception
    figure = json.loads(charts(page)[0].proto.spec)
    assert [frame["name"] for frame in figure["frames"]] == ["0", "1", "2", "3"]


@pytest.fixture
def page(chosen):
    """The page over two recorded conditions."""
    record(chosen)
    return opened("rsa", chosen)


def names(test):
    return [json.loads(chart.proto.spec)["layout"]["meta"]["name"] for chart in charts(test)]


def spec(test, name):
    return json.loads(charts(test)[names(test).index(name)].proto.spec)


def test_items_can_be_sorted_by_any_label_or_by_clusters(page):
    title = spec(page, "similarity-matrices")["layout"]["xaxis"]["title"]["text"]
    widget(page.selectbox, "Items sorted by").set_value("clusters").run()
    clustered = spec(page, "similarity-matrices")["layout"]
    assert clustered["xaxis"]["title"]["text"] == "Item, by clusters of A" != title
    assert not clustered.get("shapes")
    widget(page.selectbox, "Items sorted by").set_value("slope").run()
    assert spec(page, "similarity-matrices")["layout"]["shapes"]
    assert not page.exception


@pytest.mark.parametrize(("values", "title"), [("rank", "Rank of"), ("percentile", "Percentile of")])
def test_colours_can_be_ranks_or_percentiles(page, values, title):
    widget(page.selectbox, "Colours").set_value(values).run()
    axis = spec(page, "similarity-matrices")["layout"]["coloraxis"]
    assert axis["colorbar"]["title"]["text"].startswith(title)
    assert axis["cmin"] >= 0


def test_the_difference_diverges_around_zero(page):
    test = looked_further(page, "Difference map")
    axis = spec(test, "similarity-difference")["layout"]["coloraxis"]
    assert axis["cmin"] == -axis["cmax"]
    assert axis["cmid"] == 0


def test_layers_stand_side_by_side_for_each_condition(page):
    test = looked_further(page, "Layers side by side")
    assert names(test).count("similarity-by-layer") == 2


def test_items_lie_in_a_plane_whatever_they_are_sorted_by(page):
    test = looked_further(page, "Items in a plane")
    assert len(spec(test, "item-map")["data"]) >= 2
    widget(test.selectbox, "Items sorted by").set_value("clusters").run()
    assert not test.exception


def test_without_b_there_is_no_difference_to_show(chosen):
    record(chosen, "a")
    test = looked_further(opened("rsa", chosen), "Difference map")
    assert "similarity-difference" not in names(test)


def test_a_link_carries_how_items_stand_and_are_coloured(chosen):
    record(chosen)
    test = opened("rsa", {**chosen, "sorted": "clusters", "colours": "rank"})
    assert widget(test.selectbox, "Items sorted by").value == "clusters"
    assert widget(test.selectbox, "Colours").value == "rank"
