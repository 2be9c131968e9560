import json
from types import SimpleNamespace

import numpy as np
import pytest

import iclviz
from iclviz import analysis, figures
from iclviz.analysis.measure import Measuring
from iclviz.answers import Answers
from iclviz.contrasts import Contrast
from iclviz.errors import AnalysisError
from iclviz.reporting.export import answering
from iclviz.reporting.recipes import Entry, Recipe, recipes, spelled, with_values
from iclviz.store import Store


@pytest.fixture
def runs(few_and_many):
    return dict(zip(("A: few", "B: many"), few_and_many, strict=True))


def drawn(recipe, runs):
    """The figure as a page draws it, and as the printed lines do."""
    found = {label: question.answered([runs[n] for n in names]) for (label, question), names in zip(
        recipe.questions(runs).items(), recipe.asked.values(), strict=True
    )}  # fmt: skip
    said = {"analysis": analysis, "figures": figures, "conditions": runs}
    exec(recipe.python(), said)
    return recipe.draw(found, runs), said["figure"]


def test_every_recipe_of_an_export_is_drawn_by_its_own_lines(runs):
    found = list(recipes(runs, answering(Store())))
    assert {recipe.figure for recipe in found} >= {"similarity_matrices", "link_by_layer", "attention_split"}
    for recipe in found:
        page, script = drawn(recipe, runs)
        assert figures.table(page) == figures.table(script), recipe.figure


def test_a_recipe_is_plain_json(runs):
    for recipe in recipes(runs, answering(Store())):
        kept = json.loads(json.dumps(recipe.to_dict()))
        assert kept["figure"] == recipe.figure
        assert getattr(analysis, kept["analysis"]) is recipe.analysis


def test_what_a_comparison_asks_is_printed_as_one(runs):
    recipe = Recipe(
        analysis.measured_change, {"B − A": ("A: few", "B: many")}, "change_by_layer",
        {"measure": "attention_ratio"}, {"measure": "ratio", "first": 1},
    )  # fmt: skip
    assert "analysis.compare([conditions['A: few']], [conditions['B: many']])" in recipe.python()
    page, script = drawn(recipe, runs)
    assert figures.table(page) == figures.table(script)


def test_runs_of_one_condition_are_joined_over_seeds(runs):
    asked = {"both": ["A: few", "B: many"]}
    given = {"measure": "attention_ratio"}
    words = {"measure": "ratio", "value": "log", "first": 1}
    recipe = Recipe(analysis.measured, asked, "measure_of_set", given, words, seeded={"both": True})
    answers = {name: analysis.measured(one, "attention_ratio") for name, one in runs.items()}
    found = recipe.results(answers)["both"]
    np.testing.assert_allclose(found.estimate, np.mean([one.estimate for one in answers.values()], axis=0))
    said = {"analysis": analysis, "figures": figures, "conditions": runs}
    exec(recipe.python(), said)
    assert figures.table(recipe.draw(answers, runs)) == figures.table(said["figure"])


def test_values_are_spelled_so_that_python_makes_them_again():
    effect = Contrast("a", "b", "c", "d", "b minus c")
    ratio = Measuring(rows="last", own={"strength": 0.1})
    for value in (Measuring(), ratio, effect, 3, "it's", None, {"a": (1, 2)}):
        assert eval(spelled(value), {"analysis": analysis}) == value
    assert spelled(Measuring()) == "analysis.Measuring()"
    assert spelled(Entry("A", "labels", "slope")) == "conditions['A'].labels['slope']"


def test_a_figure_without_a_number_is_refused_with_the_reason_of_its_answers():
    nothing = SimpleNamespace(missing={0: "all items have the same embedding"})
    figure = figures.attention_split({"A": {"relevant": np.full(3, np.nan)}})
    with pytest.raises(AnalysisError, match="All items have the same embedding"):
        with_values(figure, {"A": nothing})


def test_an_export_takes_the_answers_that_pages_have_and_keeps_its_own(few_and_many):
    store = Store()
    question = analysis.measured.of([few_and_many[0].key], "attention_ratio")
    Answers(store).put(question, "from a page")
    assert answering(store)(question) == "from a page"
    other = analysis.measured.of([few_and_many[1].key], "attention_ratio")
    found = answering(store)(other)
    np.testing.assert_array_equal(Answers(store).get(other).estimate, found.estimate)


def test_what_cannot_be_answered_is_kept_as_well(few_and_many):
    store, question = Store(), analysis.measured.of([few_and_many[0].key], "alignment", Measuring(hypothesis="none"))
    with pytest.raises(AnalysisError):
        answering(store)(question)
    assert question in Answers(store)
    assert iclviz.load(few_and_many[0].key).n_items == 12
