"""Where a store's files lie, by `$ICLVIZ_STORAGE`: the cache folder, a folder that machines share, or a URL."""

import os
from collections.abc import Sequence
from pathlib import Path

from iclviz.errors import StoreError
from iclviz.storage import Storage
from iclviz.storage.folder import FolderStorage

SETTING, PATIENCE_SETTING = "ICLVIZ_STORAGE", "ICLVIZ_STORAGE_PATIENCE"
MIRROR = "copies"
"""The folder in the cache of what was read from a storage elsewhere."""


def storage_address() -> str:
    """What `$ICLVIZ_STORAGE` says; "" where it says nothing."""
    return os.environ.get(SETTING, "").strip()


def named_storage(cache: Path, groups: Sequence[str]) -> Storage:
    """The storage that `$ICLVIZ_STORAGE` names; without it, the cache folder.

    Raises
    ------
    StoreError: nothing can be kept there.
    """
    return storage_at(storage_address(), cache, groups) or FolderStorage(cache, groups)


def storage_at(address: str, cache: Path, groups: Sequence[str]) -> Storage | None:
    """The storage at an address that machines share, with its copies in a cache; None for none.

    Raises
    ------
    StoreError: nothing can be kept there.
    """
    if "://" in address and not address.startswith("file://"):
        from iclviz.storage.shared import SharedStorage  # loads fsspec and its networking, which a folder does without

        return SharedStorage(address, cache / MIRROR, groups)
    if not address:
        return None
    folder = Path(address.removeprefix("file://")).expanduser()
    if not folder.is_absolute():
        raise StoreError(f"ICLVIZ_STORAGE = {address!r} is no whole path.", "Name a folder from / on, or a URL.")
    return FolderStorage(folder, groups, is_shared=True)
