"""The header of a GGUF file: its metadata and its table of tensors, read without touching the weights.

The layout is that of llama.cpp's `docs/gguf.md`: magic, version, counts, key-value pairs, tensor table, padding, data.
The `gguf` package's own reader makes one NumPy array for each vocabulary entry (3 s for 49,000 tokens); a page asks for
the header often, so it is walked here in a fraction of that. Token lists are skipped unless asked for.
"""

import mmap
import struct
from collections.abc import Collection
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

MAGIC = b"GGUF"
VERSIONS = (2, 3)
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


class DamagedGguf(ValueError):
    """The bytes are not a readable GGUF file; the message says in a few words what is wrong."""


@dataclass(frozen=True)
class GgufTensor:
    """One tensor of the table: its name, shape (fastest axis first), ggml type number and place in the data section."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


@dataclass(frozen=True)
class GgufHeader:
    """What stands before the weights.

    Attributes
    ----------
    metadata: key -> value; an array of strings is its length unless its key was asked for in full.
    tensors: the table of tensors.
    data_start: byte at which the weights begin.
    """

    metadata: dict[str, Any]
    tensors: tuple[GgufTensor, ...]
    data_start: int

    @property
    def architecture(self) -> str:
        """The model family's name in GGUF, such as "llama"."""
        return str(self.metadata.get("general.architecture", ""))

    def get(self, key: str, default: Any = None) -> Any:
        """The value of `<architecture>.<key>`."""
        return self.metadata.get(f"{self.architecture}.{key}", default)


class _Cursor:
    """A place in the file that moves on with each value read; reading past the end raises `DamagedGguf`."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.at = 0

    def skip(self, n: int) -> int:
        start, self.at = self.at, self.at + n
        if self.at > len(self.data):
            raise DamagedGguf("it ends inside its header")
        return start

    def numbers(self, form: str) -> tuple[Any, ...]:
        layout = "<" + form
        return struct.unpack_from(layout, self.data, self.skip(struct.calcsize(layout)))

    def number(self, form: str) -> Any:
        return self.numbers(form)[0]

    def text(self) -> str:
        length = self.number("Q")
        start = self.skip(length)
        return self.data[start : start + length].decode("utf-8", "replace")

    def array(self, in_full: bool) -> Any:
        kind, count = self.numbers("IQ")
        if kind in _SCALARS:
            if count > len(self.data):
                raise DamagedGguf("it ends inside its header")
            return list(self.numbers(f"{count}{_SCALARS[kind]}"))
        if kind != _STRING:
            raise DamagedGguf(f"its header holds an array of unknown type {kind}")
        if in_full:
            return [self.text() for _ in range(count)]
        for _ in range(count):
            self.skip(self.number("Q"))
        return count

    def value(self, in_full: bool) -> Any:
        kind = self.number("I")
        if kind in _SCALARS:
            return self.number(_SCALARS[kind])
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            return self.array(in_full)
        raise DamagedGguf(f"its header holds a value of unknown type {kind}")

    def tensor(self) -> GgufTensor:
        name = self.text()
        n_axes = self.number("I")
        if n_axes > 8:
            raise DamagedGguf(f"its table gives a tensor {n_axes} axes")
        shape = self.numbers(f"{n_axes}Q")
        kind, offset = self.numbers("IQ")
        return GgufTensor(name, shape, kind, offset)


def read_header(path: Path, in_full: Collection[str] = ()) -> GgufHeader:
    """The header of the GGUF file at `path`.

    Parameters
    ----------
    in_full: keys whose arrays of strings are wanted whole, such as "tokenizer.ggml.tokens".

    Raises
    ------
    DamagedGguf: no GGUF file, a version that cannot be read, or an end before the header's or the weights' end.
    """
    with path.open("rb") as file:
        if file.read(4) != MAGIC:
            raise DamagedGguf("it does not begin with the letters GGUF")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            header = _parse(_Cursor(data), frozenset(in_full))
            _check_length(header, len(data))
    return header


def _parse(cursor: _Cursor, in_full: Collection[str]) -> GgufHeader:
    cursor.skip(len(MAGIC))
    version, n_tensors, n_values = cursor.numbers("IQQ")
    if version not in VERSIONS:
        raise DamagedGguf(f"its version is {version}, and only versions 2 and 3 can be read")
    metadata = {}
    for _ in range(n_values):
        key = cursor.text()
        metadata[key] = cursor.value(key in in_full)
    tensors = tuple(cursor.tensor() for _ in range(n_tensors))
    alignment = metadata.get("general.alignment", 32) or 32
    return GgufHeader(metadata, tensors, -(-cursor.at // alignment) * alignment)


def _check_length(header: GgufHeader, length: int) -> None:
    from gguf.constants import GGML_QUANT_SIZES

    sizes = {int(kind): size for kind, size in GGML_QUANT_SIZES.items()}
    for tensor in header.tensors:
        per_block, bytes_per_block = sizes.get(tensor.kind, (1, 0))
        end = header.data_start + tensor.offset + prod(tensor.shape) // per_block * bytes_per_block
        if end > length:
            raise DamagedGguf(f"it holds {length:,} bytes where tensor {tensor.name!r} ends at byte {end:,}")
