import numpy as np
import pytest
from samples import DRAWN, A, B, alignment_result, drawn, log_ratio, score

from iclviz.figures import FIGURES, table
from iclviz.figures.theme import CONDITIONS


@pytest.mark.parametrize(
    "name", sorted(set(DRAWN) - {"similarity-matrices", "attention-ratio-by-head", "attention-split"})
)
def test_a_condition_keeps_its_colour(name):
    figure = drawn(name)
    for place, colour in enumerate(CONDITIONS):
        label = [trace.name for trace in figure.data if trace.name and not trace.name.startswith("Chance")][place]
        trace = next(trace for trace in figure.data if trace.name == label)
        drawn_in = [trace.line.color if trace.type == "scatter" else None, trace.marker.color, trace.marker.line.color]
        assert colour in drawn_in


def test_one_condition_alone_can_be_drawn():
    figure = FIGURES["alignment-by-layer"]({A: alignment_result()}, hypothesis="same slope")
    assert set(table(figure)["series"]) == {A}


def test_conditions_share_one_scale_and_the_hypothesis_has_its_own():
    a, b, hypothesis = drawn("similarity-matrices").data
    assert a.coloraxis == b.coloraxis != hypothesis.coloraxis


def test_similarities_are_coloured_around_zero_without_the_diagonal():
    axis = drawn("similarity-matrices").layout.coloraxis
    assert axis.cmin == -axis.cmax
    assert axis.cmax < 1


def test_distances_have_a_sequential_scale():
    distances = -np.abs(np.arange(4.0)[:, None] - np.arange(4.0)[None, :])
    figure = FIGURES["similarity-matrices"](
        {A: distances}, np.full((4, 4), np.nan), item_ids=list("abcd"), metric="euclidean", layer=0
    )
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (-3, -1)
    assert figure.layout.coloraxis.cmid is None


def test_items_are_sorted_by_group_and_hovered_by_name():
    figure = FIGURES["similarity-matrices"](
        {A: np.arange(9.0).reshape(3, 3)}, np.eye(3), item_ids=["x", "y", "z"], groups=["b", "a", "b"], layer=3
    )
    assert list(figure.data[0].x) == ["y", "x", "z"]
    assert figure.data[0].z.tolist() == [[4, 3, 5], [1, 0, 2], [7, 6, 8]]
    assert figure.data[0].text is None
    assert list(figure.layout.xaxis.ticktext) == ["a", "b"]
    assert {shape.x0 for shape in figure.layout.shapes} == {-0.5, 0.5}


def test_many_groups_are_not_all_labelled():
    n = 60
    figure = FIGURES["similarity-matrices"](
        {A: np.eye(n)}, np.eye(n), item_ids=[str(i) for i in range(n)], groups=np.arange(n) // 2, layer=3
    )
    assert len(figure.layout.xaxis.ticktext) <= 12


def test_filled_marks_are_those_that_stand_out():
    figure = FIGURES["alignment-by-layer"]({A: alignment_result(0.6)}, hypothesis="same slope")
    line = next(trace for trace in figure.data if trace.name)
    stands_out = alignment_result(0.6).p_corrected < 0.05
    assert [symbol == "circle" for symbol in line.marker.symbol] == stands_out.tolist()
    assert 0 < stands_out.sum() < len(stands_out)


def test_a_missing_p_is_explained_where_it_is_missed():
    reason = "too few groups (5 < 8): no p is given"
    figure = FIGURES["alignment-by-layer"]({A: alignment_result(reason=reason)}, hypothesis="same slope")
    assert reason in figure.layout.title.subtitle.text


def test_heads_are_coloured_around_zero_on_one_scale():
    figure = drawn("attention-ratio-by-head")
    assert figure.layout.coloraxis.cmin == -figure.layout.coloraxis.cmax
    assert {trace.coloraxis for trace in figure.data} == {"coloraxis"}


def test_heads_without_any_ratio_can_be_drawn():
    nothing = log_ratio(3, 2)
    nothing.mean[:] = np.nan
    assert FIGURES["attention-ratio-by-head"]({A: nothing}).layout.coloraxis.cmax == 1


def test_the_table_holds_estimates_with_their_intervals():
    columns = table(FIGURES["alignment-by-layer"]({A: alignment_result(0.6)}, hypothesis="same slope"))
    test = alignment_result(0.6)
    assert columns["Layer (0 = input of the first block)"] == list(range(13))
    assert columns["Alignment (Spearman's rho)"][0] is None
    assert columns["low"][1:] == pytest.approx(test.low[1:])
    assert columns["p corrected over layers"][1:] == pytest.approx(test.p_corrected[1:])


def test_the_table_of_a_heatmap_is_long():
    columns = table(drawn("similarity-matrices"))
    assert len(columns["series"]) == 3 * 24 * 24
    assert {"Item, by slope (across)", "Item, by slope (down)", "cosine similarity", "prediction"} <= set(columns)


def test_the_table_of_panels_says_which_panel():
    columns = table(drawn("attention-split"))
    assert set(columns["panel"]) == {A, B}
    for panel in (A, B):
        total = sum(s for s, p in zip(columns["Share of attention (%)"], columns["panel"], strict=True) if p == panel)
        assert total == pytest.approx(12)


def test_items_without_a_score_are_not_counted_in_its_distribution():
    summary = score()
    summary.values[0] = np.nan
    figure = FIGURES["score-distribution"]({A: summary}, score="Closeness")
    assert len(figure.data[0].x) == 23


def test_the_over_k_figure_runs_in_order_of_k():
    series = {"correct": {8: score(1.0), 0: score(0.2), 2: score(0.4)}}
    figure = FIGURES["score-over-k"](series, score="Closeness")
    assert list(figure.data[0].x) == [0, 2, 8]
    assert list(figure.data[0].y) == [0.2, 0.4, 1.0]
