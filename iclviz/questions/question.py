"""What can be asked of recordings: an analysis by its name, the recordings' keys, and how it is done.

A decorator such as `of_recording` makes a function into an `Analysis`, under its own name among the public ones of
`iclviz.analysis`. Calling it computes, as before; its `of` makes a `Question`, which is data and may be answered by
another process, or have been answered before.
"""

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, update_wrapper
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from iclviz import extensions, schemas
from iclviz.errors import AnalysisError
from iclviz.maps import EffectMap, Made, Trace
from iclviz.questions.codec import flattened, raised
from iclviz.recording import Recording
from iclviz.spec import digest

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")

Recordings = Sequence[Recording]
Subjects = Sequence[Recording | Made]

LIBRARIES = ("numpy", "scipy", "scikit-learn")

SCHEMA = schemas.fields(
    {
        "analysis": schemas.text(200, 1),
        "keys": schemas.list_of(schemas.text(128, 1), 10_000),
        "how": schemas.table_of(schemas.plain(), 100),
    }
)

ROOM = "iclviz.analysis"
"""The package whose public names hold every analysis."""


@dataclass(frozen=True, eq=False)
class Question(Generic[T]):
    """An analysis of recordings that may be computed elsewhere, or has been before.

    Attributes
    ----------
    analysis: its name.
    keys: the keys of recordings and maps, in the analysis's order.
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

    def answered(self, recordings: Subjects) -> T:
        """Compute the answer from the recordings and maps of its keys.

        Raises
        ------
        AnalysisError: the recordings do not have what is asked for.
        """
        arguments = {name: raised(value, {}) for name, value in self.how.items()}
        return analysis_named(self.analysis).answer(recordings, arguments)  # type: ignore[no-any-return]


def analysis_named(name: str) -> "Analysis[Any, ..., Any]":
    """The analysis of that name.

    Raises
    ------
    ValueError: there is none.
    """
    found = getattr(importlib.import_module(ROOM), name, None)
    if not isinstance(found, Analysis):
        raise ValueError(f"{name} is no analysis that can be asked for")
    return found


@dataclass(frozen=True)
class Reading(Generic[S]):
    """How a question's recordings become the first argument of its analysis.

    Attributes
    ----------
    read: the argument, of the recordings in the order of the question's keys.
    python: the same as an expression, of the expressions that stand for the recordings.
    """

    read: Callable[[Sequence[Any]], S]
    python: Callable[[Sequence[str]], str]

    def __call__(self, compute: Callable[Concatenate[S, P], T]) -> "Analysis[S, P, T]":
        """Make a function of that argument an analysis under its own name: readings are used as decorators."""
        return Analysis(compute, self)


class Analysis(Generic[S, P, T]):
    """A function of what is made of recordings (its first argument) and of plain values, or dataclasses of them."""

    def __init__(self, compute: Callable[Concatenate[S, P], T], reading: Reading[S]) -> None:
        update_wrapper(self, compute)
        self.name, self.reading, self._compute = compute.__name__, reading, compute

    def __call__(self, subject: S, *given: P.args, **named: P.kwargs) -> T:
        """Compute it."""
        return self._compute(subject, *given, **named)

    def of(self, keys: Sequence[str], *given: P.args, **named: P.kwargs) -> Question[T]:
        """The question that asks it of the recordings with these keys."""
        bound = inspect.signature(self._compute).bind(keys, *given, **named)
        bound.apply_defaults()
        _, *arguments = bound.arguments.items()
        return Question(self.name, tuple(keys), {name: flattened(value, {}) for name, value in arguments})

    def answer(self, recordings: Subjects, arguments: Mapping[str, Any]) -> T:
        """Compute it of a question's recordings and arguments."""
        return self._compute(self.reading.read(recordings), **arguments)  # type: ignore[call-arg]


of_recording: Reading[Recording] = Reading(lambda recordings: recordings[0], lambda names: names[0])
"""Makes an analysis of one recording."""

of_recordings: Reading[Recordings] = Reading(lambda recordings: recordings, lambda names: f"[{', '.join(names)}]")
"""Makes an analysis of several recordings."""

of_map: Reading[tuple[EffectMap, Recording]] = Reading(
    lambda found: (found[0], found[1]), lambda names: f"({names[0]}, {names[1]})"
)
"""Makes an analysis of a map and the recording of its run."""

of_trace: Reading[tuple[Trace, Recording]] = Reading(
    lambda found: (found[0], found[1]), lambda names: f"({names[0]}, {names[1]})"
)
"""Makes an analysis of a trace and the recording of its run."""

of_subjects: Reading[Subjects] = Reading(lambda found: found, lambda names: f"[{', '.join(names)}]")
"""Makes an analysis of whatever was made of a model, in the order in which it is asked for."""

of_patch: Reading[tuple[EffectMap, Recording, Recording]] = Reading(
    lambda found: (found[0], found[1], found[2]), lambda names: f"({', '.join(names)})"
)
"""Makes an analysis of a map, the recording of its run, and that of the run from which something was put in place."""

by_key: Reading[Mapping[str, Recording]] = Reading(
    lambda recordings: {one.key: one for one in recordings},
    lambda names: f"{{run.key: run for run in [{', '.join(names)}]}}",
)
"""Makes an analysis of several recordings under names, for which their keys stand."""


@dataclass(frozen=True)
class Refusal:
    """The answer to a question that the recordings cannot answer: what is wrong, and what to do."""

    problem: str

    def error(self) -> AnalysisError:
        """The error that says so."""
        return AnalysisError(self.problem)


def analyses_version() -> str:
    """A digest of the analyses' own code, of the measures of one's own and of the libraries they compute with: other
    code, other answers.

    The analyses' code is that of the first call, about which `is_outdated` asks again. Files of one's own are run anew
    when they change, so theirs is that of now.
    """
    return f"{_version_read()} {_digest_of(extensions.files('measures'))}"


def is_outdated() -> bool:
    """Whether the analyses' code has changed on disk since this process read it."""
    return _version_on_disk() != _version_read()


@cache
def _version_read() -> str:
    return _version_on_disk()


def _version_on_disk() -> str:
    here = Path(__file__).parent
    sources = [*sorted(here.glob("*.py")), *sorted((here.parent / "analysis").rglob("*.py"))]
    return " ".join([_digest_of(sources), *map(version, LIBRARIES)])


def _digest_of(files: Iterable[Path]) -> str:
    content = blake2b(digest_size=8)
    for path in files:
        content.update(path.read_bytes())
    return content.hexdigest()
