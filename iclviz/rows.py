"""Rows of JSON on disk under names: a diskcache that unpickles nothing and outlives damage.

A row that cannot be read any more raises `DamagedRowError`; its value is compressed, and the compression's checksum
notices flipped bits. A row whose name cannot be read is met as `DamagedName`. A file that is no database any more is
set aside, whoever notices first, and a new one begun; other processes notice that.
"""

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar

from diskcache import UNKNOWN, Cache, JSONDisk
from diskcache.core import MODE_PICKLE, Timeout
from filelock import FileLock

from iclviz.disk import writing

T = TypeVar("T")

FILE = "cache.db"
SAID_AFTER, PATIENCE = 3.0, 60.0
"""Seconds of waiting for a locked database after which that is said, and after which it is given up."""
OPTIONS: dict[str, Any] = {"eviction_policy": "none", "size_limit": 2**40, "timeout": SAID_AFTER}
SET_ASIDE = ".damaged-"

log = logging.getLogger(__name__)


class DamagedRowError(ValueError):
    """A row does not hold what was written."""


class DamagedName(str):
    """What stands for a row's name that cannot be read.

    Attributes
    ----------
    stored: the name as it lies in the database.
    """

    stored: tuple[Any, bool]

    @classmethod
    def of(cls, name: Any, raw: Any) -> "DamagedName":
        """The stand-in for a stored name."""
        found = cls(f"(damaged name {bytes(name)[:4].hex() if isinstance(name, bytes) else name})")
        found.stored = (name, bool(raw))
        return found


class PlainJSONDisk(JSONDisk):  # type: ignore[misc]
    """diskcache's JSON disk, except that a row marked as pickled is refused instead of unpickled."""

    def put(self, key: Any) -> Any:
        """The stored form of a key."""
        return key.stored if isinstance(key, DamagedName) else super().put(key)

    def get(self, key: Any, raw: Any) -> Any:
        """The key of a row; JSON keys are stored raw."""
        try:
            name = super().get(key, raw) if raw else None
        except Exception:  # whatever decompressing and decoding flipped bits raises
            name = None
        return name if isinstance(name, str) else DamagedName.of(key, raw)

    def fetch(self, mode: Any, filename: Any, value: Any, read: Any) -> Any:
        """The value of a row."""
        if mode == MODE_PICKLE:
            raise DamagedRowError("the row holds a pickled value")
        return super().fetch(mode, filename, value, read)

    def store(self, value: Any, read: Any, key: Any = UNKNOWN) -> Any:
        """Write a value as JSON."""
        return super().store(value, read, key=key)


class Rows(MutableMapping[str, Any]):
    """The rows in a folder."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self._folder = folder
        self._options = {**OPTIONS, **options}
        self._lock = RLock()
        self._open()

    def _open(self) -> None:
        self._cache = _opened(self._folder, self._options)
        self._file = (self._folder / FILE).stat().st_ino
        self._watcher = sqlite3.connect(self._folder / FILE, timeout=0.2, check_same_thread=False)

    def _guarded(self, work: Callable[[Cache], T]) -> T:
        """Work with the database; where that is damaged, set aside or gone, with a new one."""
        with self._lock:
            if not self._is_ours():
                self._open()
        try:
            return self._patiently(lambda: work(self._cache))
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            with self._lock:
                self._set_aside(error)
        return work(self._cache)

    def _patiently(self, work: Callable[[], T]) -> T:
        """Work as soon as no other process holds the database; a longer wait says so.

        Raises
        ------
        sqlite3.OperationalError: it was held for too long.
        """
        start, was_logged = time.monotonic(), False
        while True:
            try:
                return work()
            except (Timeout, sqlite3.OperationalError) as error:
                waited = time.monotonic() - start
                if isinstance(error, sqlite3.OperationalError) and "locked" not in str(error):
                    raise
                if waited > PATIENCE:
                    held = f"another process has held {FILE} in it for {waited:.0f} seconds"
                    raise sqlite3.OperationalError(held) from error
                if not was_logged:
                    log.warning("Waiting for %s, which another process is writing to.", self._folder / FILE)
                was_logged = True

    def _is_ours(self) -> bool:
        try:
            return (self._folder / FILE).stat().st_ino == self._file
        except OSError:
            return False

    def _set_aside(self, error: Exception) -> None:
        with FileLock(f"{self._folder}.lock"):
            if self._is_ours():
                _set_aside(self._folder, error)
        self._open()

    def __getitem__(self, name: str) -> Any:
        found = self.read(name)
        if found is None:
            raise KeyError(name)
        return found

    def read(self, name: str, as_file: bool = False) -> Any:
        """The value of a row, or the open file that holds it; None where there is no such row.

        Raises
        ------
        DamagedRowError: so.
        """
        try:
            found = self._guarded(lambda cache: cache.get(name, read=as_file))
        except (sqlite3.Error, OSError):
            raise
        except Exception as error:  # whatever decompressing and decoding flipped bits raises
            raise DamagedRowError(f"the row of {name} cannot be read") from error
        if found is None and name in self:
            raise DamagedRowError(f"the row of {name} has lost its file")
        return found

    def __setitem__(self, name: str, value: Any) -> None:
        self._guarded(lambda cache: cache.set(name, value))

    def write_file(self, name: str, file: Any) -> None:
        """Keep the content of an open file as it is."""
        self._guarded(lambda cache: cache.set(name, file, read=True))

    def __delitem__(self, name: str) -> None:
        self._guarded(lambda cache: cache.delete(name))

    def __contains__(self, name: object) -> bool:
        return bool(self._guarded(lambda cache: name in cache))

    def __iter__(self) -> Iterator[str]:
        return iter(self._guarded(lambda cache: list(cache)))

    def __len__(self) -> int:
        return int(self._guarded(len))

    def written(self) -> dict[str, float]:
        """When each row was written last, by name, in seconds since the epoch."""
        asked = "SELECT key, raw, store_time FROM Cache"
        rows = self._guarded(lambda cache: self._watcher.execute(asked).fetchall())
        return {self._cache.disk.get(name, raw): at for name, raw, at in rows}

    @contextmanager
    def transact(self) -> Iterator[None]:
        """Nobody else writes meanwhile."""
        self._guarded(len)
        with ExitStack() as stack:
            self._patiently(lambda: stack.enter_context(self._cache.transact()))
            yield

    def version(self) -> Any:
        """What is another value after anyone's writing."""
        return self._guarded(lambda cache: (self._file, *self._watcher.execute("PRAGMA data_version").fetchone()))

    def settle(self) -> None:
        """Bring what was written into the database itself: of its log a flipped byte would lose the end in silence."""
        with suppress(sqlite3.Error):
            self._guarded(lambda cache: self._watcher.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())

    def close(self) -> None:
        """Let go of the file."""
        self._watcher.close()
        self._cache.close()


def _opened(folder: Path, options: dict[str, Any]) -> Cache:
    """A diskcache; one that is no database any more is set aside."""
    try:
        return Cache(str(folder), disk=PlainJSONDisk, **options)
    except OSError:
        raise
    except sqlite3.DatabaseError as error:
        if not _is_damage(error):
            raise
        problem: Exception = error
    except Exception as error:  # its settings do not say what diskcache wrote
        problem = error
    with FileLock(f"{folder}.lock"):
        _set_aside(folder, problem)
    return Cache(str(folder), disk=PlainJSONDisk, **options)


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file is no database, or not the one that was made; not whether it is locked or the disk full."""
    operational = isinstance(error, sqlite3.OperationalError)
    return "no such" in str(error) or "has no column" in str(error) if operational else True


def _set_aside(folder: Path, error: Exception) -> None:
    """Move the database out of the way; locks and values that lie beside it stay where they are."""
    aside = folder.with_name(f"{folder.name}{SET_ASIDE}{time.time_ns()}")
    log.warning("%s is damaged (%s); it was moved to %s", folder / FILE, error, aside)
    with writing(folder):
        aside.mkdir()
        for path in folder.glob(f"{FILE}*"):
            path.rename(aside / path.name)
