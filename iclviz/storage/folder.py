"""A storage that is a folder of this disk: an entry is a folder in it, built under a hidden name and then renamed."""

import errno
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from iclviz.disk import settle, settle_folder, write_atomically, writing
from iclviz.storage import parts_of

SCRATCH = ".sealing-"


class FolderStorage:
    """As `Storage`."""

    def __init__(self, folder: Path, groups: Sequence[str] = (), is_shared: bool = False) -> None:
        """groups: of entries; their folders are made with the first one, since on a full disk none can be made.
        is_shared: whether other machines have the folder too.
        """
        self.folder, self._groups, self.is_shared = folder, groups, is_shared

    @contextmanager
    def putting(self, name: str) -> Iterator[Path]:
        """A hidden folder that is renamed when the block ends, its bytes on the disk."""
        place = self.get(name)
        with writing(self.folder):
            for group in (*self._groups, place.parent.name):
                (self.folder / group).mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=place.parent))
            try:
                yield scratch
                settle_folder(scratch)
                self._take_place(scratch, place)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)

    def _take_place(self, scratch: Path, place: Path) -> None:
        """Rename a folder, again where somebody else put another there meanwhile."""
        while True:
            _remove_folder(place)
            try:
                scratch.rename(place)
                break
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
        settle(place.parent)

    def put(self, name: str, content: bytes) -> None:
        """Write one file beside those that are there."""
        place = self.get(name)
        with writing(self.folder):
            place.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(place, content)

    def get(self, name: str, *files: str) -> Path:
        """The entry's own folder."""
        parts_of(name, None)
        return self.folder / name

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name).exists()

    def names(self, group: str) -> list[str]:
        """The folders that are not hidden."""
        return sorted(path.name for path in (self.folder / group).glob("[!.]*") if path.is_dir())

    def holding(self, group: str, file: str) -> list[str]:
        """The folders with such a file."""
        return sorted(path.parent.name for path in (self.folder / group).glob(f"[!.]*/{file}"))

    def move(self, name: str, to: str) -> None:
        """Rename a folder."""
        place, target = self.get(name), self.get(to)
        if not place.exists():
            return
        with writing(self.folder):
            target.parent.mkdir(parents=True, exist_ok=True)
            self._take_place(place, target)

    def delete(self, name: str) -> None:
        """Remove a folder, which goes under a hidden name first, so that nobody meets half of it; or a file."""
        place = self.get(name)
        with writing(self.folder):
            if place.is_dir():
                _remove_folder(place)
            else:
                place.unlink(missing_ok=True)

    @contextmanager
    def lock(self, name: str, wait: float = 0.0) -> Iterator[bool]:
        """A lock file, which the operating system lets go when the process ends."""
        path = self.folder / f"{name}.lock"
        lock = FileLock(path, timeout=wait)
        with writing(self.folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            is_mine = _acquired(lock)
        try:
            yield is_mine
        finally:
            lock.release()

    def leftovers(self) -> list[Path]:
        """Hidden folders, and hidden files of entries."""
        found = [[*self.folder.glob(f"{one}/{SCRATCH}*"), *self.folder.glob(f"{one}/*/.*-*")] for one in self._groups]
        return [path for paths in found for path in paths]

    def copies(self) -> list[Path]:
        """None: an entry lies here alone."""
        return []


def _remove_folder(place: Path) -> None:
    """Remove a folder; nothing where there is none, or somebody else removes it."""
    with suppress(FileNotFoundError):
        shutil.rmtree(place.rename(place.with_name(f"{SCRATCH}gone-{place.name}-{time.time_ns()}")))


def _acquired(lock: FileLock) -> bool:
    try:
        lock.acquire()
    except Timeout:
        return False
    return True
