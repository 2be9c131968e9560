from types import SimpleNamespace

import numpy as np
import pytest

import iclviz
from iclviz import analysis
from iclviz.analysis.order_shares import ONE_SET
from iclviz.mapping import ready_maps
from iclviz.reporting.map_recipes import (
    map_grids,
    map_label,
    map_scope,
    order_sentence,
    possible_maps,
    recipes_of_maps,
)
from iclviz.spec import Demonstrations, RunSpec
from tests.analysis.test_order_shares import map_of, planted

OF_THE_OTHER = [typed for typed in ready_maps().values() if "{shown}" in typed]


@pytest.mark.parametrize("typed", OF_THE_OTHER)
def test_what_is_taken_from_the_other_condition_is_of_its_order(typed):
    shown = {"A": Demonstrations("correct", 4), "B": Demonstrations("correct", 4, order=2)}
    pairs = {label: SimpleNamespace(spec=RunSpec("m", "reading_comprehension", one)) for label, one in shown.items()}
    found = map_grids(typed, "", pairs)
    assert found["A"].demonstrations == shown["B"]
    assert found["B"].demonstrations == shown["A"]
    assert "order" not in str(found["B"])
    assert str(found["A"]).endswith("order=2")
    assert "correct, k = 4, order 2" in found["A"].sentence()


def test_the_sentence_on_order_says_what_it_does_beside_which_are_shown():
    found = analysis.order_share(map_of(planted(1.0, 1.0, common=0.5)), "margin")
    said = order_sentence({"A: correct, k = 4": found})
    assert said.startswith(
        f"A: two orders of the same demonstrations change an item’s answer {100 * found.of_items.share:.0f} %"
    )
    assert f"({100 * found.low:.0f} % to {100 * found.high:.0f} % over items, " in said
    assert f"between two orders of set {1 + int(np.argmax(found.ranges))} the mean goes by" in said
    alone = analysis.order_share(map_of(planted(1.0, 1.0, n_sets=1)), "margin")
    assert order_sentence({"B": alone}).startswith(f"B: {ONE_SET}; between two orders of set 1 the mean goes by")


def test_maps_of_orders_are_limited_to_their_sets_and_have_their_figure(tiny_model):
    run = iclviz.run(str(tiny_model), "reading_comprehension", Demonstrations("correct", 3), 6)
    made = iclviz.effect_map(run, "orders sets=1 orders=3", progress=False)
    pairs, maps = {"A": run}, {map_label("A", made.grid): made}
    assert map_scope({"A": made}, pairs) == "for 1 set of demonstrations in 3 orders only"
    figures = [recipe.figure for recipe in recipes_of_maps(maps, pairs)]
    assert figures == ["effect_map", "effect_chosen", "order_share"]


def test_maps_that_conditions_cannot_have_are_left_out():
    spec, one = RunSpec("m", "reading_comprehension"), {"answer": np.array(["a", "b"] * 4)}
    for labels, has_control in ((one, False), (one | {"name": np.array(["c", "d", "d", "c"] * 2)}, True)):
        pairs = {label: SimpleNamespace(spec=spec, labels=labels) for label in "AB"}
        found = possible_maps(pairs)
        assert any(grids["A"].kind == "heads" for grids in found.values())
        assert any(grids["A"].kind == "competence" for grids in found.values()) == has_control
