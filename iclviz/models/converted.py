"""Weights of `.gguf` files as ordinary model folders in the cache: unpacked once, loaded like any folder after that.

Each lies under the file's identity and the type of its weights. Together they take no more than a limit: those that
were not loaded for longest make room, and a model larger than the limit, or than the disk has room for, is not kept.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from iclviz.errors import ModelError
from iclviz.models.folders import safetensors_header, weight_files
from iclviz.models.locating import converted_folder

MOST_BYTES = 40 * 2**30
SPARE_BYTES = 2**30
"""What is left free on the disk."""


def weights_folder() -> Path:
    """Where unpacked weights are kept."""
    return converted_folder() / "weights"


def kept(name: str) -> Path | None:
    """The folder of that name, if it is whole; a damaged one is removed."""
    folder = weights_folder() / name
    if not folder.is_dir():
        return None
    try:
        files = weight_files(folder)
        for file in files:
            safetensors_header(file)
        if not files or not (folder / "config.json").is_file():
            raise ModelError(f"{folder} is not whole.")
        os.utime(folder)
    except (ModelError, OSError):
        shutil.rmtree(folder, ignore_errors=True)
        return None
    return folder


def keep(name: str, size: int, make: Callable[[Path], None]) -> Path | None:
    """The folder of that name, made by `make` and put in place whole; None where there is no room for it.

    size: about how many bytes it takes.
    """
    target = weights_folder() / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not _make_room(size):
            return None
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".unpacking-") as work:
            fresh = Path(work) / name
            make(fresh)
            os.replace(fresh, target)
    except OSError:  # a full disk, or another process that was first
        return kept(name)
    return target


def _make_room(size: int) -> bool:
    """Whether so many bytes find room; the folders that were not loaded for longest go first."""
    there = [one for one in weights_folder().iterdir() if one.name[0] != "."]
    folders = sorted(there, key=lambda one: one.stat().st_mtime)
    sizes = {one: sum(file.stat().st_size for file in one.iterdir()) for one in folders}
    while folders and not _fits(size, sum(sizes[one] for one in folders)):
        shutil.rmtree(folders.pop(0), ignore_errors=True)
    return _fits(size, sum(sizes[one] for one in folders))


def _fits(size: int, beside: int) -> bool:
    return size + beside <= MOST_BYTES and shutil.disk_usage(weights_folder()).free >= size + SPARE_BYTES
