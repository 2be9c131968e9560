"""What can be done to a model while it reads: for each kind of intervention where it acts, what it changes, what it
needs and how it reads in a sentence.

A kind is one file of `iclviz/interventions`, or of a folder of one's own, whose `INTERVENTION` is a subclass of
`Intervention`. An intervention is data: part of the spec of a run, and of its key. Torch is met in `change` alone.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeGuard

from iclviz import extensions
from iclviz.errors import SpecError, UserError, unknown
from iclviz.natural_units import runs_of
from iclviz.spans import ANSWER, DEMONSTRATION, ROLES

if TYPE_CHECKING:
    import torch

PACKAGE = "iclviz.interventions"

Part = Literal["scores", "weights", "heads", "attention", "mlp", "block", "state"]
"""What of a block is changed: attention scores before the softmax, weights after it, what each head hands to the output
projection, the output of attention, that of the MLP, what the block adds to the stream, the stream behind it.
"""

BY_HEAD: frozenset[Part] = frozenset({"scores", "weights", "heads"})
ROWS = ("last", "response", "query", "all")
"""Where one acts, besides roles and marks: the last prompt token and all after it; those after it alone; the query's
tokens up to the last prompt token; every token.
"""

MARK = re.compile(rf"({ANSWER}|{DEMONSTRATION}):(\*|0|[1-9][0-9]*)")
MOST_NUMBERS = 4096
"""Of blocks or heads that are named one by one."""

_WORDS = {
    "last": "the last prompt token",
    "response": "the response",
    "query": "the query",
    "all": "every token",
}


_ALL_OF = {ANSWER: "the demonstrations' answers", DEMONSTRATION: "the demonstrations"}


@dataclass(frozen=True, eq=False)
class At:
    """Where something is changed.

    Attributes
    ----------
    layer: the block, from 1; 0 are the embeddings.
    prompts: (n,) the prompt of each row.
    columns: (n, 1, K) whether a key is one of those that attention is changed to; None of parts that have none.
    """

    layer: int
    prompts: "torch.Tensor"
    columns: "torch.Tensor | None" = None


@dataclass(frozen=True, kw_only=True)
class Intervention:
    """Something that is done to a model while it reads.

    Attributes
    ----------
    layers: blocks from 1 in which it acts; None is all.
    heads: heads from 0, of parts that have heads; None is all.
    rows: where it acts: one of `ROWS`, a role, or a mark such as answer:3 or answer:* (all of a kind).

    A subclass has also a `kind`, the name of its file, a `title`, an `example` as it is typed, and a `version`, raised
    when its numbers change and part of the key of its runs.
    """

    kind: ClassVar[str]
    title: ClassVar[str]
    example: ClassVar[str]
    version: ClassVar[int] = 1
    rows: str = "last"
    layers: tuple[int, ...] | None = None
    heads: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("layers", "heads"):
            object.__setattr__(self, name, _numbers(name, getattr(self, name), least=name == "layers"))
        if self.heads is not None and self.part not in BY_HEAD:
            raise SpecError(f"{self.title} acts on no heads.", "Leave heads out.")
        check_place(self.rows)

    @property
    def part(self) -> Part:
        """What of a block it changes."""
        raise NotImplementedError

    @property
    def columns(self) -> str | None:
        """The place to which attention is changed, None of parts that have none."""
        return None

    def change(self, values: "torch.Tensor", at: At) -> "torch.Tensor":
        """The values of n rows instead of these: (n, H, K) of scores and weights, (n, H, D) of heads, else (n, d)."""
        raise NotImplementedError

    def sentence(self) -> str:
        """What is done, as the end of a sentence that begins with "with"."""
        raise NotImplementedError

    @property
    def short(self) -> str:
        """The same in as few words as tell it from others, for a legend."""
        raise NotImplementedError

    def __str__(self) -> str:
        """The kind and its fields as they are typed: knock_out to=relevant layers=12-14."""
        values = {name: value for name, value in self.to_dict().items() if name != "kind"}
        return " ".join([self.kind, *(f"{name}={_typed(value)}" for name, value in values.items())])

    def where(self) -> str:
        """Heads and blocks, in words."""
        heads = "" if self.heads is None else f"{_listed('head', self.heads)} of "
        return heads + ("all blocks" if self.layers is None else _listed("block", self.layers))

    def to_dict(self) -> dict[str, Any]:
        """The kind and every field that is not as usual, as plain JSON values."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        said = {entry.name for entry in fields(self) if values[entry.name] != entry.default}
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        return {"kind": self.kind, **{name: plain[name] for name in plain if name in said}}

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """The intervention of this kind with these fields.

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


@dataclass(frozen=True, kw_only=True)
class OnAttention(Intervention):
    """An intervention on attention to a place.

    Attributes
    ----------
    to: the place to whose keys attention is changed.
    """

    to: str

    def __post_init__(self) -> None:
        super().__post_init__()
        check_place(self.to)

    @property
    def columns(self) -> str:
        """The keys to which attention is changed."""
        return self.to


def intervention(value: Any) -> Intervention:
    """The intervention that a table with its kind and fields means, or a text such as "knock_out to=relevant
    layers=12-14"; one that is given stays itself.

    Raises
    ------
    SpecError: no such kind, or a field that is missing, unknown or impossible.
    """
    if isinstance(value, Intervention):
        return value
    if isinstance(value, str):
        value = _read(value)
    if not isinstance(value, Mapping) or not isinstance(value.get("kind"), str):
        example = 'Write it as "knock_out to=relevant layers=12-14", or as a table with these fields.'
        raise SpecError(f"{value!r} is no intervention.", example)
    known = kinds()
    if value["kind"] not in known:
        raise unknown(SpecError, "intervention", value["kind"], list(known))
    return known[value["kind"]].from_values({name: one for name, one in value.items() if name != "kind"})


def shortly(interventions: Sequence[Intervention]) -> str:
    """What is done to a model, for a legend; "" where nothing is."""
    return "; ".join(one.short for one in interventions)


def kinds() -> Mapping[str, type[Intervention]]:
    """Every kind of intervention by its name.

    Raises
    ------
    UserError: a file of one's own has none, or one that does not fit.
    """
    return _by_name(tuple(extensions.modules(PACKAGE)))


@lru_cache(maxsize=8)
def _by_name(modules: tuple[ModuleType, ...]) -> Mapping[str, type[Intervention]]:
    found: dict[str, type[Intervention]] = {}
    for module in modules:
        kind = getattr(module, "INTERVENTION", None)
        if not _fits(kind) or kind.kind in found:
            raise UserError(
                f"The intervention of {extensions.called(module)} does not fit: it has no INTERVENTION with a kind of "
                "its own.",
                "Set INTERVENTION to a subclass of Intervention.",
            )
        found[kind.kind] = kind
    return found


def _fits(kind: Any) -> TypeGuard[type[Intervention]]:
    return isinstance(kind, type) and issubclass(kind, Intervention) and isinstance(getattr(kind, "kind", None), str)


def check_place(name: Any) -> None:
    """Refuse what names no place.

    Raises
    ------
    SpecError: so; it says which there are.
    """
    if not isinstance(name, str) or (name not in (*ROWS, *ROLES) and not MARK.fullmatch(name)):
        raise unknown(SpecError, "place", name, [*ROWS, *ROLES, f"{ANSWER}:*", f"{DEMONSTRATION}:*"])


def place_words(name: str) -> str:
    """A place, inside a sentence."""
    found = MARK.fullmatch(name)
    if found is None:
        return _WORDS.get(name, f"{name} text")
    kind, number = found.groups()
    return _ALL_OF[kind] if number == "*" else f"{kind} {int(number) + 1}"


_RANGES = re.compile(r"[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*")


def _read(text: str) -> dict[str, Any] | None:
    """The table that a text means; None where it is none."""
    kind, *parts = text.split() or [""]
    pairs = [part.partition("=") for part in parts]
    if not all(between for _, between, _ in pairs):
        return None
    return {"kind": kind, **{name: _value(name, value) for name, _, value in pairs}}


def _value(name: str, value: str) -> Any:
    if name in ("layers", "heads") and _RANGES.fullmatch(value):
        ends = [[int(one) for one in part.split("-")] for part in value.split(",")]
        if any(each[-1] < each[0] for each in ends):
            raise SpecError(f"{name} = {value} runs backwards.", "Write the smaller number first.")
        if sum(each[-1] - each[0] for each in ends) > MOST_NUMBERS:
            raise SpecError(f"{name} = {value} are too many.", f"Name {MOST_NUMBERS} or fewer.")
        return [number for each in ends for number in range(each[0], each[-1] + 1)]
    if name in ("layers", "heads") and value == "none":
        return []
    try:
        return json.loads(value)
    except ValueError:
        return value


def _typed(value: Any) -> str:
    if not isinstance(value, list):
        return str(value)
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs_of(value)) or "none"


def _numbers(name: str, value: Any, least: int) -> tuple[int, ...] | None:
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


def _listed(what: str, numbers: Sequence[int]) -> str:
    """Numbers in words, runs of them as ranges."""
    if not numbers:
        return f"no {what}"
    said = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs_of(numbers))
    return f"{what} {said}" if len(numbers) == 1 else f"{what}s {said}"
