"""The tasks, found by package: every module here that defines a `Task` subclass with a name registers it."""

import importlib
import pkgutil
from functools import cache

from iclviz.errors import SpecError, unknown
from iclviz.tasks.base import KINDS, Answers, Item, Option, Parsed, PrimaryAnalysis, Task, TaskData

__all__ = ["KINDS", "Answers", "Item", "Option", "Parsed", "PrimaryAnalysis", "Task", "TaskData", "task", "tasks"]


FILE_ENDINGS = (".json", ".jsonl", ".csv", ".tsv", ".yaml", ".yml", ".py", ".txt")


@cache
def tasks() -> dict[str, Task]:
    """Every task by name, in alphabetical order."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return {kind.name: kind() for kind in sorted(Task.__subclasses__(), key=lambda kind: kind.name)}


def task(name: str) -> Task:
    """The task of that name.

    Raises
    ------
    SpecError: no such task, or a path (own tasks are not read yet).
    """
    if name in tasks():
        return tasks()[name]
    if any(mark in name for mark in ("/", "\\")) or name.lower().endswith(FILE_ENDINGS):
        raise SpecError(
            f"The task {name!r} is a path, and this version reads no task files.",
            f"Take one of: {', '.join(tasks())}.",
        )
    raise unknown(SpecError, "task", name, list(tasks()))
