"""A storage that many machines reach behind one address, such as `s3://bucket/folder`, through fsspec.

    GROUP/entries/NAME@VERSION       which files an entry has, as JSON; written last, so it makes the entry
    GROUP/objects/NAME@VERSION/FILE  their bytes
    GROUP/beside/NAME/FILE           files that were put one by one
    locks/NAME/NUMBER                who held a name, and until when; the highest number holds it

What lies there is never changed but for files put one by one: a newer version takes the place of an older one. Whatever
is read is kept in a mirror in the cache folder, and read from there for as long as it is the same. A storage that
cannot be reached is asked again for some minutes.
"""

import json
import logging
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import fsspec
from filelock import FileLock
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_exponential

from iclviz.disk import write_atomically, writing
from iclviz.errors import StoreError
from iclviz.storage import parts_of
from iclviz.storage.folder import SCRATCH
from iclviz.storage.named import PATIENCE_SETTING

PATIENCE_SECONDS = 600.0
SAID_AFTER = 3.0
"""Seconds of waiting for a storage after which that is said."""

LEASE_SECONDS = 30.0
"""For how long a lock outlives its holder's last word."""

LISTING_SECONDS = 2.0
"""For how long a group's list of entries is taken for what it is now."""

POLL_SECONDS = 0.5
SCRATCH_SECONDS = 86400.0
_PASSING = {"ConnectionError", "HTTPClientError", "ClientConnectionError", "TimeoutError", "OSError"}
_LASTING = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)
T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Entry:
    """What is known of an entry from a list.

    versions: of those that were put whole, oldest first; beside: file -> what tells its bytes from others.
    """

    versions: tuple[str, ...] = ()
    beside: Mapping[str, str] = field(default_factory=dict)


class SharedStorage:
    """As `Storage`.

    Locks are leases: who holds one says so again and again, and who does not for half a minute has lost it. Clocks of
    the machines that share it have to agree within some seconds.
    """

    is_shared = True

    def __init__(self, address: str, mirror: Path, groups: Sequence[str] = (), lease: float = LEASE_SECONDS) -> None:
        """address: a URL of fsspec; mirror: a folder of this disk; lease: seconds."""
        self.address, self.mirror, self._groups, self._lease = _without_secrets(address), mirror, groups, lease
        try:
            self._files, self._root = fsspec.url_to_fs(address, use_listings_cache=False)
        except (ValueError, ImportError) as error:
            raise StoreError(
                f"The storage {self.address} cannot be used ({error}).",
                "Install what fsspec needs for it, such as pip install 'iclviz[s3]', or name another one.",
            ) from error
        self._lists: dict[str, tuple[float, dict[str, _Entry]]] = {}
        self._objects: dict[str, dict[str, str]] = {}

    @contextmanager
    def putting(self, name: str) -> Iterator[Path]:
        """A folder beside the mirror; its files are sent, and then the list of them, which makes the entry."""
        group, entry = parts_of(name)
        with writing(self.mirror):
            (self.mirror / group).mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=self.mirror / group))
            try:
                yield scratch
                sent = self._send(group, entry, {path.name: path for path in scratch.iterdir()})
                self._keep(scratch, self.mirror / group / entry, sent)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)

    def _send(self, group: str, entry: str, files: Mapping[str, Path]) -> dict[str, str]:
        """File -> where its bytes lie now."""
        before, version = self._now(group, entry), _new_version()
        at = f"{group}/objects/{entry}@{version}"
        for file, path in files.items():
            self._ask(partial(self._files.put_file, str(path), self._path(f"{at}/{file}")))
        objects = {file: f"{at}/{file}" for file in files}
        self._point(group, entry, version, objects)
        self._forget(group, entry, before, but=version)
        return objects

    def _keep(self, scratch: Path, place: Path, sent: Mapping[str, str]) -> None:
        """Take what was sent as the mirror's copy."""
        with FileLock(_beside(place, "lock")):
            _drop(place)
            scratch.rename(place)
            write_atomically(_beside(place, "stamps"), json.dumps(sent).encode())

    def _point(self, group: str, entry: str, version: str, objects: Mapping[str, str]) -> None:
        content = json.dumps(objects).encode()
        self._ask(lambda: self._files.pipe_file(self._path(f"{group}/entries/{entry}@{version}"), content))
        self._lists.pop(group, None)

    def _forget(self, group: str, entry: str, known: _Entry, but: str = "") -> None:
        """Remove versions and files beside them, first what makes them an entry, and what writers left that were killed
        more than a day ago.
        """
        for version in known.versions:
            if version != but:
                self._remove(f"{group}/entries/{entry}@{version}")
        for file in known.beside:
            self._remove(f"{group}/beside/{entry}/{file}")
        self._lists.pop(group, None)
        for path in self._find(f"{group}/objects/{entry}@"):
            version = path.split("/")[2].rpartition("@")[2]
            if version != but and (version in known.versions or _age(version) > SCRATCH_SECONDS):
                self._remove(path)

    def put(self, name: str, content: bytes) -> None:
        """Send one file beside those that are there."""
        group, entry, file = parts_of(name, 3)
        self._ask(lambda: self._files.pipe_file(self._path(f"{group}/beside/{entry}/{file}"), content))
        self._lists.pop(group, None)

    def get(self, name: str, *files: str) -> Path:
        """The mirror's folder, filled with what is not there yet."""
        group, entry = parts_of(name)
        place = self.mirror / group / entry
        for _ in range(3):  # again where a newer version takes the place of what was listed
            with suppress(FileNotFoundError):
                found = self._stamps(group, entry, self._known(group, entry))
                return self._mirrored(place, found, files)
            self._lists.pop(group, None)
        raise StoreError(f"{name} changes all the time in {self.address}.", "Try again.")

    def _stamps(self, group: str, entry: str, known: _Entry) -> dict[str, str]:
        """File -> what tells its bytes from others: where an object lies, or the stamp of a file beside."""
        return {**self._objects_of(group, entry, known), **known.beside}

    def _mirrored(self, place: Path, found: Mapping[str, str], files: Sequence[str]) -> Path:
        """Bring a folder of the mirror up to date, as far as files are wanted; all where none is named."""
        with writing(self.mirror):
            if not found:
                _drop(place)
                return place
            place.mkdir(parents=True, exist_ok=True)
            wanted = {file: stamp for file, stamp in found.items() if not files or file in files}
            if _is_at(place, wanted, found):
                return place
            with FileLock(_beside(place, "lock")):
                there = _stamps_in(place)
                for file in there.keys() - found.keys():
                    (place / file).unlink(missing_ok=True)
                for file, stamp in wanted.items():
                    if there.get(file) != stamp or not (place / file).exists():
                        self._fetch(self._source(place, file, stamp), place / file)
                kept = {file: stamp for file, stamp in there.items() if found.get(file) == stamp}
                write_atomically(_beside(place, "stamps"), json.dumps({**kept, **wanted}).encode())
        return place

    def _source(self, place: Path, file: str, stamp: str) -> str:
        group, entry = place.parent.name, place.name
        return stamp if stamp.startswith(f"{group}/objects/") else f"{group}/beside/{entry}/{file}"

    def _fetch(self, source: str, to: Path) -> None:
        scratch = to.with_name(f".{to.name}-{secrets.token_hex(4)}")
        try:
            self._ask(lambda: self._files.get_file(self._path(source), str(scratch)))
            os.replace(scratch, to)
        finally:
            scratch.unlink(missing_ok=True)

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        group, entry, *file = parts_of(name, None)
        known = self._known(group, entry)
        if not file:
            return known != _Entry()
        return file[0] in self._stamps(group, entry, known)

    def names(self, group: str) -> list[str]:
        """The names that a list of the group has; which files entries have is read in one go."""
        found = self._listed(group)
        paths = [self._pointer(group, entry, known) for entry, known in found.items() if known.versions]
        self._read_pointers([path for path in paths if path not in self._objects])
        return sorted(found)

    def holding(self, group: str, file: str) -> list[str]:
        """By the list of the group and what entries have."""
        self.names(group)
        return sorted(
            entry for entry, known in self._listed(group).items() if file in self._stamps(group, entry, known)
        )

    def move(self, name: str, to: str) -> None:
        """Copy there, and remove here."""
        group, entry = parts_of(name)
        if name not in self:
            return
        new_group, new_entry = parts_of(to)
        before, version = self._now(new_group, new_entry), _new_version()
        at = f"{new_group}/objects/{new_entry}@{version}"
        files = self._stamps(group, entry, self._now(group, entry))
        for file, stamp in files.items():
            source = self._path(self._source(Path(group) / entry, file, stamp))
            self._ask(partial(self._files.cp_file, source, self._path(f"{at}/{file}")))
        self._point(new_group, new_entry, version, {file: f"{at}/{file}" for file in files})
        self._forget(new_group, new_entry, before, but=version)
        self.delete(name)

    def delete(self, name: str) -> None:
        """Remove what makes an entry, and then its bytes; of one file, name the others anew."""
        group, entry, *file = parts_of(name, None)
        known = self._now(group, entry)
        if not file:
            self._forget(group, entry, known)
            _drop(self.mirror / group / entry)
        elif file[0] in known.beside:
            self._remove(f"{group}/beside/{entry}/{file[0]}")
        elif file[0] in (objects := self._objects_of(group, entry, known)):
            left = {one: path for one, path in objects.items() if one != file[0]}
            self._point(group, entry, _new_version(), left)
            self._remove(f"{group}/entries/{entry}@{known.versions[-1]}")
        self._lists.pop(group, None)

    def leftovers(self) -> list[Path]:
        """Scratch folders of the mirror."""
        return [path for group in self._groups for path in (self.mirror / group).glob(f"{SCRATCH}*")]

    def copies(self) -> list[Path]:
        """The mirror's folders."""
        return [path for group in self._groups for path in (self.mirror / group).glob("[!.]*") if path.is_dir()]

    # Lists: what is there.

    def _known(self, group: str, entry: str) -> _Entry:
        """An entry by the group's list where that is new, else by its own."""
        at, found = self._lists.get(group, (0.0, {}))
        if time.monotonic() - at < LISTING_SECONDS:
            return found.get(entry, _Entry())
        return self._now(group, entry)

    def _now(self, group: str, entry: str) -> _Entry:
        versions = [path.rpartition("@")[2] for path in self._find(f"{group}/entries/{entry}@")]
        beside = self._find(f"{group}/beside/{entry}/")
        return _Entry(tuple(sorted(versions)), {path.rpartition("/")[2]: _stamp(of) for path, of in beside.items()})

    def _listed(self, group: str) -> dict[str, _Entry]:
        at, found = self._lists.get(group, (0.0, {}))
        if time.monotonic() - at < LISTING_SECONDS:
            return found
        versions: dict[str, list[str]] = {}
        beside: dict[str, dict[str, str]] = {}
        for path in self._find(f"{group}/entries/"):
            entry, _, version = path.rpartition("/")[2].partition("@")
            versions.setdefault(entry, []).append(version)
        for path, of in self._find(f"{group}/beside/").items():
            _, _, entry, file = path.split("/", 3)
            beside.setdefault(entry, {})[file] = _stamp(of)
        names = versions.keys() | beside.keys()
        found = {one: _Entry(tuple(sorted(versions.get(one, ()))), beside.get(one, {})) for one in names}
        self._lists[group] = time.monotonic(), found
        return found

    def _find(self, beginning: str) -> dict[str, Any]:
        """Path in this storage -> what is known of the object, of all whose paths begin so."""
        folder, _, prefix = beginning.rpartition("/")
        found = self._ask(partial(self._beginning, self._path(folder), prefix))
        return {self._inside(path): of for path, of in found.items()}

    def _beginning(self, top: str, prefix: str) -> dict[str, Any]:
        """What lies under names of a folder that begin so; object storages list by prefix."""
        with suppress(FileNotFoundError):
            if not prefix:
                return dict(self._files.find(top, detail=True))
            if self._by_prefix:
                return dict(self._files.find(top, detail=True, prefix=prefix))
            there = [path for path in self._files.ls(top, detail=False) if path.rpartition("/")[2].startswith(prefix)]
            return {inner: of for path in there for inner, of in self._files.find(path, detail=True).items()}
        return {}

    @property
    def _by_prefix(self) -> bool:
        return "s3" in self._files.protocol or "gs" in self._files.protocol

    def _pointer(self, group: str, entry: str, known: _Entry) -> str:
        return f"{group}/entries/{entry}@{known.versions[-1]}"

    def _objects_of(self, group: str, entry: str, known: _Entry) -> dict[str, str]:
        if not known.versions:
            return {}
        path = self._pointer(group, entry, known)
        if path not in self._objects:
            content = self._ask(lambda: self._files.cat_file(self._path(path)))
            self._objects[path] = json.loads(content)
        return self._objects[path]

    def _read_pointers(self, paths: Sequence[str]) -> None:
        """Many at once; one that is gone meanwhile is left out."""
        if not paths:
            return
        found = self._ask(lambda: self._files.cat([self._path(path) for path in paths], on_error="omit"))
        self._objects.update({self._inside(path): json.loads(content) for path, content in found.items()})

    # Locks.

    @contextmanager
    def lock(self, name: str, wait: float = 0.0) -> Iterator[bool]:
        """A lease: the highest number of the lock, made by one alone, whose holder says every third of it that he
        lives.
        """
        at, deadline = f"locks/{name}", time.monotonic() + wait
        seat = self._take_seat(at)
        while seat is None and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            seat = self._take_seat(at)
        if seat is None:
            yield False
            return
        ended = threading.Event()
        beat = threading.Thread(target=self._beat, args=(seat, ended), daemon=True)
        beat.start()
        try:
            yield True
        finally:
            ended.set()
            beat.join()
            with suppress(Exception):
                self._files.pipe_file(self._path(seat), _until(0.0))

    def _take_seat(self, at: str) -> str | None:
        """The path of a new seat; None where somebody holds the lock."""
        seats = sorted(int(path.rpartition("/")[2]) for path in self._find(f"{at}/"))
        if seats and self._held_until(f"{at}/{seats[-1]}") > time.time():
            return None
        seat = f"{at}/{seats[-1] + 1 if seats else 0}"
        try:
            self._ask(lambda: self._files.pipe_file(self._path(seat), _until(time.time() + self._lease), mode="create"))
        except FileExistsError:
            return None
        for number in seats:
            with suppress(Exception):
                self._files.rm_file(self._path(f"{at}/{number}"))
        return seat

    def _held_until(self, seat: str) -> float:
        try:
            return float(json.loads(self._ask(lambda: self._files.cat_file(self._path(seat))))["until"])
        except FileNotFoundError:  # whoever holds a newer one took it away
            return time.time() + 1

    def _beat(self, seat: str, ended: threading.Event) -> None:
        while not ended.wait(self._lease / 3):
            with suppress(Exception):  # a storage that is away now may be there the next time
                self._files.pipe_file(self._path(seat), _until(time.time() + self._lease))

    # Asking.

    def _ask(self, call: Callable[[], T]) -> T:
        """What a call answers; one that fails for a passing reason is made again, for as long as patience lasts.

        Raises
        ------
        StoreError: the storage cannot be reached or used.
        FileNotFoundError: what is asked for is not there; FileExistsError: what must not be there is.
        """
        try:
            return Retrying(
                stop=stop_after_delay(_patience()),
                wait=wait_exponential(multiplier=0.2, max=10),
                retry=retry_if_exception(_is_passing),
                before_sleep=self._say_waiting,
                reraise=True,
            )(call)
        except (FileNotFoundError, FileExistsError):
            raise
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise StoreError(
                f"The shared storage {self.address} cannot be used ({reason}).",
                "See that it can be reached and that you may write there; what is finished is kept, so go on later.",
            ) from error

    def _say_waiting(self, state: RetryCallState) -> None:
        """Once for a call that has failed for some seconds."""
        before = state.idle_for - (state.next_action.sleep if state.next_action else 0.0)
        if before < SAID_AFTER <= state.idle_for:
            log.warning("Waiting for the storage %s, which cannot be reached.", self.address)

    def _remove(self, path: str) -> None:
        def remove() -> None:
            with suppress(FileNotFoundError):
                self._files.rm_file(self._path(path))

        self._ask(remove)

    def _path(self, inside: str) -> str:
        return f"{self._root.rstrip('/')}/{inside}"

    def _inside(self, path: str) -> str:
        return path[len(self._root.rstrip("/")) + 1 :]


def _new_version() -> str:
    """Later ones come after earlier ones."""
    return f"{time.time_ns():020d}-{secrets.token_hex(4)}"


def _age(version: str) -> float:
    """Seconds since a version was named."""
    number = version.partition("-")[0]
    return time.time() - int(number) / 1e9 if number.isdecimal() else 0.0


def _until(moment: float) -> bytes:
    return json.dumps({"until": moment}).encode()


def _stamp(of: Mapping[str, Any]) -> str:
    """What tells an object's bytes from others that lay there before."""
    known = next((of[name] for name in ("ETag", "etag", "LastModified", "mtime", "created") if name in of), "")
    return f"{known} {of.get('size', 0)}"


def _beside(place: Path, what: str) -> Path:
    """A file beside a mirrored folder: its lock, or the stamps of the bytes that it has."""
    return place.with_name(f".{place.name}.{what}")


def _stamps_in(place: Path) -> dict[str, str]:
    with suppress(OSError, ValueError):
        return dict(json.loads(_beside(place, "stamps").read_bytes()))
    return {}


def _drop(place: Path) -> None:
    """Remove a mirrored folder."""
    shutil.rmtree(place, ignore_errors=True)
    _beside(place, "stamps").unlink(missing_ok=True)


def _is_at(place: Path, wanted: Mapping[str, str], found: Mapping[str, str]) -> bool:
    """Whether a mirrored folder has what is wanted and nothing that is not there any more."""
    there = _stamps_in(place)
    return (
        all(there.get(file) == stamp and (place / file).exists() for file, stamp in wanted.items())
        and there.keys() <= found.keys()
    )


def _is_passing(error: BaseException) -> bool:
    """Whether the same call may well go through later: a network or a server that is away."""
    if isinstance(error, _LASTING):
        return False
    return any(kind.__name__ in _PASSING for kind in type(error).__mro__)


def _patience() -> float:
    named = os.environ.get(PATIENCE_SETTING, "").strip()
    try:
        return float(named) if named else PATIENCE_SECONDS
    except ValueError as error:
        raise StoreError(f"{PATIENCE_SETTING} = {named!r} is no number of seconds.", "Set it to 600, say.") from error


def _without_secrets(address: str) -> str:
    """An address without the name and password that it may hold."""
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
