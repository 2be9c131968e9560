"""The table of folders where models of one's own were last seen: part of what a cache knows about its machine.

Specs, keys and whatever is written out name such a model by the last part of its path. This table alone leads from that
name to folders, each with the identity of the files that lay there; it is never exported.
"""

from collections.abc import MutableMapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

MOST_FOLDERS = 16
"""Folders of one name that are remembered, those seen last."""


def without_folder(model: str) -> str:
    """A model's name as others may read it: of a path on this machine only the last part."""
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(model).is_absolute():
            return kind(model).name or "local model"
    return PurePosixPath(model).name if model.startswith("~") else model


def known(name: str, memo: MutableMapping[str, Any]) -> list[tuple[str, str]]:
    """Path and identity of the models that were seen under that name, the last seen first."""
    rows = memo.get(_entry(name))
    return [(path, identity) for path, identity in rows] if isinstance(rows, list) else []


def remember(path: Path, identity: str, memo: MutableMapping[str, Any]) -> None:
    """Keep where a model was seen, under the last part of its path."""
    row, before = (str(path), identity), known(path.name, memo)
    if row not in before[:1]:
        others = [one for one in before if one[0] != row[0]]
        memo[_entry(path.name)] = [list(one) for one in [row, *others][:MOST_FOLDERS]]


def _entry(name: str) -> str:
    return f"model:{name}"
