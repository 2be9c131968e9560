"""Parts that are found: every module of a package, and the files in folders of one's own.

`$ICLVIZ_EXTENSIONS` names such folders, separated as in `$PATH`. A folder has one folder for each kind of part, called
as the package is that holds this kind: `measures`, `recorders`, `tasks`, `presets`, `executors`, `pages`. What lies
there is a part as if it lay in the package; it is code that runs whenever the program does.
"""

import importlib
import importlib.util
import os
import pkgutil
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache, wraps
from hashlib import blake2b
from pathlib import Path
from types import ModuleType
from typing import Generic, ParamSpec, TypeVar

from iclviz.errors import UserError
from iclviz.places import dashboard_folder

P = TypeVar("P")
Q = ParamSpec("Q")
R = TypeVar("R")

SETTING = "ICLVIZ_EXTENSIONS"
_PREFIX = "iclviz_extensions_"
"""How the names of modules begin that are files of one's own."""


@dataclass(frozen=True)
class Parts(Generic[P]):
    """Parts of one kind.

    Attributes
    ----------
    found: the parts by name.
    problems: why the files of one's own of those names give none.
    """

    found: dict[str, P]
    problems: dict[str, UserError]


def folders() -> tuple[Path, ...]:
    """The folders of one's own, in the order in which they are named."""
    named = os.environ.get(SETTING, "").split(os.pathsep)
    return tuple(dict.fromkeys(Path(one).expanduser().resolve() for one in named if one.strip()))


def files(kind: str) -> list[Path]:
    """The files of one's own for a kind of part, by folder and name; one that begins with _ is a helper of others."""
    return [path for folder in folders() for path in sorted((folder / kind).glob("*.py")) if path.name[0] not in "_."]


def page_files() -> list[Path]:
    """The files of the dashboard's pages by name, then those of one's own."""
    return [*sorted((dashboard_folder() / "pages").glob("*.py")), *files("pages")]


def modules(package: str) -> list[ModuleType]:
    """The modules of a package by name, then those of one's own for the kind of part that it is called after.

    Raises
    ------
    UserError: a file of one's own cannot be run.
    """
    return [*inside(package), *(module(path) for path in files(package.rpartition(".")[2]))]


@cache
def inside(package: str) -> tuple[ModuleType, ...]:
    """The modules of a package by name."""
    here = importlib.import_module(package)
    return tuple(importlib.import_module(f"{package}.{one.name}") for one in pkgutil.iter_modules(here.__path__))


def parts(kind: str, known: Mapping[str, P], of: Callable[[ModuleType], Mapping[str, P]]) -> Parts[P]:
    """The known parts and those of the files of one's own, by name; a file that is at fault takes nothing else away.

    of: the parts that a module gives, by name.
    """
    every: Parts[P] = Parts(dict(known), {})
    for path in files(kind):
        try:
            every.found.update(_new(path, of, every.found))
        except UserError as error:
            every.problems[path.stem] = error
    return every


def _new(path: Path, of: Callable[[ModuleType], Mapping[str, P]], known: Mapping[str, P]) -> Mapping[str, P]:
    made = module(path)
    try:
        found = of(made)
    except Exception as error:
        raise _unusable(path, error) from error
    taken = sorted(found.keys() & known.keys())
    if taken:
        raise UserError(
            f"The extension {path.name} in {path.parent} is called {taken[0]}, as another is.", "Give it another name."
        )
    if not found:
        raise UserError(f"The extension {path.name} in {path.parent} holds nothing of its kind.", "Mend it.")
    return found


def module(path: Path) -> ModuleType:
    """The module of a file of one's own, run anew when the file has changed.

    Raises
    ------
    UserError: it cannot be run, or no module can be called so.
    """
    if not path.stem.isidentifier():
        raise UserError(
            f"The extension {path.name} in {path.parent} cannot be run: {path.stem!r} is no Python name.",
            f"Call it {re.sub(r'[^a-z0-9]+', '_', path.stem.lower()).strip('_') or 'mine'}.py.",
        )
    try:
        return _module(path, path.read_bytes())
    except Exception as error:
        raise _unusable(path, error) from error


def is_own(module: ModuleType) -> bool:
    """Whether it is a file of one's own."""
    return module.__name__.startswith(_PREFIX)


def home(part: object) -> Path | None:
    """The file of one's own that defines the class of a part; None where it is the program's own."""
    module = sys.modules[type(part).__module__]
    return Path(str(module.__file__)) if is_own(module) else None


def called(module: ModuleType) -> str:
    """What readers call a module that holds a part: its file, and its folder where it is one's own."""
    path = Path(str(module.__file__))
    return f"{path.name} in {path.parent}" if is_own(module) else path.name


def fault(error: Exception) -> str:
    """What went wrong in code of one's own, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def telling(
    method: Callable[Q, R], kind: type[UserError], what: str, passes: Callable[[Exception], bool] = lambda error: False
) -> Callable[Q, R]:
    """A method of one's own whose faults are told as an error of that kind, which begins with these words.

    passes: which faults others wait for and know what to do with, besides errors that are sentences already.
    """

    @wraps(method)
    def call(*arguments: Q.args, **named: Q.kwargs) -> R:
        try:
            return method(*arguments, **named)
        except UserError:
            raise
        except Exception as error:
            if passes(error):
                raise
            raise kind(f"{what} ({fault(error)}).", "Mend it or take it away.") from error

    return call


def _unusable(path: Path, error: Exception) -> UserError:
    return UserError(
        f"The extension {path.name} in {path.parent} cannot be run ({fault(error)}).", "Mend it or take it away."
    )


@lru_cache(maxsize=256)
def _module(path: Path, content: bytes) -> ModuleType:
    """A module under a name that no other file and no other content of it has."""
    name = f"{_PREFIX}{blake2b(str(path).encode() + content, digest_size=8).hexdigest()}.{path.stem}"
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
