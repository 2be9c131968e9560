"""What can be done to a model while it reads: for each kind of intervention where it acts, what it changes, what it
needs and how it reads in a sentence.

A kind is one file of `iclviz/interventions`, or of a folder of one's own, whose `INTERVENTION` is a subclass of
`Intervention`. An intervention is data: part of the spec of a run, and of its key. Torch is met in `change` alone.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from iclviz.errors import SpecError, unknown
from iclviz.spans import ANSWER, DEMONSTRATION, ROLES
from iclviz.typed import Kinds, Typed, check_whole, listed, numbers

if TYPE_CHECKING:
    import torch

    from iclviz.capture.acting import DonorValues, Likes

Part = Literal["scores", "weights", "heads", "attention", "mlp", "block", "state"]
"""What of a block is changed: attention scores before the softmax, weights after it, what each head hands to the output
projection, the output of attention, that of the MLP, what the block adds to the stream, the stream behind it.
"""

Need = Literal["same", "another", "all", "folds"]
"""Donors: the same item; another one, of another group; all items of other groups, of which the mean is taken; all
items of other folds of groups, on whose labelled values something is fitted.
"""

BY_HEAD: frozenset[Part] = frozenset({"scores", "weights", "heads"})
ROWS = ("last", "response", "query", "all")
"""Where one acts, besides roles and marks: the last prompt token and all after it; those after it alone; the query's
tokens up to the last prompt token; every token.
"""

MARK = re.compile(rf"({ANSWER}|{DEMONSTRATION}):(\*|0|[1-9][0-9]*)")
MOST_DRAWS = 1_000_000
RANDOM = re.compile(r"random:(0|[1-9][0-9]{0,8}):(.+)")
"""As many other tokens as a place has, drawn from the rest of the prompt: random:0:relevant is the first draw."""

_WORDS = {
    "last": "the last prompt token",
    "response": "the response",
    "query": "the query",
    "all": "every token",
}


_ALL_OF = {ANSWER: "the demonstrations' answers", DEMONSTRATION: "the demonstrations"}


@dataclass(frozen=True)
class LabelAsked:
    """A label on which something is fitted.

    Attributes
    ----------
    name: one of the task's labels.
    permuted: the number of a permutation of it; None = as it is.
    to: the class that is told from all others; "" = every class, or the number.
    """

    name: str
    permuted: int | None = None
    to: str = ""


@dataclass(frozen=True)
class Target:
    """Where an item's label is moved to.

    Attributes
    ----------
    label: one of the task's labels.
    to: the class, or the number, for all items; "" = another one for each.
    of_candidates: where `to` is "", whether it is the class whose right answer is another candidate of the item: the
        candidate 1 + draw, going round; else another class.
    draw: which one.
    """

    label: str
    to: str
    of_candidates: bool
    draw: int


@dataclass(frozen=True, eq=False)
class At:
    """Where something is changed.

    Attributes
    ----------
    layer: the block, from 1; 0 are the embeddings.
    prompts: (n,) the prompt of each row.
    columns: (n, 1, K) whether a key is one of those that attention is changed to; None of parts that have none.
    donor: the values that the same places have in the donors' prompts, of the shape of those that are changed; None of
        kinds that need none.
    target: (n, c) what labels are moved to, as numbers; None of kinds that move none.
    """

    layer: int
    prompts: "torch.Tensor"
    columns: "torch.Tensor | None" = None
    donor: "torch.Tensor | None" = None
    target: "torch.Tensor | None" = None


@dataclass(frozen=True, kw_only=True)
class Intervention(Typed):
    """Something that is done to a model while it reads.

    Attributes
    ----------
    layers: blocks from 1 in which it acts; None is all.
    heads: heads from 0, of parts that have heads; None is all.
    rows: where it acts: one of `ROWS`, a role, or a mark such as answer:3 or answer:* (all of a kind).
    """

    rows: str = "last"
    layers: tuple[int, ...] | None = None
    heads: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("layers", "heads"):
            object.__setattr__(self, name, numbers(name, getattr(self, name), least=name == "layers"))
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

    @property
    def needs(self) -> Need | None:
        """Whose values it takes, None of kinds that need none."""
        return None

    @property
    def against(self) -> Mapping[str, Any] | None:
        """The demonstrations under which those are read, as fields of them; None = those of the run itself."""
        return None

    @property
    def read(self) -> tuple[Part, tuple[int, ...] | None]:
        """The part of which donors' values are kept, and the blocks; those that it changes unless a kind says so."""
        return self.part, self.layers

    @property
    def labels(self) -> LabelAsked | None:
        """The label of the donors on which it is fitted; None of kinds that are fitted on none."""
        return None

    @property
    def target(self) -> Target | None:
        """Where a label is moved to; None of kinds that move none."""
        return None

    @property
    def as_fitted(self) -> "Intervention":
        """What stands for all that is fitted alike."""
        return self

    def fitted(self, states: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
        """What stands in `At.donor` of each row: fitted on states (m, d) and what their labels are (m, c)."""
        raise NotImplementedError

    def donated(self, held: "DonorValues", layer: int, likes: "Likes") -> "torch.Tensor":
        """What stands in for the values of one row in a block, of its donors, each at its position."""
        return held.mean(self.part, layer, likes) if self.labels is None else held.fit(self, layer, likes)

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

    def where(self) -> str:
        """Heads and blocks, in words."""
        heads = "" if self.heads is None else f"{listed('head', self.heads)} of "
        return heads + ("all blocks" if self.layers is None else listed("block", self.layers))


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


@dataclass(frozen=True, kw_only=True)
class UnderDemonstrations(Intervention):
    """An intervention that takes values which items have under demonstrations.

    Attributes
    ----------
    shown, k, seed, order: their kind, number, seed and order.
    """

    shown: str
    k: int = 8
    seed: int = 0
    order: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.shown, str):
            raise SpecError(f"shown = {self.shown!r} is no kind of demonstrations.", "Give a name such as shuffled.")
        check_whole("k", self.k, 0, 10_000)
        check_whole("seed", self.seed, 0, 2**31 - 1)
        check_whole("order", self.order, 0, 2**31 - 1)
        if self.rows in ("response", "all"):
            raise SpecError(
                f"{place_words(self.rows).capitalize()} has no like under other demonstrations.",
                "Take rows=last or rows=query, or a mark.",
            )

    @property
    def against(self) -> Mapping[str, Any]:
        """The demonstrations, as fields of them."""
        return {"kind": self.shown, "k": self.k, "seed": self.seed, "order": self.order}

    @property
    def donor(self) -> str:
        """The demonstrations in words."""
        return shown_words(self.shown, self.k, self.seed, self.order)


@dataclass(frozen=True, kw_only=True)
class OnLabel(Intervention):
    """An intervention that is fitted on a label of items of other folds of groups, at the very place where it acts.

    Attributes
    ----------
    label: one of the task's labels.
    """

    label: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.label, str) or not self.label:
            raise SpecError(f"label = {self.label!r} is no label.", "Give the name of one of the task's labels.")
        if self.rows in ("response", "all"):
            raise SpecError(
                f"{place_words(self.rows).capitalize()} is not the same text in other items.",
                "Take rows=last or rows=query, a role or a mark.",
            )

    @property
    def needs(self) -> Need:
        """Items of other folds."""
        return "folds"


@dataclass(frozen=True, kw_only=True)
class InOneBlock(OnLabel):
    """One that moves states in a single block."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layers is None or len(self.layers) != 1:
            raise SpecError("States are moved in one block.", "Give one, such as layers=20.")

    @property
    def part(self) -> Part:
        """The stream."""
        return "state"


def shown_words(shown: str, k: int, seed: int = 0, order: int = 0) -> str:
    """Demonstrations in a few words."""
    if shown == "none" or not k:
        return "no demonstrations"
    return f"{shown}, k = {k}{f', seed {seed}' if seed else ''}{f', order {order}' if order else ''}"


KINDS = Kinds(
    "iclviz.interventions", "INTERVENTION", Intervention, "intervention", "knock_out to=relevant layers=12-14"
)


def intervention(value: Any) -> Intervention:
    """The intervention that a table with its kind and fields means, or a text such as "knock_out to=relevant
    layers=12-14"; one that is given stays itself.

    Raises
    ------
    SpecError: no such kind, or a field that is missing, unknown or impossible.
    """
    found: Intervention = KINDS.read(value)
    return found


def first_block(interventions: Sequence[Intervention]) -> int:
    """The block, from 1, before which nothing is done."""
    return min((1 if one.layers is None else min(one.layers, default=1) for one in interventions), default=1)


def shortly(interventions: Sequence[Intervention]) -> str:
    """What is done to a model, for a legend; "" where nothing is."""
    return "; ".join(one.short for one in interventions)


def kinds() -> Mapping[str, type[Intervention]]:
    """Every kind of intervention by its name.

    Raises
    ------
    UserError: a file of one's own has none, or one that does not fit.
    """
    return KINDS.all()


def check_place(name: Any) -> None:
    """Refuse what names no place.

    Raises
    ------
    SpecError: so; it says which there are.
    """
    if isinstance(name, str) and (found := RANDOM.fullmatch(name)):
        name = found[2]
    if not isinstance(name, str) or (name not in (*ROWS, *ROLES) and not MARK.fullmatch(name)):
        raise unknown(SpecError, "place", name, [*ROWS, *ROLES, f"{ANSWER}:*", f"{DEMONSTRATION}:*"])


def place_words(name: str) -> str:
    """A place, inside a sentence."""
    if drawn := RANDOM.fullmatch(name):
        return f"as many random tokens as in {place_words(drawn[2])}"
    found = MARK.fullmatch(name)
    if found is None:
        return _WORDS.get(name, f"{name} text")
    kind, number = found.groups()
    return _ALL_OF[kind] if number == "*" else f"{kind} {int(number) + 1}"
