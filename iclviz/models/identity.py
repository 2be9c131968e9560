"""What tells one model's files from another's: part of each recording's key.

A hub model is its commit. Local files are told by every byte of them:

1. The files of a model are those that may decide what it says: weights, tokenizer, configuration, templates, adapters,
   and code, which may read any file beside it. Notes, pictures and hidden files are none; of the folders inside, code,
   templates and configuration count.
2. A file is cut into pieces, pieces are digested side by side, and a file's digest is that of its pieces'. SHA-256 is
   what processors have instructions for: it is about as fast as disks are.
3. A digest is remembered with the file's size, times and inode. The time of the last change of the inode cannot be set
   by any tool, so a file that was written and given back its former date is read again.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from iclviz.errors import ModelError
from iclviz.models.locating import LocatedModel

PIECE_BYTES, BLOCK_BYTES = 64 * 2**20, 2**20
READERS = 4
"""Pieces that are read at a time."""

SETTLED_SECONDS = 2.0
"""Files written more lately are not remembered: the clocks of some file systems tick as slowly as this."""

SHOWN_BYTES = 2 * 10**9
"""From so many bytes to read whoever waits is told how far it is."""

NOTES = {".md", ".rst", ".pdf", ".log", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".html"}
INSIDE = {".json", ".model", ".txt", ".jinja", ".py", ".tiktoken", ".vocab", ".bpe", ".yaml"}
"""Endings of files that count in a folder inside the model's."""

Tell = Callable[[int, int], None]
"""Receives how many bytes were read, and how many there are to read."""

DIGITS = 32
CHANGED = 2
"""Place of the time of the inode's last change in `_facts`."""


def identity(located: LocatedModel, memo: MutableMapping[str, Any] | None = None, tell: Tell | None = None) -> str:
    """The model's identity: a commit, or "files-" and hex digits.

    Parameters
    ----------
    memo: remembers each file's digest under its path, with the facts that `_facts` gives, so a file is read once.
    tell: told how far reading is, where there is as much as `SHOWN_BYTES` to read.

    Raises
    ------
    ModelError: a file cannot be read, or changes while it is read.
    """
    if located.commit is not None:
        return located.commit
    memo = {} if memo is None else memo
    try:
        files = _files(located)
        known = {path: _remembered(path, memo) for _, path in files}
        known |= _read([path for path, digest in known.items() if digest is None], memo, tell)
    except OSError as error:
        raise ModelError(f"A file of {located.name} cannot be read ({error}).", "Fetch or copy it again.") from error
    digests = [[name, known[path]] for name, path in files]
    return f"files-{hashlib.sha256(json.dumps(digests).encode()).hexdigest()[:DIGITS]}"


def _files(located: LocatedModel) -> list[tuple[str, Path]]:
    """Names and places of the files that count, by name."""
    if located.path is None:
        raise ModelError(f"{located.name} is not on disk, so nothing tells its files apart.", "Fetch it first.")
    # A .gguf file is the model whatever it is called; a folder's files are told apart by their names.
    if located.kind == "gguf":
        return [("model.gguf", located.path)]
    return sorted((path.relative_to(located.path).as_posix(), path) for path in _walked(located.path))


def _walked(folder: Path) -> Iterator[Path]:
    seen = set()
    for place, inside, names in os.walk(folder, followlinks=True):
        seen.add(os.path.realpath(place))
        inside[:] = [name for name in inside if _counts(name) and os.path.realpath(Path(place, name)) not in seen]
        for path in (Path(place, name) for name in names if _counts(name)):
            if path.is_file() and (Path(place) == folder or path.suffix.lower() in INSIDE):
                yield path


def _counts(name: str) -> bool:
    return name[0] != "." and name != "__pycache__" and Path(name).suffix.lower() not in NOTES


def _facts(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _remembered(path: Path, memo: MutableMapping[str, Any]) -> str | None:
    known = memo.get(str(path))
    return str(known[-1]) if isinstance(known, list) and known[:-1] == _facts(path) else None


def _read(paths: Sequence[Path], memo: MutableMapping[str, Any], tell: Tell | None) -> dict[Path, str]:
    """The digest of each file, remembered from now on."""
    before = {path: _facts(path) for path in paths}
    digests = _digests({path: size for path, (size, *_) in before.items()}, tell)
    for path, facts in before.items():
        if _facts(path) != facts:
            raise ModelError(f"The file {path} changed while it was read.", "Wait until it is written, and try again.")
        if time.time() - facts[CHANGED] / 1e9 > SETTLED_SECONDS:
            memo[str(path)] = [*facts, digests[path]]
    return digests


def _digests(sizes: Mapping[Path, int], tell: Tell | None) -> dict[Path, str]:
    states = {path: hashlib.sha256() for path in sizes}
    pieces = [(path, start) for path, size in sizes.items() for start in range(0, size, PIECE_BYTES)]
    done, total = 0, sum(sizes.values())
    pool = ThreadPoolExecutor(READERS)
    try:
        for (path, start), digest in zip(pieces, pool.map(lambda piece: _piece(*piece), pieces), strict=True):
            states[path].update(digest)
            done += min(PIECE_BYTES, sizes[path] - start)
            if tell is not None and total >= SHOWN_BYTES:
                tell(done, total)
    finally:
        pool.shutdown(cancel_futures=True)
    return {path: state.hexdigest() for path, state in states.items()}


def _piece(path: Path, start: int) -> bytes:
    """The digest of one piece of a file."""
    state, end = hashlib.sha256(), start + PIECE_BYTES
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while block := file.read(min(BLOCK_BYTES, end - file.tell())):
            state.update(block)
    return state.digest()
