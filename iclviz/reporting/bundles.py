"""Recordings from elsewhere: what `iclviz export` wrote, a folder or a ZIP file, taken into this cache.

1. The bundle is looked at: names and sizes alone say what would be taken in, and whether that is within bounds.
2. What is wanted is copied into a scratch folder: only files of the names that recordings and tasks have.
3. Every recording is read whole, its files compared with their checksums and its key with its spec, before it is
   listed. One that is wrong is named, and the others are taken in.

Nothing of a bundle is believed or run. Hidden files of archivers and one folder around everything are passed over.
"""

import lzma
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from iclviz import mapped, versions
from iclviz.disk import writing
from iclviz.errors import StoreError, UserError
from iclviz.formats import Format
from iclviz.keys import Origin, key_of
from iclviz.recorded import FILES, MANIFEST
from iclviz.recording import Recording
from iclviz.schemas import MisfitError, parsed
from iclviz.store import IMPORTING, Store, is_key
from iclviz.tasks import task
from iclviz.tasks.task_files import MOST_BYTES as MOST_TASK_BYTES
from iclviz.tasks.task_files import keep, read

FORMAT, FILE = Format("bundle"), "bundle.json"
MOST_FILES, MOST_BYTES, MOST_DEPTH, MOST_RATIO = 100_000, 50 * 10**9, 16, 200
SMALL_BYTES = 100 * 10**6
"""What may be packed as tightly as it likes."""

MOST_SAID_BYTES = 10_000
HIDDEN = ("__MACOSX", "Thumbs.db", "desktop.ini")
"""What archivers and file managers leave, besides names that begin with a dot."""

UNREADABLE = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError, struct.error,
    RuntimeError, NotImplementedError, EOFError, ValueError, OverflowError, IndexError,
)  # fmt: skip
"""What a file raises that is no ZIP file, or a damaged one."""

NO_BUNDLE, GIVE = "There is no recording in this bundle.", "Give what `iclviz export` wrote."


@dataclass(frozen=True)
class Entry:
    """A file of a bundle: the parts of its name, its bytes unpacked and packed, and how it is opened."""

    parts: tuple[str, ...]
    size: int
    packed: int
    open: Callable[[], IO[bytes]]


@dataclass(frozen=True)
class Plan:
    """What importing a bundle will do.

    Attributes
    ----------
    new, known: keys of recordings that will be taken in, and of those that are here already.
    maps: keys of maps that will be taken in.
    tasks: names of task files that will be kept.
    left_out: how many other files the bundle has.
    size: bytes of what will be copied.
    """

    new: tuple[str, ...]
    known: tuple[str, ...]
    maps: tuple[str, ...]
    tasks: tuple[str, ...]
    left_out: int
    size: int

    def sentences(self) -> list[str]:
        """The plan in words."""
        content = [f"{len(self.new)} new recordings ({self.size / 1e6:.1f} MB) would be taken in."]
        content += [f"{len(self.known)} are here already and stay as they are."] if self.known else []
        content += [f"{len(self.maps)} new maps would be taken in."] if self.maps else []
        content += [f"Tasks that would be kept: {', '.join(self.tasks)}."] if self.tasks else []
        content += [f"{self.left_out} other files are left out; nothing of a bundle is run."] if self.left_out else []
        return content


@dataclass(frozen=True)
class Imported:
    """Keys of recordings that a bundle brought, of those that were there already, and why others were refused."""

    new: tuple[str, ...]
    known: tuple[str, ...]
    refused: dict[str, str] = field(default_factory=dict)


def plan_import(store: Store, bundle: Path | IO[bytes]) -> Plan:
    """What `import_bundle` would do, from names and sizes alone.

    Raises
    ------
    StoreError: no such place, no bundle, or more than is taken.
    """
    with _entries(bundle) as entries:
        return _plan(store, entries)


def import_bundle(store: Store, bundle: Path | IO[bytes]) -> Imported:
    """Take in every recording, and every task file, of an exported folder or ZIP file.

    Raises
    ------
    StoreError: no such place, no bundle, more than is taken, nothing that is right, or the cache cannot be written.
    """
    with _entries(bundle) as entries, writing(store.folder):
        _plan(store, entries)
        store.folder.mkdir(parents=True, exist_ok=True)
        store.sweep()
        with tempfile.TemporaryDirectory(dir=store.folder, prefix=IMPORTING) as scratch:
            for entry in _wanted(entries):
                _copy(entry, Path(scratch, *entry.parts))
            return _taken(store, Path(scratch))


@contextmanager
def _entries(bundle: Path | IO[bytes]) -> Iterator[list[Entry]]:
    """The files of a bundle that are not hidden, their names without the one folder around them."""
    try:
        if isinstance(bundle, Path) and bundle.is_dir():
            yield _inside(list(_files(bundle)))
            return
        with zipfile.ZipFile(bundle) as archive:
            yield _inside(list(_members(archive)))
    except FileNotFoundError as error:
        raise StoreError(f"There is no file or folder {bundle}.", "Name what `iclviz export` wrote.") from error
    except UNREADABLE as error:
        raise StoreError("This is no ZIP file that can be read.", GIVE) from error


def _files(folder: Path) -> Iterator[Entry]:
    for path in _walked(folder, 3):
        size = path.stat().st_size
        yield Entry(path.relative_to(folder).parts, size, size, lambda path=path: path.open("rb"))  # type: ignore[misc]


def _walked(folder: Path, depth: int) -> Iterator[Path]:
    """Files that no link leads to, so many folders deep."""
    for path in sorted(folder.iterdir()):
        if path.is_symlink():
            continue
        if path.is_file():
            yield path
        elif path.is_dir() and depth > 1 and not _is_hidden((path.name,)):
            yield from _walked(path, depth - 1)


def _members(archive: zipfile.ZipFile) -> Iterator[Entry]:
    members = archive.infolist()
    if len(members) > MOST_FILES:
        raise StoreError(f"The bundle has {len(members):,} files.", f"Take one with {MOST_FILES:,} or fewer.")
    names = Counter(one.filename for one in members if not _is_hidden(PurePosixPath(one.filename).parts))
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise StoreError(f"The bundle holds {twice[0][:80]} twice.", "Export it again.")
    for member in members:
        parts = PurePosixPath(member.filename).parts
        if len(parts) > MOST_DEPTH:
            raise StoreError(f"The bundle has folders more than {MOST_DEPTH} deep.", GIVE)
        if not member.is_dir():
            yield Entry(
                parts,
                member.file_size,
                member.compress_size,
                lambda member=member: archive.open(member),  # type: ignore[misc]
            )


def _is_hidden(parts: Sequence[str]) -> bool:
    return any(part in HIDDEN or part.startswith(".") for part in parts)


def _inside(entries: list[Entry]) -> list[Entry]:
    shown = [entry for entry in entries if not _is_hidden(entry.parts)]
    around = {entry.parts[:-2] for entry in shown if entry.parts[-1] == MANIFEST and 2 <= len(entry.parts) <= 3}
    top = min(around, key=len, default=())
    return [
        Entry(entry.parts[len(top) :], entry.size, entry.packed, entry.open)
        for entry in shown
        if entry.parts[: len(top)] == top and len(entry.parts) > len(top)
    ]


def _plan(store: Store, entries: list[Entry]) -> Plan:
    _check_format(entries)
    wanted = _wanted(entries)
    keys = [entry.parts[0] for entry in wanted if entry.parts[1] == MANIFEST]
    if not keys:
        raise StoreError(NO_BUNDLE, GIVE)
    _check_bounds(store, wanted)
    new = tuple(key for key in keys if key not in store)
    maps = [entry.parts[0] for entry in wanted if entry.parts[1] == mapped.CONTENT]
    new_maps = tuple(key for key in maps if not store.has_map(key))
    return Plan(
        new=new,
        known=tuple(key for key in keys if key in store),
        maps=new_maps,
        tasks=tuple(entry.parts[1] for entry in wanted if entry.parts[0] == "tasks"),
        left_out=len(entries) - len(wanted),
        size=sum(entry.size for entry in wanted if entry.parts[0] in (*new, *new_maps)),
    )


def _check_format(entries: list[Entry]) -> None:
    for entry in entries:
        if entry.parts == (FILE,):
            with entry.open() as file:
                content = file.read(MOST_SAID_BYTES)
            try:
                FORMAT.current(parsed(content, FILE))
            except MisfitError as error:
                raise StoreError(f"The bundle is damaged ({error}).", "Export it again.") from error


def _wanted(entries: list[Entry]) -> list[Entry]:
    return [entry for entry in entries if len(entry.parts) == 2 and _is_wanted(*entry.parts)]


def _is_wanted(folder: str, name: str) -> bool:
    if folder == "tasks":
        return Path(name).name == name and name.endswith(".json")
    return is_key(folder) and (FILES.fullmatch(name) is not None or name in mapped.FILES)


def _check_bounds(store: Store, wanted: list[Entry]) -> None:
    """Refuse what is too large, before a byte of it is unpacked."""
    size, packed = sum(entry.size for entry in wanted), sum(entry.packed for entry in wanted)
    if size > MOST_BYTES:
        raise StoreError(f"The bundle unpacks to {size / 1e9:,.1f} GB.", f"Take {MOST_BYTES / 1e9:.0f} GB or less.")
    if size > SMALL_BYTES and size > MOST_RATIO * packed:
        raise StoreError(f"The bundle unpacks to {size // max(packed, 1):,} times its size.", "Export it again.")
    place = next(folder for folder in (store.folder, *store.folder.parents) if folder.exists())
    if size > shutil.disk_usage(place).free:
        raise StoreError(f"The bundle needs {size / 1e9:,.1f} GB, more than is free.", "Make room, or take fewer runs.")
    for entry in wanted:
        if entry.parts[0] == "tasks" and entry.size > MOST_TASK_BYTES:
            raise StoreError(f"The task file {entry.parts[1]} has {entry.size:,} bytes.", "Take fewer rows.")


def _copy(entry: Entry, to: Path) -> None:
    """Copy a file, no byte more than its bundle says that it has."""
    to.parent.mkdir(exist_ok=True)
    left = entry.size
    with entry.open() as source, to.open("wb") as target:
        while piece := source.read(min(2**20, left + 1)):
            left -= len(piece)
            if left < 0:
                raise StoreError(f"{'/'.join(entry.parts)} is larger than the bundle says.", "Export it again.")
            target.write(piece)


def _taken(store: Store, folder: Path) -> Imported:
    taken: dict[str, bool] = {}
    refused: dict[str, StoreError | UserError] = {}
    for path in sorted((folder / "tasks").glob("*.json")):
        try:
            keep(read(path), renames=False)
        except UserError as error:
            refused[path.name] = error
    for path in sorted(folder.glob(f"*/{MANIFEST}")):
        try:
            taken[path.parent.name] = store.adopt(path.parent, _check_key)
        except UserError as error:
            refused[path.parent.name] = error
    for path in sorted(folder.glob(f"*/{mapped.CONTENT}")):
        try:
            store.adopt_map(path.parent)
        except UserError as error:
            refused[path.parent.name] = error
    if refused and not taken:
        raise next(iter(reversed(refused.values())))
    new, known = (tuple(key for key, fresh in taken.items() if fresh is wanted) for wanted in (True, False))
    return Imported(new, known, {name: str(error) for name, error in refused.items()})


def _check_key(recording: Recording) -> None:
    """Refuse a recording made before keys could be made again from its files, unless this key can be made here.

    Raises
    ------
    StoreError: it cannot.
    """
    if recording.origin is None and not _is_made_here(recording):
        raise StoreError(
            f"Nothing tells whether {recording.key} is the key of its recording, which an older iclviz made.",
            "Export it with this one, where its model is.",
        )


def _is_made_here(recording: Recording) -> bool:
    return any(key_of(recording.spec, origin) == recording.key for origin in origins(recording))


def origins(recording: Recording) -> Iterator[Origin]:
    """What the key of a recording may cover that was made before that was kept; no hub is asked."""
    the_task = task(recording.spec.task)
    numbers = {"task": the_task.version, "prompts": versions.PROMPTS, "capture": versions.CAPTURE}
    model = recording.environment.get("model")
    commit = model.get("identity") if isinstance(model, dict) else None
    if isinstance(commit, str):
        yield Origin(the_task.identity, commit, False, numbers)
