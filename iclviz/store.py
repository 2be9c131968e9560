"""Recordings on disk: one folder each, safetensors and JSON, found through a diskcache index.

    <cache>/index/                 diskcache: key -> summary of a sealed recording; also remembered file identities
    <cache>/recordings/<key>/      recording.json, arrays.safetensors, embeddings.<pooling>.safetensors, run.json,
                                   tokens.safetensors (where attention is kept token by token), manifest.json
                                   (checksums of the others, written last)
    <cache>/unfinished/<key>/      plan.json and finished pieces of a run that is under way

A folder is built under a temporary name and renamed into place, so a reader sees all of it or nothing. Nothing is ever
unpickled. `run.json` holds timings and environment, outside the bytes that two runs of one spec must share.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from diskcache import UNKNOWN, Cache, JSONDisk
from diskcache.core import MODE_PICKLE
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from iclviz.errors import StoreError
from iclviz.places import cache_folder
from iclviz.recording import Recording
from iclviz.spans import Span
from iclviz.spec import RunSpec, canonical_json

Array = NDArray[Any]
K = TypeVar("K", bound=str | int)

TEXTS = ("item_ids", "prompts", "responses", "answers", "parsed", "prompt_ids", "response_ids", "tokens")
LARGE = ("attention", "attention_last")
"""Tables that are read when they are asked for."""

TABLES = ("labels", "scores", "groups", "covariates", "factors", "hypotheses", "span_lengths", *LARGE)
ARRAYS = "arrays.safetensors"
TOKEN_TABLES = ("token_attention", "token_attention_last")
TOKENS = "tokens.safetensors"
SCRATCH, SCRATCH_SECONDS = ".sealing-", 86400
FILES = re.compile(
    r"(recording|run|manifest|annotation)\.json|(arrays|tokens)\.safetensors|embeddings\.\w+\.safetensors"
)
"""The names that a recording's files may have; whatever else an imported folder holds is left out."""
LARGEST_FLOAT16 = float(np.finfo(np.float16).max)


log = logging.getLogger(__name__)


class UnpicklingRefusedError(RuntimeError):
    """A row of the index is marked as pickled: nobody of ours wrote it."""


class PlainJSONDisk(JSONDisk):  # type: ignore[misc]
    """diskcache's JSON disk, except that a row marked as pickled is refused instead of unpickled."""

    def get(self, key: Any, raw: Any) -> Any:
        """The key of a row; JSON keys are stored raw."""
        if not raw:
            raise UnpicklingRefusedError("the cache index holds a pickled key")
        return super().get(key, raw)

    def fetch(self, mode: Any, filename: Any, value: Any, read: Any) -> Any:
        """The value of a row."""
        if mode == MODE_PICKLE:
            raise UnpicklingRefusedError("the cache index holds a pickled value")
        return super().fetch(mode, filename, value, read)

    def store(self, value: Any, read: Any, key: Any = UNKNOWN) -> Any:
        """Write a value as JSON."""
        return super().store(value, read, key=key)


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


@dataclass(frozen=True)
class Summary:
    """What the index holds about a sealed recording: enough to list it."""

    key: str
    spec: RunSpec
    created: float
    size: int
    n_layers: int
    main_score: str
    mean_score: float

    def to_dict(self) -> dict[str, Any]:
        """The summary as plain JSON values."""
        return {**self.__dict__, "spec": self.spec.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Summary":
        """The summary that `to_dict` wrote."""
        return cls(**{**values, "spec": RunSpec.from_dict(values["spec"])})


class StoredArrays(Mapping[str, Array]):
    """Arrays that lie in one file each, read when asked for.

    `rows(name, layer)` reads a single layer, so a large recording is never held whole.
    """

    def __init__(self, files: Mapping[str, Path], check: Any) -> None:
        self._files = dict(files)
        self._check = check

    def __getitem__(self, name: str) -> Array:
        path = self._files[name]
        self._check(path)
        return load_file(path)["values"]  # type: ignore[no-any-return]

    def layer(self, name: str, layer: int) -> Array:
        """(n, d) of one layer of a pooling."""
        path = self._files[name]
        self._check(path)
        with safe_open(path, framework="numpy") as file:
            return np.asarray(file.get_slice("values")[:, layer])

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


class StoredTable(Mapping[K, Array]):
    """One table of a file, name -> array, each read when asked for, so that a large recording is never held whole."""

    def __init__(self, path: Path, table: str, names: Sequence[K], check: Any) -> None:
        self._path, self._table, self._names, self._check = path, table, names, check

    def __getitem__(self, name: K) -> Array:
        if name not in self._names:
            raise KeyError(name)
        self._check(self._path)
        with safe_open(self._path, framework="numpy") as file:
            return np.asarray(file.get_tensor(f"{self._table}/{name}"))

    def __iter__(self) -> Iterator[K]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Store:
    """The recordings of one cache folder."""

    def __init__(self, folder: Path | str | None = None) -> None:
        self.folder = Path(folder).expanduser().resolve() if folder is not None else cache_folder()
        if self.folder.exists() and not self.folder.is_dir():
            raise StoreError(f"The cache folder {self.folder} cannot be written (it is a file).", CACHE_REMEDY)

    @cached_property
    def index(self) -> Cache:
        """The diskcache index, made when first needed: a full or read-only cache can still be read without it.

        Raises
        ------
        StoreError: it cannot be opened for writing.
        """
        with writing(self.folder):
            return open_cache(self.folder / "index")

    def __contains__(self, key: str) -> bool:
        return (self.place(key) / "manifest.json").exists()

    def summaries(self) -> list[Summary]:
        """Every sealed recording, newest first."""
        found = []
        for key in self._sealed():
            try:
                found.append(self.summary(key))
            except StoreError as error:
                log.warning("%s", error)
        return sorted(found, key=lambda entry: -entry.created)

    def summary(self, key: str) -> Summary:
        """What the index holds about a recording; a folder that a crash kept out of the index is listed again.

        Raises
        ------
        StoreError: the recording's files are damaged.
        """
        entry = None
        with suppress(StoreError, sqlite3.Error):
            entry = self.index.get(f"run:{key}")
        try:
            if entry is None:
                entry = json.loads((self.place(key) / "run.json").read_text())["summary"]
                with suppress(StoreError, sqlite3.Error):
                    self.index[f"run:{key}"] = entry
            return Summary.from_dict(entry)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise damaged(self.place(key), error) from error

    def _sealed(self) -> list[str]:
        return [path.parent.name for path in (self.folder / "recordings").glob("*/manifest.json")]

    def load(self, key: str) -> Recording:
        """The recording with that key; embeddings and attention token by token are read when asked for.

        Raises
        ------
        StoreError: no such recording, or damaged files.
        """
        if key not in self:
            raise StoreError(f"The cache holds no recording {key!r}.", "List what it holds with `iclviz runs`.")
        return _loaded(self.place(key), key)

    def full_key(self, beginning: str) -> str:
        """The key of the one recording whose key begins so; unfinished runs are known by their whole key.

        Raises
        ------
        StoreError: none does, or several do.
        """
        if beginning.isalnum() and (beginning in self or self.unfinished(beginning).folder.exists()):
            return beginning
        matching = [key for key in self._sealed() if beginning and key.startswith(beginning)]
        if len(matching) == 1:
            return matching[0]
        what = f"{len(matching)} recordings whose keys begin with" if matching else "no recording"
        raise StoreError(f"The cache holds {what} {beginning!r}.", "List what it holds with `iclviz runs`.")

    def export(self, keys: Sequence[str], to: Path) -> None:
        """Copy recordings into a folder, one folder each; every file is checked before it is copied.

        Raises
        ------
        StoreError: a recording is missing or damaged, or the place cannot be written.
        """
        for key in keys:
            self.verify(key)
        with writing(to, "The place", "Choose another one."):
            for key in keys:
                shutil.copytree(self.place(key), to / key, dirs_exist_ok=True)

    def verify(self, key: str) -> None:
        """Compare every file of a recording with its checksum.

        Raises
        ------
        StoreError: no such recording, or a file has other bytes than were written.
        """
        _check_lazy(self.load(key))

    def save(self, recording: Recording, main_score: str) -> None:
        """Seal a recording: write it whole, then list it."""
        with writing(self.folder):
            folder = self.place(recording.key)
            folder.parent.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=folder.parent))
            try:
                summary = _write_recording(scratch, recording, main_score)
                if folder.exists():
                    shutil.rmtree(folder)
                scratch.rename(folder)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
            self.index[f"run:{recording.key}"] = summary.to_dict()
        self.forget_unfinished(recording.key)

    def delete(self, key: str) -> None:
        """Remove a recording and what an unfinished run of it left; the files first, since they take the space."""
        with writing(self.folder):
            if self.place(key).exists():
                shutil.rmtree(self.place(key))
        self.forget(key)

    def forget(self, key: str) -> None:
        """List a recording no longer whose files are gone, nor what an unfinished run of it left."""
        self.forget_unfinished(key)
        with suppress(StoreError, sqlite3.Error):
            self.index.delete(f"run:{key}")

    def adopt(self, folder: Path) -> bool:
        """Take in a recording's folder that `export` wrote, named by its key; whether it was new here.

        Every file is compared with its checksum before the recording is listed.

        Raises
        ------
        StoreError: files are missing, damaged or not a recording, or the cache cannot be written.
        """
        key = folder.name
        if key in self:
            return False
        with writing(self.folder):
            self.place(key).parent.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=self.place(key).parent))
            try:
                for path in folder.iterdir():
                    if path.is_file() and FILES.fullmatch(path.name):
                        shutil.copyfile(path, scratch / path.name)
                _check_whole(scratch, key)
                scratch.rename(self.place(key))
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
        self.summary(key)
        return True

    def sweep(self) -> None:
        """Remove what writers left that were killed more than a day ago."""
        for scratch in (self.folder / "recordings").glob(f"{SCRATCH}*"):
            if time.time() - scratch.stat().st_mtime > SCRATCH_SECONDS:
                shutil.rmtree(scratch, ignore_errors=True)

    @property
    def memo(self) -> "Memo":
        """What is remembered about files, so that each is read once."""
        return Memo(self)

    def unfinished(self, key: str) -> "Unfinished":
        """The finished pieces of a run that is under way."""
        return Unfinished(self.folder / "unfinished" / key)

    def forget_unfinished(self, key: str) -> None:
        """Remove what a run left that was sealed or given up."""
        self.unfinished(key).forget()

    def place(self, key: str) -> Path:
        """The folder of a recording, whether or not it is there.

        Raises
        ------
        StoreError: no key at all.
        """
        # Anything else could name a folder outside the cache.
        if not (key.isascii() and key.isalnum()):
            raise StoreError(f"{key!r} is not a key.", "Keys are the hex digits that `iclviz runs` lists.")
        return self.folder / "recordings" / key


class Memo(MutableMapping[str, Any]):
    """Small JSON facts kept in the index under a prefix of their own; where it cannot be written nothing is kept."""

    prefix = "file:"

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def _index(self) -> Any:
        try:
            return self._store.index
        except StoreError:
            return {}

    def __getitem__(self, name: str) -> Any:
        return self._index[self.prefix + name]

    def __setitem__(self, name: str, value: Any) -> None:
        with suppress(sqlite3.Error, OSError):
            self._index[self.prefix + name] = value

    def __delitem__(self, name: str) -> None:
        del self._index[self.prefix + name]

    def __iter__(self) -> Iterator[str]:
        return (str(key)[len(self.prefix) :] for key in self._index if str(key).startswith(self.prefix))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Unfinished:
    """Plan settings and finished pieces of one run, each file written atomically with its checksum beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def forget(self) -> None:
        """Remove the plan and every piece."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def plan(self) -> dict[str, Any] | None:
        """The stored plan, None where the run has none yet."""
        try:
            return dict(json.loads((self.folder / "plan.json").read_text()))
        except (OSError, ValueError):
            return None

    def save_plan(self, plan: dict[str, Any]) -> None:
        """Keep the plan for whoever goes on with the run."""
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self.folder / "plan.json", canonical_json(plan).encode())

    def pieces(self) -> list[tuple[dict[str, Array], dict[str, Any]]]:
        """Arrays and facts of every finished piece; one that is missing or damaged is left out, so that it is run
        again.
        """
        found = (self._piece(path) for path in sorted(self.folder.glob("piece-*.safetensors")))
        return [piece for piece in found if piece is not None]

    def _piece(self, path: Path) -> tuple[dict[str, Array], dict[str, Any]] | None:
        try:
            facts = json.loads(path.with_suffix(".json").read_text())
            if facts.pop("checksum") != checksum(path):
                return None
            return load_file(path), facts
        except (OSError, ValueError, KeyError, SafetensorError):
            return None

    def save_piece(self, first_item: int, arrays: dict[str, Array], facts: dict[str, Any]) -> None:
        """Keep a finished piece under the number of its first item."""
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / f"piece-{first_item:05d}.safetensors"
            scratch = path.with_suffix(".part")
            save_file({name: np.ascontiguousarray(values) for name, values in arrays.items()}, scratch)
            facts = {**facts, "checksum": checksum(scratch)}
            scratch.replace(path)
            write_atomically(path.with_suffix(".json"), json.dumps(facts).encode())


def open_cache(folder: Path) -> Cache:
    """A diskcache that keeps everything and unpickles nothing; one that is no database any more is set aside."""
    options = {"disk": PlainJSONDisk, "eviction_policy": "none", "size_limit": 2**40, "timeout": 60}
    try:
        return Cache(str(folder), **options)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        folder.rename(folder.with_name(f"{folder.name}.damaged-{time.time_ns()}"))
        return Cache(str(folder), **options)


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


def checksum(path: Path) -> str:
    """BLAKE2b of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def damaged(folder: Path, reason: object) -> StoreError:
    """The error for a recording whose files do not hold what was written."""
    return StoreError(
        f"The recording in {folder} is damaged ({reason}).",
        f"Delete it with `iclviz delete {folder.name}` and run its spec again.",
    )


class _Checker:
    """Compares a file with its checksum the first time it is read."""

    def __init__(self, folder: Path, checksums: Mapping[str, str]) -> None:
        self._folder = folder
        self._checksums = checksums
        self._checked: set[str] = set()

    def __call__(self, path: Path) -> None:
        if path.name in self._checked:
            return
        try:
            same = checksum(path) == self._checksums[path.name]
        except (OSError, KeyError) as error:
            raise damaged(self._folder, f"{path.name} is missing") from error
        if not same:
            raise damaged(self._folder, f"{path.name} has other bytes than were written")
        self._checked.add(path.name)


def _float16_if_it_fits(values: Array) -> Array:
    finite = np.nan_to_num(np.abs(values), nan=0.0)
    return values.astype(np.float16 if finite.max(initial=0.0) <= LARGEST_FLOAT16 else np.float32)


def _write_recording(folder: Path, recording: Recording, main_score: str) -> Summary:
    _write_content(folder, recording)
    summary = _summary(folder, recording, main_score)
    run = {
        "timing": dict(recording.timing),
        "environment": dict(recording.environment),
        "summary": summary.to_dict(),
    }
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    checksums = {path.name: checksum(path) for path in sorted(folder.iterdir())}
    write_atomically(folder / "manifest.json", canonical_json({"checksums": checksums}).encode())
    return summary


def _write_content(folder: Path, recording: Recording) -> None:
    texts = {name: list(getattr(recording, name)) for name in TEXTS}
    spans = [[[span.role, span.start, span.end] for span in item] for item in recording.spans]
    arrays = {"query_start": np.asarray(recording.query_start)}
    words: dict[str, list[Any]] = {}
    for table in TABLES:
        for name, values in getattr(recording, table).items():
            values = np.asarray(values)
            if values.dtype.kind in "biuf":
                arrays[f"{table}/{name}"] = np.ascontiguousarray(values)
            else:
                words[f"{table}/{name}"] = values.tolist()
    content = {"spec": recording.spec.to_dict(), "spans": spans, "words": words, "order": _order(recording), **texts}
    (folder / "recording.json").write_text(canonical_json(content), encoding="utf-8")
    save_file(arrays, folder / ARRAYS)
    for pooling, values in recording.embeddings.items():
        save_file({"values": _float16_if_it_fits(values)}, folder / f"embeddings.{pooling}.safetensors")
    tokens = {f"{table}/{place}": one for table in TOKEN_TABLES for place, one in getattr(recording, table).items()}
    if tokens:
        save_file({name: np.ascontiguousarray(one, np.float16) for name, one in tokens.items()}, folder / TOKENS)


def _order(recording: Recording) -> dict[str, list[str]]:
    """The order of each table's names, which safetensors does not keep."""
    return {table: list(getattr(recording, table)) for table in (*TABLES, "embeddings")}


def _loaded(folder: Path, key: str) -> Recording:
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        return _read_recording(folder, key, _Checker(folder, manifest["checksums"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise damaged(folder, error) from error


def _check_lazy(recording: Recording) -> None:
    """Read what `load` leaves until it is asked for."""
    for table in ("embeddings", *TOKEN_TABLES):
        for name in getattr(recording, table):
            getattr(recording, table)[name]


def _check_whole(folder: Path, key: str) -> None:
    """Refuse a folder that is not, whole and unharmed, the recording of that key.

    Raises
    ------
    StoreError: so.
    """
    try:
        _check_lazy(_loaded(folder, key))
        listed = Summary.from_dict(json.loads((folder / "run.json").read_text())["summary"]).key
    except (StoreError, OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise StoreError(f"{key} is no recording, or its files are damaged.", "Export it again.") from error
    if listed != key:
        raise StoreError(f"The recording in the folder {key} is {listed}.", "Give the folder back its name.")


def _read_recording(folder: Path, key: str, check: _Checker) -> Recording:
    for name in ("recording.json", ARRAYS, "run.json"):
        check(folder / name)
    content = json.loads((folder / "recording.json").read_text(encoding="utf-8"))
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    arrays = {name: np.asarray(values) for name, values in content["words"].items()}
    with safe_open(folder / ARRAYS, framework="numpy") as file:
        small = [name for name in file.keys() if not name.startswith(LARGE)]  # noqa: SIM118 - it is no mapping
        arrays |= {name: file.get_tensor(name) for name in small}
    order = {**dict.fromkeys(TABLES, ()), **content["order"]}  # older recordings have no factors
    tables: dict[str, Any] = {table: StoredTable(folder / ARRAYS, table, order[table], check) for table in LARGE}
    tables |= {table: {name: arrays[f"{table}/{name}"] for name in order[table]} for table in TABLES[: -len(LARGE)]}
    files = {pooling: folder / f"embeddings.{pooling}.safetensors" for pooling in order["embeddings"]}
    spec = RunSpec.from_dict(content["spec"])
    tables |= {table: StoredTable(folder / TOKENS, table, spec.attention_items, check) for table in TOKEN_TABLES}
    return Recording(
        spec=spec,
        key=key,
        spans=[[Span(*span) for span in item] for item in content["spans"]],
        query_start=arrays["query_start"],
        embeddings=StoredArrays(files, check),
        **{name: content[name] for name in TEXTS},
        timing=run["timing"],
        environment=run["environment"],
        **tables,
    )


def _summary(folder: Path, recording: Recording, main_score: str) -> Summary:
    return Summary(
        key=recording.key,
        spec=recording.spec,
        created=time.time(),
        size=sum(path.stat().st_size for path in folder.iterdir()),
        n_layers=recording.n_layers,
        main_score=main_score,
        mean_score=float(np.mean(recording.scores[main_score])),
    )
