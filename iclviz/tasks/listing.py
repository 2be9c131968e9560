"""The tasks folder as it is listed: what tells its tasks apart, without reading their rows.

A kept file's name is its digest, and its name and title stand in its first lines. A file that users put there is read
once for as long as it does not change.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from iclviz.disk import writing
from iclviz.errors import TaskFileError, UserError
from iclviz.formats import SEAL, NewerError
from iclviz.schemas import MisfitError
from iclviz.tasks.base import Task
from iclviz.tasks.custom import title_of
from iclviz.tasks.task_files import FORMAT, HEAD_END, KEPT_FILE, files, read, seal, tasks_folder

HEAD_BYTES = 2**16
REMEMBERED = 10_000


@dataclass(frozen=True)
class Listed:
    """A file of the tasks folder.

    Attributes
    ----------
    place: where it lies.
    name, title, digest: of the task in it; empty where there is none.
    problem: why there is none.
    is_newer: whether a newer iclviz wrote it.
    """

    place: Path
    name: str = ""
    title: str = ""
    digest: str = ""
    problem: str = ""
    is_newer: bool = False


def listed() -> list[Listed]:
    """Every task of the tasks folder, once, and every file there that is none."""
    found: dict[str, Listed] = {}
    for path in files():
        try:
            facts = path.stat()
        except OSError:
            continue
        one = _listed(path, facts.st_mtime_ns, facts.st_size)
        found.setdefault(one.digest or str(path), one)
    return list(found.values())


@lru_cache(REMEMBERED)
def _listed(path: Path, modified: int, size: int) -> Listed:
    try:
        if KEPT_FILE.fullmatch(path.name) and (head := _head(path)) is not None:
            name, called, title, digest = head["name"], head.get("called", ""), head["title"], path.stem
            if head.get(SEAL, expected := seal(head, digest)) != expected:
                raise TaskFileError(
                    f"The kept task {path.name} was changed.", "Give its file again: that puts it back."
                )
        else:
            file = read(path)
            name, called, title, digest = file.name, file.called, file.title, file.digest
    except UserError as error:
        return Listed(path, problem=str(error), is_newer=isinstance(error, NewerError))
    return Listed(path, f"{name}@{digest}", title or title_of(called or name), digest)


def _head(path: Path) -> dict[str, str] | None:
    """What stands before the rows of a kept file; None where that has to be read as any other."""
    try:
        with path.open("rb") as file:
            head, end, _ = file.read(HEAD_BYTES).partition(HEAD_END)
        values = FORMAT.current(json.loads(head.decode() + "\n}"), path.name)
    except (OSError, ValueError, RecursionError, MisfitError):
        return None
    fits = end and all(isinstance(values.get(name), str) for name in ("name", "title"))
    return values if fits else None


def forget(one: Listed) -> None:
    """Remove a file of the tasks folder; its recordings stay.

    Raises
    ------
    StoreError: the folder cannot be written.
    """
    with writing(tasks_folder(), "The folder of tasks"):
        one.place.unlink(missing_ok=True)


class AllTasks(Mapping[str, Task]):
    """The registered tasks, then those of the tasks folder; the latter are read when they are asked for."""

    def __init__(
        self, registered: Mapping[str, Task], own: Mapping[str, Listed], read_own: Callable[[Listed], Task]
    ) -> None:
        self._registered, self._own, self._read_own = registered, own, read_own

    def __getitem__(self, name: str) -> Task:
        return self._registered[name] if name in self._registered else self._read_own(self._own[name])

    def __iter__(self) -> Iterator[str]:
        return iter([*self._registered, *self._own])

    def __len__(self) -> int:
        return len(self._registered) + len(self._own)

    def __contains__(self, name: object) -> bool:
        return name in self._registered or name in self._own

    def titles(self) -> dict[str, str]:
        """The title of each; tasks of users' own may share theirs, so the content's digest tells them apart."""
        own = {name: f"{one.title} ({one.digest[:6]})" for name, one in self._own.items()}
        return {name: one.title for name, one in self._registered.items()} | own
