"""What can be asked of recordings: an analysis by its name, the recordings' keys, and how it is done.

`@analysis` makes a function of recordings into an `Analysis`, found by its name. Its `of` makes a `Question`, which is
data; calling it computes.
"""

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from iclviz import schemas
from iclviz.errors import AnalysisError
from iclviz.questions.codec import flattened, raised
from iclviz.recording import Recording
from iclviz.spec import digest

P = ParamSpec("P")
T = TypeVar("T")

Recordings = Sequence[Recording]

LIBRARIES = ("numpy", "scipy", "scikit-learn")

SCHEMA = schemas.fields(
    {
        "analysis": schemas.text(200, 1),
        "keys": schemas.list_of(schemas.text(128, 1), 10_000),
        "how": schemas.table_of(schemas.plain(), 100),
    }
)

ANALYSES: dict[str, "Analysis[Any, Any]"] = {}
"""Name -> analysis; filled by the decorator."""


@dataclass(frozen=True, eq=False)
class Question(Generic[T]):
    """An analysis of recordings that may be computed elsewhere, or has been before.

    Attributes
    ----------
    analysis: its name.
    keys: the recordings' keys, in the analysis's order.
    how: its further arguments, name -> plain JSON.
    """

    analysis: str
    keys: tuple[str, ...]
    how: Mapping[str, Any]

    @cached_property
    def digest(self) -> str:
        """What tells it from any other question, and from the same one to another version of the analyses."""
        return digest({**self.to_dict(), "version": analyses_version()})

    @property
    def n_items(self) -> int:
        """Steps are not known before it is computed."""
        return 0

    def to_dict(self) -> dict[str, Any]:
        """The question as plain JSON values."""
        return {"analysis": self.analysis, "keys": list(self.keys), "how": dict(self.how)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Question[T]":
        """The question that `to_dict` wrote.

        Raises
        ------
        MisfitError: these are no such values.
        """
        SCHEMA(values)
        return cls(values["analysis"], tuple(values["keys"]), values["how"])

    def answered(self, recordings: Recordings) -> T:
        """Compute the answer from the recordings of its keys.

        Raises
        ------
        AnalysisError: the recordings do not have what is asked for.
        """
        importlib.import_module("iclviz.questions.analyses")
        arguments = {name: raised(value, {}) for name, value in self.how.items()}
        return ANALYSES[self.analysis].compute(recordings, **arguments)  # type: ignore[no-any-return]


@dataclass(frozen=True, eq=False)
class Analysis(Generic[P, T]):
    """A function of recordings and of plain values, or dataclasses of them."""

    name: str
    compute: Callable[Concatenate[Recordings, P], T]

    def of(self, keys: Sequence[str], *given: P.args, **named: P.kwargs) -> Question[T]:
        """The question that asks it of the recordings with these keys."""
        bound = inspect.signature(self.compute).bind(keys, *given, **named)
        bound.apply_defaults()
        _, *arguments = bound.arguments.items()
        return Question(self.name, tuple(keys), {name: flattened(value, {}) for name, value in arguments})


def analysis(compute: Callable[Concatenate[Recordings, P], T]) -> Analysis[P, T]:
    """Make a function of recordings into an analysis under its own name."""
    made = Analysis(compute.__name__, compute)
    ANALYSES[made.name] = made
    return made


@dataclass(frozen=True)
class Refusal:
    """The answer to a question that the recordings cannot answer: what is wrong, and what to do."""

    problem: str

    def error(self) -> AnalysisError:
        """The error that says so."""
        return AnalysisError(self.problem)


@cache
def analyses_version() -> str:
    """A digest of the analyses' own code and of the libraries they compute with: other code, other answers.

    It is that of the first call, about which `is_outdated` asks again.
    """
    return _version_on_disk()


def is_outdated() -> bool:
    """Whether the analyses' code has changed on disk since this process read it."""
    return _version_on_disk() != analyses_version()


def _version_on_disk() -> str:
    here = Path(__file__).parent
    sources = blake2b(digest_size=8)
    for path in [here / "analyses.py", here / "codec.py", *sorted((here.parent / "analysis").rglob("*.py"))]:
        sources.update(path.read_bytes())
    return " ".join([sources.hexdigest(), *map(version, LIBRARIES)])
