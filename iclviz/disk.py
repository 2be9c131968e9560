"""Writing to disk: files that appear whole or not at all, and are on the disk before they have their name."""

import hashlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from iclviz.errors import StoreError

CACHE_REMEDY = "Free some space, allow writing, or set ICLVIZ_CACHE to another folder."


@contextmanager
def writing(folder: Path, what: str = "The cache folder", remedy: str = CACHE_REMEDY) -> Iterator[None]:
    """What the file system refuses becomes a sentence for the user."""
    try:
        yield
    except (OSError, sqlite3.Error, SafetensorError) as error:
        raise StoreError(f"{what} {folder} cannot be written ({_reason(error)}).", remedy) from error


def _reason(error: Exception) -> str:
    if isinstance(error, shutil.Error):
        return str(error.args[0][0][2])
    return str(getattr(error, "strerror", None) or error)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all."""
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


def settle(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk: a name must not outlive a power cut alone."""
    with suppress(PermissionError):  # some systems open no folder
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def settle_folder(folder: Path) -> None:
    """`settle` for every file of a folder, and then the folder."""
    for path in folder.iterdir():
        settle(path)
    settle(folder)


def checksum(path: Path) -> str:
    """BLAKE2b of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def checksum_of(content: bytes) -> str:
    """`checksum` of a file with this content."""
    return hashlib.blake2b(content).hexdigest()


def size_of(path: Path) -> int:
    """Bytes that a file, or everything in a folder, takes; what vanishes meanwhile takes none."""
    total = 0
    for one in [path, *path.rglob("*")] if path.is_dir() and not path.is_symlink() else [path]:
        with suppress(OSError):
            total += one.lstat().st_size
    return total
