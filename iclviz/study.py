"""A study: every combination of models, tasks, conditions, seeds and orders that one YAML file asks for, the maps of
each run, and the one comparison that was meant before any result.

    study: kinds-and-numbers
    models: [smollm2-135m-instruct]
    tasks:
      reading: {task: reading_comprehension, n_items: 32}
    conditions:
      none: {kind: none}
      correct: {kind: correct, k: [2, 8]}
      shuffled: {kind: shuffled, k: 8}
    seeds: [0, 1, 2]
    maps: [heads]
    measures: [alignment, probe]
    primary: {a: shuffled, b: "correct, k = 8"}

A condition whose k is a list stands for one condition for each. Demonstrations that no seed draws are there once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from iclviz.errors import SpecError, unknown
from iclviz.mapping import Grid, MapSpec, Tracer, grid_or_tracer
from iclviz.spec import Demonstrations, RunSpec, digest
from iclviz.whereabouts import without_folder

MOST_RUNS = 10_000
MOST_NAME = 80
TOP = ("study", "models", "tasks", "conditions", "seeds", "orders", "maps", "measures", "primary", "hidden")
OF_RUN = tuple(entry.name for entry in fields(RunSpec) if entry.name not in ("model", "demonstrations"))
OF_CONDITION = ("kind", "k", "examples", "interventions")


@dataclass(frozen=True)
class Condition:
    """One condition, whatever the seed.

    Attributes
    ----------
    name: what it is called, in the file or with its k.
    shown: its demonstrations, of seed 0.
    interventions: what is done to the model.
    """

    name: str
    shown: Demonstrations
    interventions: tuple[Any, ...] = ()

    @property
    def is_drawn(self) -> bool:
        """Whether a seed draws its demonstrations."""
        return self.shown.canonical().k > 0 and self.shown.kind != "custom"


@dataclass(frozen=True)
class Cell:
    """One run of a study: where it stands in the grid, and its spec."""

    model: str
    task: str
    condition: str
    seed: int
    order: int
    spec: RunSpec


@dataclass(frozen=True)
class Study:
    """What a study asks for.

    Attributes
    ----------
    name: of letters, digits, points and dashes.
    models: names or folders.
    tasks: name -> fields of its runs' specs.
    conditions: in their order; names are different.
    seeds, orders: of demonstrations.
    maps: of every run, where it has something to act on.
    measures: names of those by layer that it is about, a part of its digest.
    primary: names of the conditions A and B that are compared; None where none was meant before.
    hidden: whether conditions are called by numbers until every run is there.
    """

    name: str
    models: tuple[str, ...]
    tasks: Mapping[str, Mapping[str, Any]]
    conditions: tuple[Condition, ...]
    seeds: tuple[int, ...] = (0,)
    orders: tuple[int, ...] = (0,)
    maps: tuple[Grid | Tracer, ...] = ()
    measures: tuple[str, ...] = ()
    primary: tuple[str, str] | None = None
    hidden: bool = False

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Every run, model by model, task by task."""
        return tuple(
            Cell(model, task, condition.name, seed, order, self._spec(model, task, condition, seed, order))
            for model in self.models
            for task in self.tasks
            for condition in self.conditions
            for seed, order in self._draws(condition)
        )

    def _draws(self, condition: Condition) -> Iterator[tuple[int, int]]:
        if not condition.is_drawn:
            yield 0, 0
            return
        for seed in self.seeds:
            yield from ((seed, order) for order in self.orders)

    def _spec(self, model: str, task: str, condition: Condition, seed: int, order: int) -> RunSpec:
        shown = replace(condition.shown, seed=seed, order=order) if condition.is_drawn else condition.shown
        values = {
            **self.tasks[task],
            "model": model,
            "demonstrations": {},
            "interventions": list(condition.interventions),
        }
        return RunSpec.from_dict(values).with_(demonstrations=shown)

    @property
    def map_specs(self) -> list[tuple[Cell, MapSpec]]:
        """Every map of every run, with its cell; maps that put demonstrations in place belong to runs without."""
        return [(cell, MapSpec(cell.spec, of)) for of in self.maps for cell in self.cells]

    def condition(self, name: str) -> Condition:
        """The condition of that name.

        Raises
        ------
        SpecError: there is none.
        """
        found = next((one for one in self.conditions if one.name == name), None)
        if found is None:
            raise unknown(SpecError, "condition", name, [one.name for one in self.conditions])
        return found

    def shown_name(self, condition: str, is_complete: bool) -> str:
        """What a condition is called: a number that tells nothing, while names are hidden."""
        if is_complete or not self.hidden:
            return condition
        names = sorted((one.name for one in self.conditions), key=lambda name: digest([self.digest, name]))
        return f"condition {names.index(condition) + 1}"

    def to_dict(self) -> dict[str, Any]:
        """The study as plain JSON values."""
        return {
            "study": self.name,
            "models": list(self.models),
            "tasks": {name: dict(values) for name, values in self.tasks.items()},
            "conditions": {
                one.name: {"kind": one.shown.kind, "k": one.shown.k, "examples": list(one.shown.examples),
                           "interventions": [str(act) for act in one.interventions]}
                for one in self.conditions
            },
            "seeds": list(self.seeds),
            "orders": list(self.orders),
            "maps": [str(one) for one in self.maps],
            "measures": list(self.measures),
            "primary": None if self.primary is None else {"a": self.primary[0], "b": self.primary[1]},
            "hidden": self.hidden,
        }  # fmt: skip

    @cached_property
    def without_folders(self) -> "Study":
        """The same as others may read it: models of one's own by the last part of their path."""
        return replace(self, models=tuple(map(without_folder, self.models)))

    def shown_model(self, model: str) -> str:
        """A model's name without its folder; with its place among the study's where several are called so."""
        name, alike = (
            without_folder(model),
            [one for one in self.models if without_folder(one) == without_folder(model)],
        )
        return name if len(alike) == 1 else f"{name} ({alike.index(model) + 1})"

    @cached_property
    def digest(self) -> str:
        """What tells it from any study that asks for anything else, wherever its models lie."""
        return digest(self.without_folders.to_dict())


@dataclass(frozen=True)
class Curve:
    """A score over the number of demonstrations, of one kind, in one model and task; K numbers.

    Attributes
    ----------
    model, task: where.
    name: of the condition, as it is shown.
    ks: numbers of demonstrations, in order.
    mean, least, most: of the mean main score over seeds and orders, at each.
    n: runs at each.
    """

    model: str
    task: str
    name: str
    ks: tuple[int, ...]
    mean: tuple[float, ...]
    least: tuple[float, ...]
    most: tuple[float, ...]
    n: tuple[int, ...]


def read_study(path: Path) -> Study:
    """The study of a file.

    Raises
    ------
    SpecError: the file cannot be read, or says what no study is; the message names the field.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise SpecError(f"The study {str(path)!r} cannot be read ({reason}).", "Give a YAML file.") from error
    try:
        return study(content, path.stem)
    except SpecError as error:
        raise SpecError(f"{path.name}: {error.problem}", error.remedy) from error


def study(content: Any, name: str = "study") -> Study:
    """The study that a table means; name: what it is called where it does not say so.

    Raises
    ------
    SpecError: a field is missing, unknown or impossible.
    """
    values = _table("A study", content, TOP)
    found = Study(
        name=_name(values.get("study", name)),
        models=tuple(map(str, _list("models", values.get("models")))),
        tasks=_tasks(values.get("tasks")),
        conditions=tuple(_conditions(values.get("conditions"))),
        seeds=_numbers("seeds", values.get("seeds", [0])),
        orders=_numbers("orders", values.get("orders", [0])),
        maps=tuple(grid_or_tracer(one) for one in _list("maps", values.get("maps", []), least=0)),
        measures=tuple(map(str, _list("measures", values.get("measures", []), least=0))),
        primary=_primary(values.get("primary")),
        hidden=_flag("hidden", values.get("hidden", False)),
    )
    for condition in found.primary or ():
        found.condition(condition)
    n_runs = len(found.models) * len(found.tasks) * len(found.conditions) * len(found.seeds) * len(found.orders)
    if n_runs > MOST_RUNS:
        raise SpecError(f"The study stands for up to {n_runs:,} runs.", f"Take {MOST_RUNS:,} or fewer.")
    assert found.cells  # each spec is made, so that what none can be is refused here
    return found


def _table(what: str, value: Any, known: Sequence[str]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SpecError(f"{what} is a table, and {value!r} is none.", f"Give fields such as {', '.join(known[:3])}.")
    for name in value:
        if name not in known:
            raise unknown(SpecError, f"field of {what[:1].lower()}{what[1:]}", name, known)
    return value


def _list(name: str, value: Any, least: int = 1) -> list[Any]:
    if not isinstance(value, list) or len(value) < least:
        raise SpecError(f"{name} = {value!r} is no list.", f"Give {name} as a list in brackets.")
    return value


def _numbers(name: str, value: Any) -> tuple[int, ...]:
    numbers = _list(name, value)
    wrong = [one for one in numbers if isinstance(one, bool) or not isinstance(one, int) or one < 0]
    if wrong:
        raise SpecError(f"{name} holds {wrong[0]!r}.", f"Give {name} as whole numbers from 0.")
    return tuple(dict.fromkeys(numbers))


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise SpecError(f"{name} = {value!r} is neither true nor false.", f"Write {name}: true, or leave it out.")
    return value


def _name(value: Any) -> str:
    name = str(value)
    if (
        not 0 < len(name) <= MOST_NAME
        or not all(letter.isalnum() or letter in "._-" for letter in name)
        or name[0] == "."
    ):
        raise SpecError(
            f"{name!r} is no name of a study.", f"Take up to {MOST_NAME} letters, digits, points and dashes."
        )
    return name


def _tasks(value: Any) -> dict[str, dict[str, Any]]:
    if isinstance(value, str | list):
        names = [value] if isinstance(value, str) else value
        value = {str(one): {"task": one} for one in names}
    if not isinstance(value, Mapping) or not value:
        raise SpecError(f"tasks = {value!r} names no task.", "Give tasks: {reading: {task: reading_comprehension}}.")
    found = {}
    for name, own in value.items():
        table = dict(_table(f"The task {name}", own, (*OF_RUN, "options")))
        if "options" in table:
            table["task_options"] = table.pop("options")
        found[str(name)] = {"task": str(name), **table}
    return found


def _conditions(value: Any) -> Iterator[Condition]:
    if not isinstance(value, Mapping) or not value:
        raise SpecError(f"conditions = {value!r} names no condition.", "Give conditions: {none: {kind: none}}.")
    names: set[str] = set()
    for name, own in value.items():
        table = _table(f"The condition {name}", own, OF_CONDITION)
        ks = table.get("k", 0 if table.get("kind") == "none" else 8)
        for k in ks if isinstance(ks, list) else [ks]:
            called = f"{name}, k = {k}" if isinstance(ks, list) else str(name)
            if called in names:
                raise SpecError(f"Two conditions are called {called!r}.", "Name each otherwise.")
            names.add(called)
            shown = Demonstrations(str(table.get("kind", name)), k, examples=tuple(table.get("examples", ())))
            yield Condition(called, shown, tuple(map(str, table.get("interventions", ()))))


def _primary(value: Any) -> tuple[str, str] | None:
    if value is None:
        return None
    table = _table("The primary comparison", value, ("a", "b"))
    if set(table) != {"a", "b"} or table["a"] == table["b"]:
        raise SpecError("The primary comparison needs two conditions.", "Give primary: {a: none, b: correct}.")
    return str(table["a"]), str(table["b"])
