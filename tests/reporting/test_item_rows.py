import numpy as np

from iclviz.reporting.item_rows import few_valued, item_rows
from iclviz.tasks import task


def test_a_row_has_an_item_in_a_beside_b_in_its_natural_unit(few_and_many):
    few, many = few_and_many
    the_task = task("linear_regression")
    rows = item_rows({"A": few, "B": many}, the_task, "log_accuracy")
    assert rows["Item"] == list(few.item_ids)
    assert rows["A: response"] == [text.strip() for text in few.responses]
    a, b = (np.array(rows[f"{side}: Typical error"], dtype=float) for side in "AB")
    np.testing.assert_allclose(a, 10.0 ** -few.scores["log_accuracy"] - 0.1, atol=1e-9)
    np.testing.assert_allclose(np.array(rows["B − A"], dtype=float), b - a)
    assert all(len(values) == few.n_items for values in rows.values())


def test_labels_of_few_values_are_columns(few_and_many):
    few, _ = few_and_many
    rows = item_rows({"A": few}, task("linear_regression"), "log_accuracy")
    assert few_valued(few)
    assert {task("linear_regression").titles[name] for name in few_valued(few)} <= set(rows)
    assert "B − A" not in rows
