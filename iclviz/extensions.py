"""Parts that are found: every module of a package, and the files in folders of one's own.

`$ICLVIZ_EXTENSIONS` names such folders, separated as in `$PATH`. A folder has one folder for each kind of part, called
as the package is that holds this kind: `measures`, `recorders`, `tasks`, `presets`, `executors`, `pages`. What lies
there is a part as if it lay in the package; it is code that runs whenever the program does.
"""

import importlib
import importlib.util
import os
import pkgutil
import sys
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from types import ModuleType

from iclviz.errors import UserError

SETTING = "ICLVIZ_EXTENSIONS"


def folders() -> tuple[Path, ...]:
    """The folders of one's own, in the order in which they are named."""
    named = os.environ.get(SETTING, "").split(os.pathsep)
    return tuple(dict.fromkeys(Path(one).expanduser().resolve() for one in named if one.strip()))


def files(kind: str) -> list[Path]:
    """The files of one's own for a kind of part, by folder and name."""
    return [path for folder in folders() for path in sorted((folder / kind).glob("*.py")) if path.stem.isidentifier()]


def modules(package: str) -> list[ModuleType]:
    """The modules of a package by name, then those of one's own for the kind of part that it is called after.

    Raises
    ------
    UserError: a file of one's own cannot be run.
    """
    here = importlib.import_module(package)
    own = [importlib.import_module(f"{package}.{one.name}") for one in pkgutil.iter_modules(here.__path__)]
    return own + [module(path) for path in files(package.rpartition(".")[2])]


def module(path: Path) -> ModuleType:
    """The module of a file of one's own, run anew when the file has changed.

    Raises
    ------
    UserError: it cannot be run.
    """
    try:
        return _module(path, path.read_bytes())
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(
            f"The extension {path.name} in {path.parent} cannot be run ({reason}).", "Mend it or take it away."
        ) from error


@lru_cache(maxsize=256)
def _module(path: Path, content: bytes) -> ModuleType:
    """A module under a name that no other file and no other content of it has."""
    name = f"iclviz_extensions_{blake2b(str(path).encode() + content, digest_size=8).hexdigest()}.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    try:
        spec.loader.exec_module(made)
    except BaseException:
        del sys.modules[name]
        raise
    return made
