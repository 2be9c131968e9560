"""Room in a cache folder: what takes it, what can go, and whether everything that is left can be read.

`gc` removes what nobody misses: leftovers of killed writers, what was set aside as damaged, locks and logs that have
grown, jobs that ended long ago, runs that were given up, and discarded recordings beyond their limit. Recordings
themselves go only when asked, the ones that were not touched for longest first. `check` reads every byte and names what
is wrong.
"""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from iclviz.answers import Answers
from iclviz.curating import annotation_problem, discarded, forget_discarded
from iclviz.disk import size_of
from iclviz.errors import StoreError
from iclviz.formats import NewerError
from iclviz.jobs.asked import Asked
from iclviz.jobs.queue import Queue
from iclviz.rows import SET_ASIDE
from iclviz.store import Ailing, Store
from iclviz.tasks.task_files import kept

DAY = 86400.0
SET_ASIDE_NAME = re.compile(rf"(index|machine|queue|asked|answers|tasks){re.escape(SET_ASIDE)}\d+")


@dataclass(frozen=True)
class Limits:
    """How much may stay.

    Attributes
    ----------
    bin_bytes: of discarded recordings; the ones discarded first go first.
    log_bytes: of each log, of which the end is kept.
    jobs: that ended and are listed.
    unfinished_days: for which what a run has finished waits for somebody to go on with it.
    recordings_bytes: of all recordings; None is any number.
    """

    bin_bytes: int = 2 * 10**9
    log_bytes: int = 5 * 10**6
    jobs: int = 1000
    unfinished_days: float = 30.0
    recordings_bytes: int | None = None


@dataclass(frozen=True)
class Freed:
    """Something that was removed, in words, and the bytes that it took."""

    what: str
    size: int


def gc(store: Store, limits: Limits | None = None, only_say: bool = False) -> list[Freed]:
    """Remove what nobody misses, or only say what that is.

    Raises
    ------
    StoreError: the cache cannot be written.
    """
    limits = limits or Limits()
    freed = []
    for one, size, remove in _surplus(store, limits):
        if not only_say:
            with suppress(OSError):
                remove()
        freed.append(Freed(one, size))
    return freed


Surplus = Iterator[tuple[str, int, Callable[[], object]]]


def _surplus(store: Store, limits: Limits) -> Surplus:
    yield from _leftovers(store)
    yield from _logs(store, limits)
    if store.folder.exists():
        yield from _jobs(store, limits)
    if store.storage.is_shared:
        yield from _copies(store, limits)
    else:
        yield from _bin(store, limits)
        yield from _unfinished(store, limits)
        yield from _recordings(store, limits)


def _leftovers(store: Store) -> Surplus:
    for path in store.leftovers():
        if _age(path) > DAY:
            yield f"left by a killed process: {path.name}", size_of(path), _remover(path)
    if store.folder.exists():
        for path in sorted(store.folder.iterdir()):
            if SET_ASIDE_NAME.fullmatch(path.name):
                yield f"set aside as damaged: {path.name}", size_of(path), _remover(path)


def _remover(path: Path) -> Callable[[], object]:
    return lambda: shutil.rmtree(path) if path.is_dir() else path.unlink()


def _logs(store: Store, limits: Limits) -> Surplus:
    for path in sorted(store.folder.glob("*.log")):
        if (surplus := size_of(path) - limits.log_bytes) > 0:
            yield f"the beginning of {path.name}", surplus, lambda path=path: _cut(path, limits.log_bytes)  # type: ignore[misc]


def _cut(path: Path, most: int) -> None:
    """Keep the end of a log, in the same file: who writes it goes on at its end."""
    with path.open("r+b") as file:
        file.seek(-most, os.SEEK_END)
        end = file.read()
        file.seek(0)
        file.write(end)
        file.truncate()


def _bin(store: Store, limits: Limits) -> Surplus:
    there = discarded(store)
    room = sum(there.values())
    for key in sorted(there, key=lambda key: _changed(store.discarded_place(key))):
        if room <= limits.bin_bytes:
            return
        room -= there[key]
        yield f"discarded recording {key}", there[key], lambda key=key: forget_discarded(store, key)  # type: ignore[misc]


def _jobs(store: Store, limits: Limits) -> Surplus:
    queue = Queue(store)
    surplus = sum(not job.is_open for job in queue.jobs()) - limits.jobs
    if surplus > 0:
        yield f"{surplus} jobs that ended", 0, lambda: queue.forget_ended(limits.jobs)
    waiting = {job.key for job in queue.jobs() if job.is_open}
    for lock in sorted((queue.folder / "locks").glob("*.lock")):
        if lock.stem not in waiting and not lock.stem.startswith("worker-") and _age(lock) > DAY:
            yield f"lock {lock.stem}", size_of(lock), _remover(lock)


def _unfinished(store: Store, limits: Limits) -> Surplus:
    waiting = {job.key for job in Queue(store).jobs() if job.is_open} if store.folder.exists() else set()
    for key in store.unfinished_keys():
        left = store.unfinished(key)
        is_stale = store.holds(key) or _age(left.folder) > limits.unfinished_days * DAY
        if is_stale and key not in waiting:
            yield f"what is finished of the run {key}", size_of(left.folder), left.forget


def _recordings(store: Store, limits: Limits) -> Surplus:
    if limits.recordings_bytes is None:
        return
    found = sorted(store.summaries(), key=lambda entry: _changed(store.place(entry.key)))
    sizes = {entry.key: size_of(store.place(entry.key)) for entry in found}
    room = sum(sizes.values())
    for key, size in sizes.items():
        if room <= limits.recordings_bytes:
            return
        room -= size
        yield f"recording {key}", size, lambda key=key: store.delete(key)  # type: ignore[misc]


def _copies(store: Store, limits: Limits) -> Surplus:
    """Copies of what lies in a shared storage; what lies there is not this machine's to remove."""
    if limits.recordings_bytes is None:
        return
    sizes = {path: size_of(path) for path in sorted(store.storage.copies(), key=_changed)}
    room = sum(sizes.values())
    for path, size in sizes.items():
        if room <= limits.recordings_bytes:
            return
        room -= size
        yield f"copy of {path.parent.name}/{path.name}", size, _remover(path)


def _age(path: Path) -> float:
    return time.time() - _changed(path)


def _changed(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return time.time()


def check(store: Store) -> list[Ailing]:
    """Everything of a cache that cannot be used, after reading all of it."""
    readable, wrong = store.listing()
    for entry in readable:
        try:
            store.verify(entry.key)
        except StoreError as error:
            remove = lambda key=entry.key: store.delete(key)  # noqa: E731
            wrong.append(Ailing("recording", entry.key, str(error), isinstance(error, NewerError), remove))
        if (problem := annotation_problem(store, entry.key)) is not None:
            wrong.append(problem)
    for key in store.maps():
        try:
            store.load_made(key)
        except StoreError as error:
            newer, take_away = isinstance(error, NewerError), lambda key=key: store.delete_map(key)
            wrong.append(Ailing("map", key, str(error), newer, take_away))
    if store.folder.exists():
        wrong += [*Queue(store).ailing(), *Asked(store).ailing(), *_answers(store), *_tasks()]
    return wrong


def _answers(store: Store) -> list[Ailing]:
    answers = Answers(store)
    return [
        Ailing("answer", digest, problem, False, lambda digest=digest: answers.drop(digest))  # type: ignore[misc]
        for digest, problem in answers.damaged().items()
    ]


def _tasks() -> list[Ailing]:
    return [
        Ailing("task", one.place.name, one.problem, "newer iclviz" in one.problem, one.place.unlink)
        for one in kept()
        if one.problem
    ]


def room(store: Store) -> dict[str, int]:
    """Bytes that each part of a cache takes."""
    if not store.folder.exists():
        return {}
    return {path.name: size_of(path) for path in sorted(store.folder.iterdir())}
