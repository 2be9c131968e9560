"""What users do with the recordings of a cache: name, tag and note them, discard them and take that back.

An annotation lies beside the recording's files and outside its checksums, and goes with it into an export. What is
discarded is moved into the cache's `discarded/` folder, from which it can be restored until that is emptied.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from iclviz.errors import StoreError
from iclviz.spec import canonical_json
from iclviz.store import Store, write_atomically, writing

FILE = "annotation.json"


@dataclass(frozen=True)
class Annotation:
    """What a user says of a recording: a name of his own, tags and a note."""

    name: str = ""
    tags: tuple[str, ...] = ()
    note: str = ""


def annotation(store: Store, key: str) -> Annotation:
    """What is said of a recording; nothing where the file is missing or nobody of ours wrote it."""
    try:
        said = json.loads((store.place(key) / FILE).read_text(encoding="utf-8"))
        return Annotation(str(said["name"]), tuple(str(tag) for tag in said["tags"]), str(said["note"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Annotation()


def annotate(store: Store, key: str, said: Annotation) -> None:
    """Keep what a user says of a recording.

    Raises
    ------
    StoreError: no such recording, or the cache cannot be written.
    """
    if key not in store:
        raise StoreError(f"The cache holds no recording {key!r}.", "Reload the page.")
    with writing(store.folder):
        write_atomically(store.place(key) / FILE, canonical_json(asdict(said)).encode())


def discard(store: Store, key: str) -> None:
    """Move a recording out of the way; `restore` brings it back.

    Raises
    ------
    StoreError: the cache cannot be written.
    """
    if key not in store:
        return
    with writing(store.folder):
        _bin(store).mkdir(exist_ok=True)
        shutil.rmtree(_bin(store) / key, ignore_errors=True)
        store.place(key).rename(_bin(store) / key)
    store.forget(key)


def discarded(store: Store) -> dict[str, int]:
    """The keys of discarded recordings, with the bytes that each takes."""
    found = sorted(_bin(store).glob("*/manifest.json"))
    return {path.parent.name: sum(file.stat().st_size for file in path.parent.iterdir()) for path in found}


def restore(store: Store, key: str) -> None:
    """Bring a discarded recording back, unless it was run anew meanwhile.

    Raises
    ------
    StoreError: it was emptied, or the cache cannot be written.
    """
    place = _bin(store) / store.place(key).name
    if key in store:
        return
    if not place.exists():
        raise StoreError("That recording is no longer among the discarded ones.", "Run it again.")
    with writing(store.folder):
        place.rename(store.place(key))
    store.summary(key)


def empty(store: Store) -> None:
    """Remove discarded recordings for good.

    Raises
    ------
    StoreError: the cache cannot be written.
    """
    with writing(store.folder):
        if _bin(store).exists():
            shutil.rmtree(_bin(store))


def _bin(store: Store) -> Path:
    return store.folder / "discarded"
