"""Recordings on disk: one folder each, safetensors and JSON, found through a diskcache index.

    <cache>/index/                 diskcache: key -> summary of a sealed recording
    <cache>/machine/               diskcache: what is known of files of this machine; nothing else holds their paths
    <cache>/recordings/<key>/      the files of `iclviz.recorded`
    <cache>/maps/<key>/            the files of `iclviz.mapped`
    <cache>/unfinished/<key>/      plan.json and finished pieces of a run or map that is under way

Recordings and unfinished runs lie in a storage, which this module knows by names alone, so a reader sees all of one or
nothing. Nothing is ever unpickled, and nothing is believed before it was checked: what cannot be read is named, and the
rest goes on.
"""

import logging
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from iclviz import mapped, recorded, whereabouts
from iclviz.disk import CACHE_REMEDY, size_of, writing
from iclviz.errors import SpecError, StoreError
from iclviz.formats import NewerError
from iclviz.mapping import Grid, Tracer, map_key
from iclviz.maps import EffectMap, Made, Trace
from iclviz.places import cache_folder
from iclviz.recorded import FILES, MANIFEST, RUN, Summary
from iclviz.recording import Recording
from iclviz.rows import DamagedRowError, Rows
from iclviz.storage import Storage
from iclviz.storage.named import named_storage
from iclviz.unfinished import MAP_FACTS_SCHEMA, Unfinished

IMPORTING, SCRATCH_SECONDS = ".importing-", 86400
RECORDINGS, DISCARDED, UNFINISHED, MAPS = GROUPS = ("recordings", "discarded", "unfinished", "maps")
"""What entries of the storage are."""

ANNOTATION = "annotation.json"
"""What a user says of a recording, beside its files."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ailing:
    """Something of a cache that cannot be used.

    Attributes
    ----------
    kind: "recording", "annotation", "job", ...; name: its key or file.
    problem: what is wrong with it, and what to do.
    is_newer: whether nothing is wrong with it but that this iclviz is older.
    remove: takes it away.
    """

    kind: str
    name: str
    problem: str
    is_newer: bool
    remove: Callable[[], None]


@dataclass(frozen=True)
class Listed:
    """A run: the recording that keeps most of it, and those that keep less."""

    entry: Summary
    lesser: tuple[Summary, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of all of them."""
        return (self.entry.key, *(one.key for one in self.lesser))


class Store:
    """The recordings of one cache folder."""

    def __init__(self, folder: Path | str | None = None, storage: Storage | None = None) -> None:
        """storage: where recordings and unfinished runs lie; None = where `$ICLVIZ_STORAGE` says, else in the cache
        folder.
        """
        self.folder = Path(folder).expanduser().resolve() if folder is not None else cache_folder()
        if self.folder.exists() and not self.folder.is_dir():
            raise StoreError(f"The cache folder {self.folder} cannot be written (it is a file).", CACHE_REMEDY)
        self.storage: Storage = storage if storage is not None else named_storage(self.folder, GROUPS)
        self._summaries: dict[str, tuple[tuple[int, float], Summary]] = {}

    @cached_property
    def index(self) -> Rows:
        """The diskcache index, made when first needed: a full or read-only cache can still be read without it.

        Raises
        ------
        StoreError: it cannot be opened for writing.
        """
        with writing(self.folder):
            return Rows(self.folder / "index")

    @cached_property
    def machine(self) -> Rows:
        """The diskcache of what is known of files of this machine, made when first needed.

        Raises
        ------
        StoreError: it cannot be opened for writing.
        """
        with writing(self.folder):
            return Rows(self.folder / "machine")

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and f"{_name(key)}/{MANIFEST}" in self.storage

    def summaries(self) -> list[Summary]:
        """Every sealed recording that can be read, newest first."""
        return self.listing()[0]

    def ailing(self) -> list[Ailing]:
        """The recordings that are listed but cannot be read, as far as their summaries tell."""
        return self.listing()[1]

    def runs(self) -> list[Listed]:
        """Every run once, newest first, however many recordings keep more or less of it.

        Of recordings that differ in what is kept alone, one that keeps all that another keeps stands for both.
        """
        alike: dict[tuple[Any, ...], list[Summary]] = {}
        for entry in self.summaries():
            alike.setdefault(_run_parts(entry), []).append(entry)
        whole = [one for family in alike.values() for one in self._whole(family)]
        return sorted(whole, key=lambda one: -one.entry.created)

    def lesser(self, key: str, among: Sequence[str]) -> list[str]:
        """Those of other recordings that keep less of the run of this one, newest first."""
        mine = self.summary(key)
        others = [self.summary(other) for other in among if other != key and other in self]
        family = [mine, *(entry for entry in others if _run_parts(entry) == _run_parts(mine))]
        found = next((one for one in self._whole(family) if one.entry.key == key), Listed(mine))
        return [entry.key for entry in sorted(found.lesser, key=lambda entry: -entry.created)]

    def annotated(self) -> list[str]:
        """The keys of recordings beside which a user has said something."""
        return [key for key in self.storage.holding(RECORDINGS, ANNOTATION) if is_key(key)]

    def _whole(self, family: list[Summary]) -> list[Listed]:
        """The recordings of one run that no other holds, each with those that it holds."""
        if len(family) == 1:
            return [Listed(family[0])]
        origins = {entry.key: recorded.origin_in(self.place(entry.key, MANIFEST, RUN)) for entry in family}

        def holds(one: Summary, other: Summary) -> bool:
            mine, theirs = origins[one.key], origins[other.key]
            is_one_run = mine is not None and theirs is not None and mine.is_of_run(theirs)
            return is_one_run and one.spec != other.spec and one.spec.keeps_all_of(other.spec)

        held = {entry.key: [other for other in family if holds(entry, other)] for entry in family}
        within = {other.key for others in held.values() for other in others}
        return [Listed(entry, tuple(held[entry.key])) for entry in family if entry.key not in within]

    def listing(self) -> tuple[list[Summary], list[Ailing]]:
        """What can be read, newest first, and what cannot."""
        found, wrong, sealed = [], [], self._sealed()
        rows = self._rows_written() if sealed else {}
        for key in sealed:
            try:
                found.append(self._known(key, rows.get(f"run:{key}")))
            except StoreError as error:
                wrong.append(self._ailing(key, error))
        return sorted(found, key=lambda entry: -entry.created), wrong

    def _ailing(self, key: str, error: StoreError) -> Ailing:
        return Ailing("recording", key, str(error), isinstance(error, NewerError), lambda: self.delete(key))

    def summary(self, key: str) -> Summary:
        """What the index holds about a recording; one that a crash or a flipped byte kept out of it is listed again.

        Raises
        ------
        NewerError: the recording is of a newer format.
        StoreError: its files are damaged.
        """
        try:
            entry = self._indexed(key)
            if entry is not None:
                return entry
        except (StoreError, SpecError, sqlite3.Error, OSError, KeyError, ValueError):
            pass
        return self._listed_again(key)

    def _rows_written(self) -> dict[str, float]:
        """When each row of the index was written; nothing where it cannot be opened."""
        try:
            return self.index.written()
        except (StoreError, sqlite3.Error, OSError):
            return {}

    def _known(self, key: str, row: float | None) -> Summary:
        """The summary that was read before, where neither manifest nor row of the index was written since."""
        try:
            written = (self.place(key, MANIFEST) / MANIFEST).stat().st_mtime_ns
        except OSError:
            return self.summary(key)
        if row is None:
            return self.summary(key)
        known = self._summaries.get(key)
        if known is None or known[0] != (written, row):
            known = (written, row), self.summary(key)
            self._summaries[key] = known
        return known[1]

    def _indexed(self, key: str) -> Summary | None:
        """The summary in the index of a recording whose manifest is whole and of no newer format."""
        row = self.index[f"run:{key}"]
        entry = Summary.from_dict(row)
        recorded.manifest_of(self.place(key, MANIFEST))
        return entry if entry.key == key and entry.spec.model == row["spec"]["model"] else None

    def _listed_again(self, key: str) -> Summary:
        place = self.place(key, MANIFEST, RUN)
        entry = recorded.summary_in(place)
        if (seen := recorded.place_of_model(place)) is not None:
            whereabouts.remember(*seen, self.memo)
        with suppress(StoreError, sqlite3.Error, OSError):
            self.index[f"run:{key}"] = entry.to_dict()
        return entry

    def _sealed(self) -> list[str]:
        return [name for name in self.storage.names(RECORDINGS) if is_key(name) and name in self]

    def load(self, key: str) -> Recording:
        """The recording with that key; embeddings and attention token by token are read when asked for.

        Raises
        ------
        StoreError: no such recording, or damaged files.
        """
        if key not in self:
            raise StoreError(f"The cache holds no recording {key!r}.", "List what it holds with `iclviz runs`.")
        return recorded.load(self.place(key), key)

    def full_key(self, beginning: str) -> str:
        """The key of the one recording whose key begins so; unfinished runs are known by their whole key.

        Raises
        ------
        StoreError: none does, or several do.
        """
        if beginning.isalnum() and (beginning in self or self.unfinished(beginning).exists):
            return beginning
        matching = [key for key in self._sealed() if beginning and key.startswith(beginning)]
        if len(matching) == 1:
            return matching[0]
        what = f"{len(matching)} recordings whose keys begin with" if matching else "no recording"
        raise StoreError(f"The cache holds {what} {beginning!r}.", "List what it holds with `iclviz runs`.")

    def export(self, keys: Sequence[str], to: Path) -> None:
        """Copy recordings into a folder, one folder each, without paths of this machine; every file is checked before.

        Raises
        ------
        StoreError: a recording is missing or damaged, or the place cannot be written.
        """
        for key in keys:
            self.verify(key)
        with writing(to, "The place", "Choose another one."):
            for key in keys:
                shutil.copytree(self.place(key), to / key, dirs_exist_ok=True)
                recorded.without_paths(to / key)

    def verify(self, key: str) -> None:
        """Compare every file of a recording with its checksum.

        Raises
        ------
        StoreError: no such recording, or a file has other bytes than were written.
        """
        recorded.check_lazy(self.load(key))

    def save(self, recording: Recording, main_score: str) -> None:
        """Seal a recording: write it whole, then list it."""
        with self.storage.putting(_name(recording.key)) as folder:
            summary = recorded.write(folder, recording, main_score)
        with writing(self.folder):
            self.index[f"run:{recording.key}"] = summary.to_dict()
        self.forget_unfinished(recording.key)

    def attach(self, key: str, file: str, content: bytes) -> None:
        """Keep a file beside those of a recording, outside its checksums."""
        self.storage.put(f"{_name(key)}/{file}", content)

    def detach(self, key: str, file: str) -> None:
        """Remove a file that was attached."""
        self.storage.delete(f"{_name(key)}/{file}")

    def delete(self, key: str) -> None:
        """Remove a recording and what an unfinished run of it left; the files first, since they take the space."""
        self.storage.delete(_name(key))
        self.forget(key)

    def forget(self, key: str) -> None:
        """List a recording no longer whose files are gone, nor what an unfinished run of it left."""
        self.forget_unfinished(key)
        with suppress(StoreError, sqlite3.Error, OSError):
            del self.index[f"run:{key}"]

    def adopt(self, folder: Path, approve: Callable[[Recording], None] = lambda recording: None) -> bool:
        """Take in a recording's folder that `export` wrote, named by its key; whether it was new here.

        Every file is compared with its checksum before the recording is listed, and `approve` refuses by raising.

        Raises
        ------
        StoreError: files are missing, damaged or not a recording, or the cache cannot be written.
        """
        key = folder.name
        if key in self:
            return False
        with self.storage.putting(_name(key)) as scratch:
            for path in folder.iterdir():
                if path.is_file() and not path.is_symlink() and FILES.fullmatch(path.name):
                    shutil.copyfile(path, scratch / path.name)
            approve(recorded.check_whole(scratch, key))
        self.summary(key)
        return True

    def sweep(self) -> int:
        """Remove what writers left that were killed more than a day ago; how many bytes that was."""
        return sum(_removed(path) for path in self.leftovers() if _age(path) > SCRATCH_SECONDS)

    def leftovers(self) -> list[Path]:
        """What writers have not finished yet, or never will."""
        half = [key for key in self.storage.names(RECORDINGS) if is_key(key) and key not in self]
        places = [] if self.storage.is_shared else [self.place(key) for key in half]
        return [*places, *self.folder.glob(f"{IMPORTING}*"), *self.storage.leftovers()]

    # Maps: what acting does at each site of a grid.

    def has_map(self, key: str) -> bool:
        """Whether there is a sealed map with that key."""
        return f"{_name(key, MAPS)}/{mapped.CONTENT}" in self.storage

    def holds(self, key: str) -> bool:
        """Whether a recording or a map with that key is sealed."""
        return key in self or self.has_map(key)

    def save_map(self, made: Made) -> None:
        """Seal a map or a trace: write it whole."""
        with self.storage.putting(_name(made.key, MAPS)) as folder:
            mapped.write(folder, made)
        self.forget_unfinished(made.key)

    def load_map(self, key: str) -> EffectMap:
        """The map with that key.

        Raises
        ------
        StoreError: no such map, or damaged files.
        """
        made = self.load_made(key)
        if not isinstance(made, EffectMap):
            raise StoreError(f"{key!r} is a trace, and no map.", "Take a map.")
        return made

    def load_trace(self, key: str) -> Trace:
        """The trace with that key.

        Raises
        ------
        StoreError: no such trace, or damaged files.
        """
        made = self.load_made(key)
        if not isinstance(made, Trace):
            raise StoreError(f"{key!r} is a map, and no trace.", "Take a trace.")
        return made

    def load_made(self, key: str) -> Made:
        """The map or the trace with that key.

        Raises
        ------
        StoreError: neither is there, or damaged files.
        """
        if not self.has_map(key):
            raise StoreError(f"The cache holds no map {key!r}.", "Make it with `iclviz map`.")
        return mapped.load(self.map_place(key), key)

    def map_place(self, key: str, *files: str) -> Path:
        """The local folder with a map's files, or those that are named, whether or not it is there."""
        return self.storage.get(_name(key, MAPS), *files)

    def maps(self) -> list[str]:
        """The keys of sealed maps and traces."""
        return [key for key in self.storage.names(MAPS) if is_key(key) and self.has_map(key)]

    def map_of(self, recording: Recording, grid: Grid | Tracer) -> str | None:
        """The key of the map of a recording's run over a grid, or of its trace; None where the cache holds none."""
        if recording.origin is None:
            return None
        key = map_key(recording.spec, recording.origin, grid)
        return key if self.has_map(key) else None

    def maps_of(self, recording: Recording) -> list[str]:
        """The keys of the maps of a recording's run; one that is damaged is left out."""
        found = []
        for key in self.maps():
            with suppress(StoreError):
                of = mapped.spec_in(self.map_place(key, mapped.CONTENT), key)
                if self.map_of(recording, of.grid) == key:
                    found.append(key)
        return found

    def export_maps(self, keys: Sequence[str], to: Path) -> None:
        """Copy maps into a folder, one folder each, after they were checked.

        Raises
        ------
        StoreError: one is missing or damaged, or the place cannot be written.
        """
        for key in keys:
            self.load_made(key)
        with writing(to, "The place", "Choose another one."):
            for key in keys:
                shutil.copytree(self.map_place(key), to / key, dirs_exist_ok=True)

    def adopt_map(self, folder: Path) -> bool:
        """Take in a map's folder that `export_maps` wrote, named by its key; whether it was new here.

        Raises
        ------
        StoreError: files are missing, damaged or no map, or the cache cannot be written.
        """
        key = folder.name
        if self.has_map(key):
            return False
        mapped.load(folder, key)
        with self.storage.putting(_name(key, MAPS)) as scratch:
            for name in mapped.FILES:
                shutil.copyfile(folder / name, scratch / name)
        return True

    def delete_map(self, key: str) -> None:
        """Remove a map."""
        self.storage.delete(_name(key, MAPS))

    def either(self, key: str) -> Recording | Made:
        """The recording, the map or the trace with that key.

        Raises
        ------
        StoreError: neither is there, or damaged files.
        """
        return self.load_made(key) if self.has_map(key) else self.load(key)

    # What users discard lies in a group of its own until that is emptied.

    def discard(self, key: str) -> None:
        """Move a recording out of the way, in place of an earlier one of that key."""
        self.storage.move(_name(key), _name(key, DISCARDED))
        self.forget(key)

    def discarded(self) -> list[str]:
        """The keys of discarded recordings."""
        found = self.storage.names(DISCARDED)
        return [key for key in found if is_key(key) and f"{_name(key, DISCARDED)}/{MANIFEST}" in self.storage]

    def discarded_place(self, key: str) -> Path:
        """The folder of a discarded recording, whether or not it is there."""
        return self.storage.get(_name(key, DISCARDED))

    def restore(self, key: str) -> None:
        """Bring a discarded recording back."""
        self.storage.move(_name(key, DISCARDED), _name(key))
        self.summary(key)

    def forget_discarded(self, key: str) -> None:
        """Remove a discarded recording for good."""
        self.storage.delete(_name(key, DISCARDED))

    @property
    def memo(self) -> "Memo":
        """What is remembered about files of this machine: their digests, so that each is read once, and where models
        were seen.
        """
        return Memo(self)

    def unfinished(self, key: str) -> "Unfinished":
        """The finished pieces of a run that is under way."""
        return Unfinished(self.storage, f"{UNFINISHED}/{key}")

    def unfinished_map(self, key: str) -> "Unfinished":
        """The finished pieces of a map that is under way."""
        return Unfinished(self.storage, f"{UNFINISHED}/{key}", MAP_FACTS_SCHEMA)

    def unfinished_keys(self) -> list[str]:
        """The keys of runs that left pieces."""
        return [key for key in self.storage.names(UNFINISHED) if is_key(key)]

    def forget_unfinished(self, key: str) -> None:
        """Remove what a run left that was sealed or given up."""
        self.unfinished(key).forget()

    def place(self, key: str, *files: str) -> Path:
        """The local folder with a recording's files, or those that are named, whether or not it is there.

        Raises
        ------
        StoreError: no key at all.
        """
        return self.storage.get(_name(key), *files)


def _run_parts(entry: Summary) -> tuple[Any, ...]:
    """What is equal for recordings of one run, whatever each keeps of it."""
    return entry.spec.part("tokens", "forward", "decoding"), entry.by_sample


def _name(key: str, group: str = RECORDINGS) -> str:
    """The name of a recording in the storage.

    Raises
    ------
    StoreError: no key at all.
    """
    # Anything else could name a folder outside the cache.
    if not is_key(key):
        raise StoreError(f"{key!r} is not a key.", "Keys are the hex digits that `iclviz runs` lists.")
    return f"{group}/{key}"


def is_key(name: str) -> bool:
    """Whether a text can be a key: it names no folder but one of its own."""
    return name.isascii() and name.isalnum() and len(name) <= 128


class Memo(MutableMapping[str, Any]):
    """Small JSON facts about this machine by name; where the cache cannot be written nothing is kept."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def _rows(self) -> Any:
        try:
            return self._store.machine
        except StoreError:
            return {}

    def __getitem__(self, name: str) -> Any:
        try:
            return self._rows[name]
        except DamagedRowError as error:
            del self[name]
            raise KeyError(name) from error

    def __setitem__(self, name: str, value: Any) -> None:
        with suppress(sqlite3.Error, OSError, StoreError):
            self._rows[name] = value

    def __delitem__(self, name: str) -> None:
        del self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def _age(path: Path) -> float:
    with suppress(OSError):
        return time.time() - path.stat().st_mtime
    return 0.0


def _removed(path: Path) -> int:
    size = size_of(path)
    with suppress(OSError):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return size
