"""Results of analyses as one file: a line with format number and checksum, then safetensors, in which everything that
is no array is JSON beside them.

A result is a frozen dataclass of an analysis, an array, a text, a number, None, or a tuple, list or table of such.
Nothing is unpickled: a file can name no other class than those dataclasses.
"""

import hashlib
import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from iclviz.errors import AnalysisError
from iclviz.formats import Format, unchanged
from iclviz.schemas import MisfitError, parsed

ROOMS = ("iclviz.analysis.", "iclviz.questions.", "iclviz.contrasts", "iclviz.natural_units")
FORMAT = Format("answer", (unchanged,))
_TREE = "tree"


def encode(result: Any) -> bytes:
    """The file of a result.

    Raises
    ------
    AnalysisError: a dataclass in it is none of iclviz's, so that `decode` would refuse it.
    """
    arrays: dict[str, Any] = {}
    tree = json.dumps(flattened(result, arrays)).encode()
    body = bytes(save({**arrays, _TREE: np.frombuffer(tree, np.uint8)}))
    return _head(body) + b"\n" + body


def _head(body: bytes) -> bytes:
    return json.dumps(FORMAT.numbered({"checksum": hashlib.blake2b(body, digest_size=16).hexdigest()})).encode()


def decode(file: bytes) -> Any:
    """The result in a file; its arrays cannot be written to.

    Raises
    ------
    NewerError: it is of a newer format.
    ValueError: it is damaged, or names what is no result.
    """
    head, _, body = file.partition(b"\n")
    if head != _head(body):
        FORMAT.current(parsed(head, "the answer"))
        raise MisfitError("the answer has other bytes than were written")
    try:
        arrays = load(body)
        tree = parsed(arrays.pop(_TREE).tobytes(), "the answer")
        for values in arrays.values():
            values.setflags(write=False)
        return raised(tree, arrays)
    except (SafetensorError, KeyError, TypeError, AttributeError, RecursionError, ImportError) as error:
        raise MisfitError(f"the answer is none ({error})") from error


def flattened(value: Any, arrays: dict[str, Any]) -> Any:
    """A value as plain JSON; its numeric arrays go into `arrays`. Raises as `encode`."""
    if is_dataclass(value) and not isinstance(value, type):
        if not type(value).__module__.startswith(ROOMS):
            raise AnalysisError(
                f"A result of the class {type(value).__name__} cannot be kept.",
                "Give one of a class of iclviz.analysis, such as ByLayer.",
            )
        parts = {one.name: flattened(getattr(value, one.name), arrays) for one in fields(value)}
        return {"class": f"{type(value).__module__}:{type(value).__name__}", "fields": parts}
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biuf":
            return {"words": value.tolist()}
        arrays[str(len(arrays))] = np.ascontiguousarray(value)
        return {"array": str(len(arrays) - 1)}
    if isinstance(value, Mapping):
        return {"table": [[flattened(one, arrays) for one in entry] for entry in value.items()]}
    if isinstance(value, tuple | list):
        return {type(value).__name__: [flattened(one, arrays) for one in value]}
    return value.item() if isinstance(value, np.generic) else value


def raised(tree: Any, arrays: Mapping[str, Any]) -> Any:
    """The value that `flattened` laid out.

    Raises
    ------
    ValueError: it names what is no result.
    """
    if not isinstance(tree, dict):
        return tree
    ((kind, content),) = [entry for entry in tree.items() if entry[0] != "fields"]
    if kind == "class":
        return _class(content)(**{name: raised(part, arrays) for name, part in tree["fields"].items()})
    return _RAISE[kind](content, arrays)


_RAISE: dict[str, Callable[[Any, Mapping[str, Any]], Any]] = {
    "array": lambda name, arrays: arrays[name],
    "words": lambda words, arrays: np.asarray(words),
    "table": lambda entries, arrays: dict([raised(one, arrays) for one in entry] for entry in entries),
    "tuple": lambda values, arrays: tuple(raised(one, arrays) for one in values),
    "list": lambda values, arrays: [raised(one, arrays) for one in values],
}


def _class(name: str) -> Any:
    module, _, title = name.partition(":")
    found = getattr(importlib.import_module(module), title, None) if module.startswith(ROOMS) else None
    if not (isinstance(found, type) and is_dataclass(found)):
        raise ValueError(f"{name} is no result of an analysis")
    return found
