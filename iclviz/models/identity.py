"""What tells one model's files from another's: part of each recording's key.

A hub model is its commit. Local files are a BLAKE2b digest over their names and sizes, small files and headers whole,
and evenly spaced blocks of the weights: retraining, merging or requantising changes those, and 100 GB are not read.
"""

import hashlib
import json
import struct
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

from iclviz.errors import ModelError
from iclviz.models.folders import safetensors_header, weight_files
from iclviz.models.gguf_header import DamagedGguf, read_header
from iclviz.models.locating import LocatedModel

BLOCKS, BLOCK_BYTES = 128, 8192
_TEXT_FILES = {".json", ".model", ".txt", ".jinja", ".py", ".tiktoken"}
_DIGEST_BYTES = 16


def identity(located: LocatedModel, memo: MutableMapping[str, Any] | None = None) -> str:
    """The model's identity, in hex digits.

    Parameters
    ----------
    memo: remembers each file's digest under its path, as `[size, mtime_ns, digest]`, so a file is read once.

    Raises
    ------
    ModelError: a file cannot be read.
    """
    if located.commit is not None:
        return located.commit
    if located.path is None:
        raise ModelError(f"{located.name} is not on disk, so nothing tells its files apart.", "Fetch it first.")
    memo = {} if memo is None else memo
    try:
        # A .gguf file is the model whatever it is called; a folder's files are told apart by their names.
        files = {"model.gguf": located.path} if located.kind == "gguf" else {f.name: f for f in _files(located.path)}
        digests = [[name, _remembered(path, memo)] for name, path in sorted(files.items())]
    except (OSError, DamagedGguf) as error:
        raise ModelError(f"A file of {located.name} cannot be read ({error}).", "Fetch or copy it again.") from error
    return hashlib.blake2b(json.dumps(digests).encode(), digest_size=_DIGEST_BYTES).hexdigest()


def _files(folder: Path) -> list[Path]:
    texts = [file for file in folder.iterdir() if file.suffix in _TEXT_FILES and not file.name.startswith(".")]
    return [file for file in texts if file.is_file()] + weight_files(folder)


def _remembered(path: Path, memo: MutableMapping[str, Any]) -> str:
    stat, key = path.stat(), str(path)
    known = memo.get(key)
    if isinstance(known, list) and len(known) == 3 and known[:2] == [stat.st_size, stat.st_mtime_ns]:
        return str(known[2])
    digest = _digest(path, stat.st_size)
    memo[key] = [stat.st_size, stat.st_mtime_ns, digest]
    return digest


def _digest(path: Path, size: int) -> str:
    state = hashlib.blake2b(struct.pack("<Q", size), digest_size=_DIGEST_BYTES)
    for part in _parts(path, size):
        state.update(part)
    return state.hexdigest()


def _parts(path: Path, size: int) -> Iterator[bytes]:
    if path.suffix in _TEXT_FILES or size <= BLOCKS * BLOCK_BYTES:
        yield path.read_bytes()
        return
    if path.suffix == ".safetensors":
        yield safetensors_header(path)
    with path.open("rb") as file:
        if path.suffix.lower() == ".gguf":
            yield file.read(read_header(path).data_start)
        for number in range(BLOCKS):
            file.seek((size - BLOCK_BYTES) * number // (BLOCKS - 1))
            yield file.read(BLOCK_BYTES)
