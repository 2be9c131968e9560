"""Recordings from elsewhere: what `iclviz export` wrote, a folder or a ZIP file, taken into this cache.

Nothing of a bundle is believed: only files of the names that recordings have are read, every one is compared with its
checksum, and a ZIP file's paths never leave the folder that they are unpacked in.
"""

import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from iclviz.errors import StoreError
from iclviz.store import FILES, Store, writing
from iclviz.tasks.task_files import keep, read


@dataclass(frozen=True)
class Imported:
    """Keys of recordings that a bundle brought, and of those that were there already."""

    new: tuple[str, ...]
    known: tuple[str, ...]


def import_bundle(store: Store, bundle: Path | IO[bytes]) -> Imported:
    """Take in every recording, and every task file, of an exported folder or ZIP file.

    Raises
    ------
    StoreError: no such place, no bundle, a damaged recording, or the cache cannot be written.
    TaskFileError: a task file in it is wrong.
    """
    if isinstance(bundle, Path) and bundle.is_dir():
        return _taken(store, bundle)
    with writing(store.folder):
        store.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=store.folder, prefix=".importing-") as scratch:
            _unpack(bundle, Path(scratch))
            return _taken(store, Path(scratch))


def _unpack(bundle: Path | IO[bytes], to: Path) -> None:
    try:
        with zipfile.ZipFile(bundle) as archive:
            for entry in archive.infolist():
                parts = PurePosixPath(entry.filename).parts
                if len(parts) != 2 or entry.is_dir() or not _wanted(*parts):
                    continue
                (to / parts[0]).mkdir(exist_ok=True)
                with archive.open(entry) as source, (to / parts[0] / parts[1]).open("wb") as target:
                    shutil.copyfileobj(source, target)
    except FileNotFoundError as error:
        raise StoreError(f"There is no file or folder {bundle}.", "Name what `iclviz export` wrote.") from error
    except (zipfile.BadZipFile, zipfile.LargeZipFile, RuntimeError, NotImplementedError) as error:
        raise StoreError("This is no ZIP file that can be read.", "Give what `iclviz export` wrote.") from error


def _wanted(folder: str, name: str) -> bool:
    if folder == "tasks":
        return Path(name).name == name and name.endswith(".json")
    return folder.isascii() and folder.isalnum() and FILES.fullmatch(name) is not None


def _taken(store: Store, folder: Path) -> Imported:
    found = [path.parent for path in sorted(folder.glob("*/manifest.json"))]
    if not found:
        raise StoreError("There is no recording in this bundle.", "Give what `iclviz export` wrote.")
    for path in sorted((folder / "tasks").glob("*.json")):
        keep(read(path))
    taken = {one.name: store.adopt(one) for one in found}
    new, known = (tuple(key for key, fresh in taken.items() if fresh is wanted) for wanted in (True, False))
    return Imported(new, known)
