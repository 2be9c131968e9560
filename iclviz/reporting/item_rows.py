"""The items of one or two conditions as a table: what was asked, answered and scored, A beside B."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from iclviz.recording import Array, Recording
from iclviz.reporting.followed import followed
from iclviz.tasks import Task

MOST_VALUES = 12
"""Different values of a label by which items can be told apart at a glance."""


def item_rows(conditions: Mapping[str, Recording], the_task: Task, score: str) -> dict[str, list[Any]]:
    """Column -> values of the first condition's items, in their order; conditions: "A" and "B".

    The score is in its natural unit, and None where a condition lacks the item or its value.
    """
    first, unit = next(iter(conditions.values())), the_task.natural_unit(score)
    ids = list(first.item_ids)
    columns: dict[str, list[Any]] = {"Item": ids}
    for name in few_valued(first):
        columns[the_task.titles[name]] = [str(value) for value in first.labels[name]]
    columns["Expected"] = list(first.answers)
    scores: dict[str, Array] = {}
    for side, one in conditions.items():
        place = {item: index for index, item in enumerate(one.item_ids)}
        columns[f"{side}: response"] = [one.responses[place[item]].strip() if item in place else None for item in ids]
        scores[side] = unit.values(_scores(one, place, ids, score))
        if statements := followed(one, the_task):
            columns[f"{side}: followed"] = [statements[place[item]] if item in place else None for item in ids]
    columns |= {f"{side}: {unit.axis}": list(map(_said, values)) for side, values in scores.items()}
    if len(scores) == 2:
        a, b = scores.values()
        columns["B − A"] = list(map(_said, b - a))
    return columns


def few_valued(recording: Recording) -> list[str]:
    """The labels of few values, by which items can be filtered."""
    return [
        name
        for name, values in recording.labels.items()
        if 1 < len({str(value) for value in values}) <= min(MOST_VALUES, recording.n_items - 1)
    ]


def _scores(one: Recording, place: Mapping[str, int], ids: list[str], score: str) -> Array:
    values = one.scores.get(score, np.full(one.n_items, np.nan))
    return np.array([values[place[item]] if item in place else np.nan for item in ids], dtype=float)


def _said(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
