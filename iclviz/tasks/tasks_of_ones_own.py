"""Tasks of one's own that are code: what they do not keep of what a task promises is told in a sentence."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import numpy as np

from iclviz.errors import SpecError
from iclviz.extensions import telling
from iclviz.spec import POOLINGS
from iclviz.tasks.base import KINDS, Array, Item, Option, Parsed, PrimaryAnalysis, Task, TaskData

COMPUTED = (
    "chance", "is_floor", "check_items", "data", "demonstrations", "shown_covariates", "solved_example", "parse",
    "score", "is_finished", "points",
)  # fmt: skip
"""What others call of a task and cannot go on without."""


def check(task: Task) -> None:
    """Refuse a task whose attributes are not what they should be.

    Raises
    ------
    ValueError: so.
    """
    kind, primary = type(task).__name__, task.primary
    if not isinstance(primary, PrimaryAnalysis):
        raise ValueError(f"the primary of {kind} is no PrimaryAnalysis")
    if not isinstance(task.options, tuple) or not all(isinstance(one, Option) for one in task.options):
        raise ValueError(f"the options of {kind} are no tuple of Option")
    _known(kind, "demonstration kind", task.demonstration_kinds, KINDS)
    _known(kind, "pooling", [primary.pooling], POOLINGS)
    _known(kind, "title", [primary.hypothesis, primary.label, primary.score], task.titles)
    _known(kind, "title", task.hypothesis_labels.values(), task.titles)
    _known(kind, "hypothesis with a label", [primary.hypothesis], task.hypothesis_labels)
    _known(kind, "instruction for the prompt style", ["plain", "chat"], task.instructions)


def _known(kind: str, what: str, names: Any, known: Any) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{kind} has no {what} {name!r}; it has {', '.join(map(str, known))}")


def guarded(task: Task, file: str) -> Task:
    """The task, whose own faults are told and whose items and scores are checked; file: what its file is called."""
    task.data = _checked(task, task.data, check_data)  # type: ignore[method-assign]
    task.score = _checked(task, task.score, check_scores)  # type: ignore[method-assign]
    task.parse = _checked(task, task.parse, check_parsed)  # type: ignore[method-assign]
    for name in COMPUTED:
        setattr(task, name, telling(getattr(task, name), SpecError, f"The task {task.name} of {file} cannot go on"))
    return task


def _checked(task: Task, method: Callable[..., Any], check: Callable[[Task, Any, Any], None]) -> Callable[..., Any]:
    """The method, whose first argument and result are looked at."""

    @wraps(method)
    def call(*arguments: Any, **named: Any) -> Any:
        found = method(*arguments, **named)
        check(task, found, arguments[0] if arguments else next(iter(named.values())))
        return found

    return call


def check_data(task: Task, data: TaskData, n_items: int) -> None:
    """Refuse items that are not as many as were asked for, or things known of them that are not of each.

    Raises
    ------
    ValueError: so.
    """
    if not isinstance(data, TaskData):
        raise ValueError(f"data gives a {type(data).__name__}, and no TaskData")
    if len(data.items) != n_items or not all(isinstance(one, Item) for one in data.items):
        raise ValueError(f"data gives {len(data.items)} items where {n_items} of the type Item were asked for")
    if len({one.id for one in data.items}) < n_items:
        raise ValueError("two items have one id")
    for what in ("labels", "groups", "covariates", "factors"):
        _check_shapes(f"{what} of data", getattr(data, what), (n_items,))
    _check_shapes("hypotheses of data", data.hypotheses, (n_items, n_items))
    for name, matrix in data.hypotheses.items():
        if not np.array_equal(matrix, np.transpose(matrix), equal_nan=True):
            raise ValueError(f"the hypothesis {name} is not symmetric")
    _check_titles(task, [*data.labels, *data.hypotheses, *data.covariates])
    for name in data.hypotheses:
        _known("data", "group for the hypothesis", [name], data.groups)
        _known(type(task).__name__, "label for the hypothesis", [name], task.hypothesis_labels)
        _known("data", "label", [task.hypothesis_labels[name]], data.labels)
    _known("data", "group for a label or hypothesis that is called", data.groups, {**data.labels, **data.hypotheses})


def check_scores(task: Task, scores: Mapping[str, Array], data: TaskData) -> None:
    """Refuse scores that are not of each item, or lack the one that the primary analysis is about.

    Raises
    ------
    ValueError: so.
    """
    _check_shapes("scores", scores, (len(data.items),))
    _known("score", "entry", [task.primary.score], scores)
    _check_titles(task, list(scores))


def check_parsed(task: Task, parsed: Parsed, response: str) -> None:
    """Refuse an answer that is none, or ends outside its response.

    Raises
    ------
    ValueError: so.
    """
    if not isinstance(parsed, Parsed) or not (parsed.value is None or isinstance(parsed.value, str)):
        raise ValueError(f"parse gives {parsed!r}, and no Parsed with a text or None")
    if not 0 <= parsed.end <= len(response):
        raise ValueError(f"parse ends at {parsed.end} in a response of {len(response)} characters")


def _check_titles(task: Task, names: Sequence[str]) -> None:
    _known(type(task).__name__, "title", names, task.titles)


def _check_shapes(what: str, table: Mapping[str, Array], shape: tuple[int, ...]) -> None:
    for name, values in table.items():
        if np.shape(values) != shape:
            raise ValueError(f"the {what} have {name} in the shape {np.shape(values)} where {shape} is needed")
