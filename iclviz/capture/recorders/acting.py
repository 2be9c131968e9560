"""Where interventions acted: at how many places of each item, and at how many of these a value changed.

What was silently not done would look like what has no effect.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from iclviz.recorders import Array, ArraySchema, Batch, BatchRecord, Recorder, Session, Subject
from iclviz.spec import RunSpec


class ActedPlaces(Recorder):
    """A place is a token in a block, a head's or several heads' counted once; tokens of candidates are not counted."""

    name = "acting"
    title = "Places of interventions"
    sentence = "At how many places each intervention acted, and at how many a value changed by it."
    arrays = (
        ArraySchema("acted_places", ("item", "intervention"), "int32"),
        ArraySchema("changed_places", ("item", "intervention"), "int32"),
    )
    hooks = frozenset()
    is_optional = False

    def asked(self, spec: RunSpec, item: int) -> int | None:
        """How many interventions there are."""
        return len(spec.interventions) or None

    def session(self, subject: Subject, asked: Mapping[int, int]) -> Session:
        """At work."""
        return _Session(subject)

    def arrays_of(self, taken: tuple[Array, Array], n_rows: int) -> Mapping[str, Any]:
        """(interventions,) of both."""
        return {"acted_places": taken[0], "changed_places": taken[1]}


class _Session(Session):
    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    def decoding(self, batch: Batch, before: Sequence[Any]) -> BatchRecord:
        return _Batch(self.subject, batch)


class _Batch(BatchRecord):
    def __init__(self, subject: Subject, batch: Batch) -> None:
        self._acting, self._prompts = subject.acting, batch.prompts

    def taken(self, responses: Sequence[Sequence[int]]) -> Mapping[int, tuple[Array, Array]]:
        return {prompt: self._acting.counted(prompt) for prompt in self._prompts}


RECORDER = ActedPlaces()
