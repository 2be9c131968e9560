import pytest

from iclviz.analysis.link import LEVELS
from iclviz.store import Store
from iclviz.tasks import task
from iclviz.ui.compared import compared
from tests.pages.conftest import (
    TASKS,
    changed_model,
    charts,
    labels,
    opened,
    pressed,
    read,
    record,
    said,
    waiting,
    widget,
    with_model,
)

SEEDS = "Run 5 demonstration seeds"


def headline(test):
    """The sentence that the page begins with."""
    return next(text.value for text in test.markdown if text.value.startswith("#### "))


def in_full(test):
    """Everything that the headline's claims rest on."""
    return read(next(text.value for text in test.markdown if text.value.startswith("- ")))


def chart(test, name):
    """What the figure of that name holds."""
    return next(one.proto.spec for one in charts(test) if one.key == f"figure-{name}")


def test_with_an_empty_cache_nothing_is_claimed(chosen):
    test = opened("summary", chosen)
    assert not [text for text in test.markdown if text.value.startswith("#### ")]
    assert not test.expander


@pytest.mark.parametrize("name", TASKS)
def test_the_first_sentence_is_about_behaviour_and_the_rest_names_its_limits(name, of_task):
    choices = of_task(name)
    record(choices)
    test = opened("summary", choices)
    assert not test.exception
    assert not test.error
    of = task(choices["a_task"])
    first = headline(test)
    assert "ehaviour" in first.split(":")[0]
    unit = of.natural_unit(of.primary.score)
    assert unit.title in first.lower() if not of.contrast else "injected items obeyed" in first
    assert "for this demonstration set" in in_full(test)
    text = read(" ".join(one.value for one in test.markdown))
    assert "A statement about in-context learning needs 5 demonstration seeds or more" in text
    changes = widget(test.segmented_control, "Change of")
    assert changes.value is not None
    assert len(charts(test)) == 5
    for change in changes.options:
        widget(test.segmented_control, "Change of").set_value(change).run()
        assert not test.exception
        assert len(charts(test)) == 5


def test_with_one_condition_there_is_no_headline_and_its_methods_are_written(chosen):
    record(chosen, "a")
    test = opened("summary", chosen)
    assert not charts(test)
    assert "B has not been run yet" in said(test)
    assert "k = 2" in test.code[0].value


def test_different_tasks_are_not_compared_and_both_methods_are_written(chosen):
    other = {**chosen, "b_task": "reading_comprehension", "b_k": 1}
    record(other)
    test = opened("summary", other)
    assert not test.exception
    assert not charts(test)
    assert "A is Linear regression and B is Reading comprehension: no item is in both" in said(test)
    assert "Take Linear regression for both" in labels(test)
    assert test.code[0].value.count("The task was") == 2


def test_models_of_other_depth_are_not_compared(chosen, tiny_model, tmp_path):
    shallow = changed_model(tiny_model, tmp_path / "shallow", num_hidden_layers=2)
    other = {**chosen, "b_model": str(shallow)}
    record(other)
    test = opened("summary", other)
    assert not test.exception
    assert "A has 3 blocks and B 2, so layers do not correspond" in said(test)
    assert [one.key for one in charts(test)] == ["figure-score-pairs"]


def test_a_model_of_one_block_has_its_scatter(chosen, tiny_model, tmp_path):
    one = with_model(chosen, changed_model(tiny_model, tmp_path / "one", num_hidden_layers=1))
    record(one)
    test = opened("summary", one)
    widget(test.selectbox, "Measure").set_value("attention_ratio").run()
    assert not test.exception
    assert "block 1" in chart(test, "link-scatter")


def test_the_methods_are_in_markdown_latex_and_bibtex_each_to_be_saved(chosen):
    record(chosen)
    test = opened("summary", chosen)
    assert "Methods paragraph" in [one.label for one in test.expander]
    markdown, latex, bibtex = (code.value for code in test.code[-3:])
    assert "[@yousefi2023incontext]" in markdown
    assert "\\citep{yousefi2023incontext}" in latex
    assert bibtex.startswith("@article{yousefi2023incontext,")
    assert "200 times" in markdown
    saved = [button.label for button in test.get("download_button")]
    assert [label for label in saved if label.startswith("Save ")] == ["Save Markdown", "Save LaTeX", "Save BibTeX"]


def test_the_button_for_seeds_queues_the_missing_runs_once(chosen, nobody):
    record(chosen)
    test = pressed(opened("summary", chosen), SEEDS)
    assert not test.exception
    assert [(one.k, one.seed) for one in waiting()] == [(k, seed) for k in (2, 4) for seed in (1, 2, 3, 4)]
    assert nobody.asked
    assert widget(test.button, SEEDS).disabled


def test_with_several_seeds_statements_are_about_them_and_with_five_the_button_goes(chosen):
    record(chosen, seeds=[0, 1])
    test = opened("summary", chosen)
    assert "for these 2 demonstration sets" in in_full(test)
    assert SEEDS in labels(test)
    record(chosen, seeds=[2, 3, 4])
    test = opened("summary", chosen)
    assert not test.exception
    assert "over 5 demonstration seeds" in in_full(test)
    assert SEEDS not in labels(test)


def test_a_chosen_pair_of_different_seeds_stays_that_pair(chosen):
    pair = {**chosen, "b_seed": 5}
    record(pair)
    record(chosen, seeds=[1])
    a, b = (next(one for one in stored() if seed_of(one) == seed) for seed in (0, 5))
    assert compared({"A": a, "B": b}).key == (a.key, b.key)
    test = opened("summary", pair)
    assert SEEDS not in labels(test)
    assert "Choose one seed for both" in " ".join(one.value for one in test.caption)


def test_the_chosen_seed_comes_first(chosen):
    record(chosen, seeds=[0, 1, 2])
    a, b = (next(one for one in stored() if seed_of(one) == 1 and one.spec.demonstrations.k == k) for k in (2, 4))
    comparison = compared({"A": a, "B": b}).comparison
    assert [seed_of(one) for one, _ in comparison.pairs] == [1, 0, 2]


def stored():
    return [Store().load(one.key) for one in Store().summaries()]


def seed_of(run):
    return run.spec.demonstrations.seed


def test_examples_of_ones_own_have_no_seeds_to_run(chosen):
    own = {"a_kind": "custom", "a_examples": "x = 1, y = 2\n\nx = 2, y = 4"}
    custom = {**chosen, **own, "b_kind": "custom", "b_k": 1, "b_examples": "x = 1, y = 2"}
    record(custom)
    assert SEEDS not in labels(opened("summary", custom))
    mixed = {**chosen, **own}
    record(mixed, "b", seeds=[0, 1, 2])
    test = opened("summary", mixed)
    assert not test.exception
    assert "for these 3 demonstration sets" in in_full(test)
    pressed(test, SEEDS)
    assert [(one.kind, one.seed) for one in waiting()] == [("correct", 3), ("correct", 4)]


def test_the_caption_names_the_hypothesis_that_was_used(chosen):
    shared = {**chosen, "options": {"linear_regression": {"distractor": True, "points": "per_line"}}}
    record(shared)
    test = opened("summary", shared)
    assert not test.exception
    caption = next(one.value for one in test.caption if "primary analysis" in one.value)
    assert "Slope similarity" in caption
    assert "Same line" not in caption


def other(values, value):
    return next(one for one in values if one != value)


def test_measure_layer_and_level_choose_the_items_behind_a_link(chosen):
    record(chosen)
    test = opened("summary", chosen)
    drawn = {name: chart(test, name) for name in ("link-by-layer", "link-scatter")}
    layer = widget(test.slider, "Layer")
    layer.set_value(other((layer.max, layer.min), layer.value)).run()
    moved = chart(test, "link-scatter")
    measure = widget(test.selectbox, "Measure")
    measure.set_value(other(("probe", "attention_ratio"), measure.value)).run()
    assert len({drawn["link-scatter"], moved, chart(test, "link-scatter")}) == 3
    level = widget(test.selectbox, "Items compared")
    level.set_value(other(LEVELS, level.value)).run()
    assert chart(test, "link-by-layer") != drawn["link-by-layer"]
    assert not test.exception
