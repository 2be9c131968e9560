"""The tasks, found by package: every module here that defines a `Task` subclass with a name registers it.

Tasks of users' own have no name until their file is read; see `task_files`.
"""

import importlib
import pkgutil
from functools import cache, lru_cache

from iclviz.errors import SpecError, unknown
from iclviz.tasks.base import KINDS, Answers, Item, Option, Parsed, PrimaryAnalysis, Task, TaskData
from iclviz.tasks.custom import OwnTask
from iclviz.tasks.listing import AllTasks, listed
from iclviz.tasks.own_rows import TaskFile
from iclviz.tasks.task_files import find, read

__all__ = [
    "KINDS",
    "Answers",
    "Item",
    "Option",
    "OwnTask",
    "Parsed",
    "PrimaryAnalysis",
    "Task",
    "TaskData",
    "all_tasks",
    "task",
    "tasks",
]


@cache
def tasks() -> dict[str, Task]:
    """Every registered task by name, in alphabetical order."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    named = [kind for kind in Task.__subclasses__() if hasattr(kind, "name")]
    return {kind.name: kind() for kind in sorted(named, key=lambda kind: kind.name)}


def all_tasks() -> AllTasks:
    """Every registered task, then every task of the tasks folder, by name; none of those is read for being listed."""
    own = {one.name: one for one in listed() if not one.problem}
    return AllTasks(tasks(), own, lambda one: _own_task(read(one.place)))


def task(name: str) -> Task:
    """The task of that name, or in the task file of that path or name, which is then kept in the cache folder.

    Raises
    ------
    SpecError: no such task.
    TaskFileError: the file is not there, or something in it is wrong.
    """
    if name in tasks():
        return tasks()[name]
    file = find(name)
    if file is None:
        raise unknown(SpecError, "task", name, list(all_tasks()))
    return _own_task(file)


@lru_cache(maxsize=64)
def _own_task(file: TaskFile) -> OwnTask:
    return OwnTask(file)
