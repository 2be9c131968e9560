"""Where a store's files lie: named entries of a few files each, behind a protocol small enough for any storage.

A name is `group/entry`, such as `recordings/3f2a…`, or `group/entry/file` for one file of an entry. Whoever reads an
entry is given a local folder, which a remote storage fills first; nobody above this moves or renames files himself.
What is put is there whole or not at all, whoever else reads or writes at the same time.

Recordings, discarded recordings, unfinished runs and the locks of jobs go through it. Tables that are searched and
changed row by row stay diskcache databases in the cache folder: the index, the jobs, the answers and what is known of
this machine.
"""

import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

_NAME = re.compile(r"\w[\w-]*(/[\w][\w.@-]*){1,2}")


def parts_of(name: str, number: int | None = 2) -> list[str]:
    """The parts of a name: its group, its entry, and the file where it has one; number: how many there must be, None
    for either.

    Raises
    ------
    ValueError: it names nothing, or something outside the storage.
    """
    parts = name.split("/")
    if not _NAME.fullmatch(name) or number not in (None, len(parts)):
        raise ValueError(f"{name!r} names no {'file' if number == 3 else 'entry'}")
    return parts


class Storage(Protocol):
    """Named entries of files. Every method raises StoreError where the storage cannot be written or reached.

    Attributes
    ----------
    is_shared: whether other machines keep their entries here too: then only copies are removed to make room.
    """

    is_shared: bool

    def putting(self, name: str) -> AbstractContextManager[Path]:
        """An empty local folder whose files become the entry when the block ends, in place of what it was before; where
        the block raises, nothing has changed.
        """

    def put(self, name: str, content: bytes) -> None:
        """Write one file of an entry, which need not be there yet."""

    def get(self, name: str, *files: str) -> Path:
        """The local folder with the files of an entry; where there is no such entry, a folder that is not there.

        files: those that are needed; all where none is named.
        """

    def __contains__(self, name: object) -> bool:
        """Whether there is an entry, or a file of one."""

    def names(self, group: str) -> list[str]:
        """The last parts of the names of a group's entries, sorted."""

    def holding(self, group: str, file: str) -> list[str]:
        """Which entries of a group have a file of that name, sorted."""

    def move(self, name: str, to: str) -> None:
        """Give an entry another name, in place of what goes by that; nothing where there is no such entry."""

    def delete(self, name: str) -> None:
        """Remove an entry, or one file of it; nothing where there is none."""

    def lock(self, name: str, wait: float = 0.0) -> AbstractContextManager[bool]:
        """Hold a name of locks for as long as the block runs, or the process lives; False where somebody else does.

        wait: seconds to wait for somebody who holds it.
        """

    def leftovers(self) -> list[Path]:
        """Local files and folders that writers have not finished yet, or never will since they were killed."""

    def copies(self) -> list[Path]:
        """Local folders of entries that lie elsewhere too, and are filled again when they are asked for."""
