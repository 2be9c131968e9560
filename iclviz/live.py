"""Acting on one item at once: what is asked, and what comes back."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from iclviz import schemas
from iclviz.intervening import Intervention, intervention
from iclviz.spec import MOST_INTERVENTIONS, MOST_ITEMS, RunSpec, digest

SCHEMA = schemas.fields(
    {
        "run": schemas.table_of(schemas.plain(), 50),
        "item": schemas.whole(0, MOST_ITEMS),
        "done": schemas.list_of(schemas.table_of(schemas.plain(), 50), MOST_INTERVENTIONS),
        "files": schemas.text(200),
        "writes": schemas.flag,
    }
)
_ROW = schemas.list_of(schemas.number(missing=True), 10_000)
ANSWER_SCHEMA = schemas.fields(
    {
        "candidates": schemas.list_of(schemas.text(), 10_000),
        "logprobs": _ROW,
        "response": schemas.text(),
        "attention": schemas.table_of(_ROW, 20),
        "acted": schemas.whole(-1, 2**31),
        "changed": schemas.whole(-1, 2**31),
        "seconds": schemas.number(0),
    }
)


@dataclass(frozen=True)
class LiveSpec:
    """One item of a run, and what is done to the model while it reads it.

    Attributes
    ----------
    run: the resolved run; item: the item's place.
    done: on top of what is done in the run itself.
    files: the identity of the model's files, so that what was answered of others is not taken for this.
    writes: whether the model also writes a response, which takes longer than to score candidates.
    """

    run: RunSpec
    item: int
    done: tuple[Intervention, ...]
    files: str
    writes: bool = False

    @property
    def n_items(self) -> int:
        """One."""
        return 1

    @property
    def key(self) -> str:
        """What tells it from any other."""
        return digest(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """The spec as plain JSON values."""
        done = [one.to_dict() for one in self.done]
        spec = {"run": self.run.to_dict(), "item": self.item, "done": done}
        return {**spec, "files": self.files, "writes": self.writes}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The spec that `to_dict` wrote.

        Raises
        ------
        MisfitError, SpecError: these are no such values.
        """
        SCHEMA(values)
        done = tuple(intervention(one) for one in values["done"])
        return cls(RunSpec.from_dict(values["run"]), values["item"], done, values["files"], values["writes"])


@dataclass(frozen=True)
class LiveAnswer:
    """What the model answers to one item.

    Attributes
    ----------
    candidates: C texts, the right answer's first; logprobs: C log-probabilities.
    response: the beginning of what it writes; "" where that was not asked for.
    attention: role -> (L,) attention mass of the last prompt token on that role's text, the mean over heads.
    acted, changed: places at which what is done acted, and those whose value changed; -1 where nothing is done.
    seconds: how long it took.
    """

    candidates: Sequence[str]
    logprobs: Sequence[float]
    response: str
    attention: Mapping[str, Sequence[float]]
    acted: int
    changed: int
    seconds: float

    @property
    def margin(self) -> float:
        """The right answer's log-probability over the best other candidate's, or by itself where there is no other."""
        others = self.logprobs[1:]
        return self.logprobs[0] - (max(others) if others else 0.0)

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The answer that `to_dict` wrote.

        Raises
        ------
        MisfitError: these are no such values.
        """
        ANSWER_SCHEMA(values)
        return cls(**values)
