"""Many specs from one YAML file: what `iclviz sweep` runs.

The file is one entry or a list of them. An entry holds the fields of a `RunSpec`; under `grid` it may hold fields with
lists of values, and stands for every combination of these. A field within a table may be written with a point.

    task: linear_regression
    n_items: 32
    grid:
      demonstrations.k: [2, 4, 8, 16]
      demonstrations.seed: [0, 1, 2]
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from iclviz.errors import SpecError, unknown
from iclviz.models.presets import DEMO_MODEL
from iclviz.spec import OTHER_NAMES, RunSpec

MOST_RUNS = 10_000
KNOWN = [*(field.name for field in fields(RunSpec)), "grid"]


def read_specs(path: Path) -> list[RunSpec]:
    """The specs of a file, in its order, each once.

    Raises
    ------
    SpecError: the file cannot be read, or an entry is no spec; the message names the entry.
    """
    entries = _entries(path)
    specs = [spec for number, entry in enumerate(entries, start=1) for spec in _specs(path, number, entry)]
    if not specs:
        raise SpecError(f"{path.name} holds no runs.", "Give one spec, or a list of them.")
    return list(dict.fromkeys(specs))


def _entries(path: Path) -> list[Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise SpecError(f"The sweep {str(path)!r} cannot be read ({reason}).", "Give a YAML file of specs.") from error
    return content if isinstance(content, list) else [content]


def _specs(path: Path, number: int, entry: Any) -> Iterator[RunSpec]:
    try:
        for run in _combinations(entry):
            yield RunSpec.from_dict({"model": DEMO_MODEL, **run})
    except SpecError as error:
        raise SpecError(f"{path.name}, entry {number}: {error.problem}", error.remedy) from error


def _combinations(entry: Any) -> Iterator[dict[str, Any]]:
    """The fields of every run that an entry stands for."""
    if not isinstance(entry, Mapping):
        raise SpecError(f"{entry!r} is no spec.", "Give a table such as {task: linear_regression, n_items: 32}.")
    common: dict[str, Any] = {}
    for path, name in sorted(((_path(name), name) for name in entry if name != "grid"), key=lambda one: len(one[0])):
        common = _with(common, path, entry[name])
    grid = entry.get("grid", {})
    if not isinstance(grid, Mapping) or not all(isinstance(values, list) and values for values in grid.values()):
        raise SpecError(f"grid = {grid!r} is no grid.", "Give a table from fields to lists of values.")
    runs = math.prod(len(values) for values in grid.values())
    if runs > MOST_RUNS:
        raise SpecError(f"The grid stands for {runs:,} runs.", f"Take {MOST_RUNS:,} or fewer.")
    paths = [_path(name) for name in grid]
    for values in product(*grid.values()):
        run = common
        for path, value in zip(paths, values, strict=True):
            run = _with(run, path, value)
        yield run


def _path(name: Any) -> list[str]:
    """The names that lead to a field, which may lie in a table.

    Raises
    ------
    SpecError: no spec has such a field.
    """
    path = str(name).split(".")
    if path[0] not in KNOWN:
        raise unknown(SpecError, "field of the spec", name, KNOWN, OTHER_NAMES)
    return path


def _with(run: Mapping[str, Any], names: Sequence[str], value: Any) -> dict[str, Any]:
    """The fields of a run with one of them changed, which may lie in a table."""
    first, *rest = names
    if not rest:
        return {**run, first: value}
    inner = run.get(first, {})
    if not isinstance(inner, Mapping):
        raise SpecError(f"{first} = {inner!r} is no table.", f"Write {first} as a table of fields.")
    return {**run, first: _with(inner, rest, value)}
