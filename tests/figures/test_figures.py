from dataclasses import replace

import numpy as np
import pytest
from samples import DRAWN, A, B, alignment_result, by_layer, drawn, layer_means, log_ratio, probe_result, score, split

from iclviz.analysis.trajectory import ItemTrajectory, OverCandidates
from iclviz.figures import FIGURES, table
from iclviz.figures.theme import CONDITIONS


@pytest.mark.parametrize(
    "name",
    [
        "score-by-condition",
        "score-distribution",
        "alignment-by-layer",
        "probe-by-layer",
        "attention-ratio-by-layer",
        "attention-ratio-over-items",
        "composite-to-simple",
    ],
)
def test_a_condition_keeps_its_colour(name):
    figure = drawn(name)
    for place, colour in enumerate(CONDITIONS):
        beside = ("Chance", "Permutation mean")
        label = [trace.name for trace in figure.data if trace.name and not trace.name.startswith(beside)][place]
        trace = next(trace for trace in figure.data if trace.name == label)
        drawn_in = [trace.line.color if trace.type == "scatter" else None, trace.marker.color, trace.marker.line.color]
        assert colour in drawn_in


def test_one_condition_alone_can_be_drawn():
    figure = FIGURES["alignment-by-layer"]({A: alignment_result()}, hypothesis="same slope")
    assert set(table(figure)["series"]) == {A, f"Permutation mean, {A}"}


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
    assert [shape.path for shape in figure.layout.shapes] == ["M0.5,-0.5L0.5,2.5M-0.5,0.5L2.5,0.5"] * 2


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
    assert 0 < stands_out.sum() < (alignment_result(0.6).p < 0.05).sum() < len(stands_out)


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
    assert columns["Layer (0 = input of the first block)"][:13] == list(range(13))
    assert columns["Alignment (Spearman's rho)"][0] is None
    assert columns["low"][1:13] == pytest.approx(test.low[1:])
    assert columns["p corrected over layers"][1:13] == pytest.approx(test.p_corrected[1:])
    assert columns["series"][13:] == [f"Permutation mean, {A}"] * 13
    assert columns["Alignment (Spearman's rho)"][13:] == pytest.approx(test.null_mean)


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


# --- What captions and subtitles say


def caption(name, conditions, **options):
    """The caption, and the details that a page shows to who asks."""
    meta = FIGURES[name](conditions, **options).layout.meta
    return f"{meta['caption']} {meta['details']}"


@pytest.mark.parametrize(("better", "side"), [("higher", "right"), ("lower", "left")])
def test_captions_of_scores_say_which_way_is_better(better, side):
    for name in ("score-by-condition", "score-over-k"):
        conditions = {A: score()} if name == "score-by-condition" else {A: {2: score()}}
        assert f"{better.capitalize()} is better" in caption(name, conditions, score="Error", better=better)
    assert f"to the {side} is better" in caption("score-distribution", {A: score()}, score="E", better=better)


def test_the_caption_of_a_score_names_its_interval_and_units():
    share = replace(score(), is_share=True, n_units=16)
    assert "95 % percentile intervals from resampling 8 independent groups of items" in caption(
        "score-by-condition", {A: score()}, score="Closeness"
    )
    assert "95 % Wilson intervals on the number of independent items in 16 independent groups" in caption(
        "score-by-condition", {A: share}, score="Exact"
    )


def test_the_caption_of_an_alignment_names_its_units_its_null_and_its_gaps():
    said = caption("alignment-by-layer", {A: alignment_result()}, hypothesis="same slope")
    for part in (
        "resampling 16 independent groups of items; they are conservative (wide)",
        "from permuted items, not with zero",
        "mean alignment over permutations of whole groups",
        "No value at layer 0: all items have the same embedding, but for rounding.",
    ):
        assert part in said
    items = alignment_result(unit="items", n_units=32, missing={})
    said = caption("alignment-by-layer", {A: alignment_result(), B: items}, hypothesis="same slope")
    assert f"16 independent groups of items ({A}), 32 independent groups of items ({B})" in said
    assert f"but for rounding ({A})." in said


def test_an_alignment_without_p_has_no_line_of_permutations():
    figure = FIGURES["alignment-by-layer"]({A: alignment_result(reason="too few groups")}, hypothesis="same slope")
    assert [trace.name for trace in figure.data if trace.name] == [A]
    assert "broken lines" not in figure.layout.meta["caption"]


def test_the_subtitle_tells_of_every_condition_and_not_of_the_first_alone():
    def subtitle(**conditions):
        return FIGURES["alignment-by-layer"](conditions, hypothesis="same slope").layout.title.subtitle.text

    full, few = alignment_result(), alignment_result(n_permutations=35)
    assert "(1,000 permutations)" in subtitle(a=full, b=full)
    assert "(1,000 permutations (a), 35 permutations (b))" in subtitle(a=full, b=few)
    mixed = subtitle(a=full, b=alignment_result(reason="too few groups (5 < 8): no p is given"))
    assert "filled: p < 0.05 corrected over layers (1,000 permutations)" in mixed
    assert "b: too few groups (5 < 8)" in mixed


def test_the_figure_of_a_probe_says_what_chance_and_interval_belong_to():
    said = caption("probe-by-layer", {A: probe_result()}, label="slope")
    for part in (
        "mean over classes",
        "Wilson's, on the number of independent held-out items in 16 independent groups",
        "no test against chance",
        "least-squares probe of fixed strength on the same folds",
        "labels permuted between groups",
        "A score below chance can arise in crossed designs",
    ):
        assert part in said
    columns = table(FIGURES["probe-by-layer"]({A: probe_result()}, label="slope"))
    assert columns["least-squares probe"][:13] == pytest.approx(probe_result().least_squares)
    assert columns["plain accuracy"][:13] == pytest.approx(probe_result().accuracy)
    number = probe_result(measure="R2", accuracy=None, n_classes=0)
    assert "leaving out each of 16 independent groups" in caption("probe-by-layer", {A: number}, label="slope")
    assert "plain accuracy" not in table(FIGURES["probe-by-layer"]({A: number}, label="slope"))


def test_figures_of_attention_say_whose_it_is_and_how_heads_were_joined():
    by_layer, by_head = FIGURES["attention-ratio-by-layer"], FIGURES["attention-ratio-by-head"]
    for rows, whose in (("response", "response tokens"), ("last", "the last prompt token")):
        figures = [by_layer({A: log_ratio(3)}, rows=rows), by_head({A: log_ratio(3, 2)}, rows=rows)]
        for figure in [*figures, FIGURES["attention-split"]({A: split()}, rows=rows)]:
            assert whose in figure.layout.meta["caption"]
            assert f"Attention of {whose}" in figure.layout.title.subtitle.text
    assert "in the head with the most attention" in caption("attention-ratio-by-layer", {A: log_ratio(3)}, heads="max")
    assert "heads joined by the mean" in caption("attention-ratio-by-layer", {A: log_ratio(3)}, heads="mean")
    assert "resampling 8 independent groups" in caption("attention-ratio-by-layer", {A: log_ratio(3)})


@pytest.mark.parametrize("name", DRAWN)
def test_captions_end_with_the_demonstration_sets_that_they_speak_of(name):
    def draw(*args, **options):
        return FIGURES[name](*args, **options, demonstrations="for this demonstration set only (seed 0)")

    assert DRAWN[name](draw).layout.meta["caption"].endswith(". For this demonstration set only (seed 0).")


def test_thirty_conditions_can_stand_side_by_side():
    many = {f"run {number}": split() for number in range(30)}
    assert len({trace.xaxis for trace in FIGURES["attention-split"](many).data}) == 30


def test_bounds_are_told_by_hover_and_caption_and_take_no_colour_from_the_others():
    summary = log_ratio(3, 4)
    summary.mean[1, 2], summary.n_bounded[1, 2] = 95.0, 3
    conditions = {A: summary, B: log_ratio(3, 4, seed=1)}
    figure = FIGURES["attention-ratio-by-head"](conditions)
    assert figure.layout.coloraxis.cmax < 5
    said = np.asarray(figure.data[0].hovertext)
    assert said[1, 2] == "; 3 of 24 items below what float32 holds: at least so far from 0"
    assert (said != "").sum() == 1
    assert f"In 3 ({A}), 0 ({B}) of the items' ratios" in caption("attention-ratio-by-head", conditions)
    assert "below what float32" not in caption("attention-ratio-by-head", {B: log_ratio(3, 4, seed=1)})


def test_a_measure_that_is_not_tested_has_no_open_marks():
    words = {"measure": "dimension", "value": "Dimension", "about": ""}
    untested, tested = (
        FIGURES["measure-by-layer"]({A: by_layer(1.0, tested=how)}, **words).data[2].marker.symbol
        for how in (False, True)
    )
    assert untested == "circle"
    assert "circle-open" in tested


def test_layer_zero_does_not_make_other_layers_small():
    def drawn_from(first):
        means = layer_means(quantity="answer")
        means.mean[0] = means.low[0] = means.high[0] = first
        return FIGURES["trajectory-by-layer"]({A: means})

    far, near = drawn_from(-100.0), drawn_from(1.0)
    low, high = far.layout.yaxis.range
    assert -1 < low < 0 < 2.2 < high < 3
    assert near.layout.yaxis.range is None
    assert [("outside of the frame" in one.layout.meta["details"]) for one in (far, near)] == [True, False]
    assert table(far)["Log-probability of the right answer (nats)"][0] == -100


def test_eight_candidates_have_eight_colours_and_marks():
    names = [f" {word}" for word in ("a", "b", "c", "d", "e", "f", "g", "h")]
    lines = FIGURES["trajectory-over-candidates"](
        OverCandidates({name: layer_means() for name in names}), condition=B
    ).data[2::3]
    assert [line.name for line in lines] == [name.strip() for name in names]
    assert len({line.line.color for line in lines}) == len({line.marker.symbol for line in lines}) == 8


def test_candidates_that_blanks_alone_tell_apart_keep_them():
    lines = FIGURES["trajectory-over-candidates"](
        OverCandidates({"a": layer_means(), " a": layer_means()}), condition=B
    ).data[2::3]
    assert [line.name for line in lines] == ["“a”", "“ a”"]


def test_an_item_without_candidates_has_an_empty_trajectory():
    none = ItemTrajectory("item-0", (), np.empty((13, 0)), np.full(13, np.nan), np.ones(13), np.ones(13))
    assert not FIGURES["trajectory-of-item"](none, condition=B).data
