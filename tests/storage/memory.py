"""A storage that holds its entries in memory and fills local folders when asked, as a remote one would."""

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, RLock


class MemoryStorage:
    is_shared = False

    def __init__(self, local):
        """local: a folder for copies of entries."""
        self._local, self._files, self._guard, self._locks = local, {}, RLock(), {}

    @contextmanager
    def putting(self, name):
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch)
            content = {path.name: path.read_bytes() for path in Path(scratch).iterdir()}
        with self._guard:
            self._files[name] = content

    def put(self, name, content):
        entry, file = name.rsplit("/", 1)
        with self._guard:
            self._files[entry] = {**self._files.get(entry, {}), file: content}

    def get(self, name, *files):
        with self._guard:
            content = dict(self._files.get(name, {}))
        place = self._local / name
        shutil.rmtree(place, ignore_errors=True)
        if content:
            place.mkdir(parents=True)
            for file, held in content.items():
                (place / file).write_bytes(held)
        return place

    def __contains__(self, name):
        entry, file = name.rsplit("/", 1)
        return name in self._files or file in self._files.get(entry, {})

    def names(self, group):
        with self._guard:
            return sorted(name.split("/")[1] for name in self._files if name.startswith(f"{group}/"))

    def holding(self, group, file):
        return [name for name in self.names(group) if file in self._files[f"{group}/{name}"]]

    def move(self, name, to):
        with self._guard:
            if name in self._files:
                self._files[to] = self._files.pop(name)

    def delete(self, name):
        entry, file = name.rsplit("/", 1)
        with self._guard:
            self._files.pop(name, None)
            if entry in self._files:
                self._files[entry] = {one: held for one, held in self._files[entry].items() if one != file}

    @contextmanager
    def lock(self, name, wait=0.0):
        with self._guard:
            lock = self._locks.setdefault(name, Lock())
        is_mine = lock.acquire(timeout=wait) if wait else lock.acquire(blocking=False)
        try:
            yield is_mine
        finally:
            if is_mine:
                lock.release()

    def leftovers(self):
        return []

    def copies(self):
        return []
