"""Data of several kinds that people type: a kind and its fields, as one line, as a table, or made in Python.

    knock_out to=relevant layers=12-14

A kind is a frozen dataclass in a file of its own; the file's name is what it is called.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import lru_cache
from types import ModuleType
from typing import Any, ClassVar, Self, TypeVar

from iclviz import extensions
from iclviz.errors import SpecError, UserError, unknown
from iclviz.natural_units import runs_of

T = TypeVar("T", bound="Typed")

MOST_NUMBERS = 4096
"""Of blocks or heads that are named one by one."""

NUMBERS = ("layers", "heads")
"""Fields that are lists of numbers."""

_RANGES = re.compile(r"[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*")


@dataclass(frozen=True, kw_only=True)
class Typed:
    """Something of a kind: its fields decide all of it.

    A subclass has a `kind`, the name of its file, a `title`, an `example` as it is typed, and a `version`, raised when
    its numbers change and part of the keys of what is made with it.
    """

    kind: ClassVar[str]
    title: ClassVar[str]
    example: ClassVar[str]
    version: ClassVar[int] = 1

    def __str__(self) -> str:
        """The kind and its fields as they are typed."""
        values = {name: value for name, value in self.to_dict().items() if name != "kind"}
        return " ".join([self.kind, *(f"{name}={_typed(value)}" for name, value in values.items())])

    def to_dict(self) -> dict[str, Any]:
        """The kind and every field that is not as usual, as plain JSON values."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        said = {entry.name for entry in fields(self) if values[entry.name] != entry.default}
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        return {"kind": self.kind, **{name: plain[name] for name in plain if name in said}}

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """The one of this kind with these fields.

        Raises
        ------
        SpecError: a field is missing, unknown or impossible.
        """
        known = {entry.name: entry for entry in fields(cls)}
        for name in values:
            if name not in known:
                raise unknown(SpecError, f"field of {cls.kind}", name, list(known))
        for name, entry in known.items():
            if name not in values and entry.default is MISSING:
                raise SpecError(f"The field {name} of {cls.kind} is missing.", f"Give the {name}.")
        return cls(**values)


@dataclass(frozen=True)
class Kinds:
    """The kinds of something.

    Attributes
    ----------
    package: whose modules, and those of one's own, hold one each; attribute: under which name.
    base: what each is a subclass of.
    what: what one is called, and example: how one is typed.
    """

    package: str
    attribute: str
    base: type[Typed]
    what: str
    example: str

    def all(self) -> Mapping[str, type[Any]]:
        """Every kind by its name.

        Raises
        ------
        UserError: a file of one's own has none, or one that does not fit.
        """
        return _by_name(self, tuple(extensions.modules(self.package)))

    def read(self, value: Any) -> Any:
        """The one that a table with its kind and fields means, or a line; one that is given stays itself.

        Raises
        ------
        SpecError: no such kind, or a field that is missing, unknown or impossible.
        """
        if isinstance(value, self.base):
            return value
        if isinstance(value, str):
            value = _read(value)
        if not isinstance(value, Mapping) or not isinstance(value.get("kind"), str):
            raise SpecError(
                f"{value!r} is no {self.what}.", f'Write it as "{self.example}", or as a table with these fields.'
            )
        known = self.all()
        if value["kind"] not in known:
            raise unknown(SpecError, self.what, value["kind"], list(known))
        return known[value["kind"]].from_values({name: one for name, one in value.items() if name != "kind"})


@lru_cache(maxsize=8)
def _by_name(kinds: Kinds, modules: tuple[ModuleType, ...]) -> Mapping[str, type[Any]]:
    found: dict[str, type[Any]] = {}
    for module in modules:
        kind: Any = getattr(module, kinds.attribute, None)
        fits = isinstance(kind, type) and issubclass(kind, kinds.base) and isinstance(getattr(kind, "kind", None), str)
        if not fits or kind.kind in found:
            raise UserError(
                f"The {kinds.what} of {extensions.called(module)} does not fit: it has no {kinds.attribute} with a "
                "kind of its own.",
                f"Set {kinds.attribute} to a subclass of {kinds.base.__name__}.",
            )
        found[kind.kind] = kind
    return found


def numbers(name: str, value: Any, least: int) -> tuple[int, ...] | None:
    """Numbers from `least`, each once and in order; None stays.

    Raises
    ------
    SpecError: the value is no such list.
    """
    if value is None:
        return None
    values = [value] if isinstance(value, int) else value
    remedy = f"Give {name} as whole numbers from {int(least)}."
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise SpecError(f"{name} = {value!r} is no list of numbers.", remedy)
    for one in values:
        if isinstance(one, bool) or not isinstance(one, int) or one < least:
            raise SpecError(f"{name} holds {one!r}.", remedy)
    return tuple(sorted(set(values)))


def check_whole(name: str, value: Any, least: int, most: int) -> None:
    """Refuse what is no whole number from least to most.

    Raises
    ------
    SpecError: so.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise SpecError(f"{name} = {value!r} does not fit.", f"Take a whole number from {least} to {most:,}.")


def check_choice(name: str, value: Any, known: Sequence[str]) -> None:
    """Refuse what is none of a few names.

    Raises
    ------
    SpecError: so.
    """
    if value not in known:
        raise unknown(SpecError, f"value of {name}", value, list(known))


def listed(what: str, several: Sequence[int]) -> str:
    """Numbers in words, runs of them as ranges."""
    if not several:
        return f"no {what}"
    said = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs_of(several))
    return f"{what} {said}" if len(several) == 1 else f"{what}s {said}"


def _read(text: str) -> dict[str, Any] | None:
    """The table that a line means; None where it is none."""
    kind, *parts = text.split() or [""]
    pairs = [part.partition("=") for part in parts]
    if not all(between for _, between, _ in pairs):
        return None
    return {"kind": kind, **{name: _value(name, value) for name, _, value in pairs}}


def _value(name: str, value: str) -> Any:
    if name in NUMBERS and _RANGES.fullmatch(value):
        ends = [[int(one) for one in part.split("-")] for part in value.split(",")]
        if any(each[-1] < each[0] for each in ends):
            raise SpecError(f"{name} = {value} runs backwards.", "Write the smaller number first.")
        if sum(each[-1] - each[0] for each in ends) > MOST_NUMBERS:
            raise SpecError(f"{name} = {value} are too many.", f"Name {MOST_NUMBERS} or fewer.")
        return [number for each in ends for number in range(each[0], each[-1] + 1)]
    if name in NUMBERS and value == "none":
        return []
    try:
        return json.loads(value)
    except ValueError:
        return value


def _typed(value: Any) -> str:
    if not isinstance(value, list):
        return str(value)
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs_of(value)) or "none"
