"""The tasks: those that modules here define, or files `tasks/NAME.py` of one's own, as `Task` subclasses with a name.

Tasks that are files of rows have no name until their file is read; see `task_files`.
"""

import inspect
from functools import lru_cache
from types import ModuleType

from iclviz import extensions
from iclviz.errors import SpecError, UserError, unknown
from iclviz.extensions import Parts
from iclviz.tasks.base import KINDS, Item, Option, Parsed, PrimaryAnalysis, ReadAnswers, Task, TaskData
from iclviz.tasks.custom import OwnTask
from iclviz.tasks.listing import AllTasks, listed
from iclviz.tasks.own_rows import TaskFile
from iclviz.tasks.task_files import find, read
from iclviz.tasks.tasks_of_ones_own import check, guarded

__all__ = [
    "KINDS",
    "Item",
    "Option",
    "OwnTask",
    "Parsed",
    "PrimaryAnalysis",
    "ReadAnswers",
    "Task",
    "TaskData",
    "all_tasks",
    "problems",
    "task",
    "tasks",
]


def tasks() -> dict[str, Task]:
    """Every registered task by name, in alphabetical order."""
    return dict(sorted(_parts().found.items()))


def problems() -> dict[str, UserError]:
    """Why files of one's own define no task, by their names."""
    return _parts().problems


def _parts() -> Parts[Task]:
    known = {name: one for module in extensions.inside(__name__) for name, one in _of_module(module).items()}
    return extensions.parts("tasks", known, _of_module)


@lru_cache(maxsize=256)
def _of_module(module: ModuleType) -> dict[str, Task]:
    """The tasks that a module defines, by name."""
    defined = [one for one in vars(module).values() if isinstance(one, type) and one.__module__ == module.__name__]
    kinds = [one for one in defined if issubclass(one, Task) and hasattr(one, "name")]
    for kind in kinds:
        missing = [name for name in inspect.get_annotations(Task) if not hasattr(kind, name)]
        if missing:
            raise TypeError(f"{kind.__name__} does not say its {missing[0]}")
    made = {kind.name: kind() for kind in kinds}
    if extensions.is_own(module):
        for one in made.values():
            check(one)
            guarded(one, extensions.called(module))
    return made


def all_tasks() -> AllTasks:
    """Every registered task, then every task of the tasks folder, by name; none of those is read for being listed."""
    own = {one.name: one for one in listed() if not one.problem}
    return AllTasks(tasks(), own, lambda one: _own_task(read(one.place)))


def task(name: str) -> Task:
    """The task of that name, or in the task file of that path or name, which is then kept in the cache folder.

    Raises
    ------
    SpecError: no such task.
    UserError: the file of one's own of that name defines none.
    TaskFileError: the file is not there, or something in it is wrong.
    """
    every = _parts()
    if name in every.found:
        return every.found[name]
    if name in every.problems:
        raise every.problems[name]
    file = find(name)
    if file is None:
        raise unknown(SpecError, "task", name, list(all_tasks()))
    return _own_task(file)


@lru_cache(maxsize=64)
def _own_task(file: TaskFile) -> OwnTask:
    return OwnTask(file)
