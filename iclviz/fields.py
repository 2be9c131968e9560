"""What a field of a spec changes, said once, at the field itself, and asked for by everybody who has to know it.

| a field changes | so that runs which differ in it |
| --- | --- |
| tokens | read other prompts; they may run together |
| forward | never run together: what they read is computed otherwise |
| decoding | run together, each to its own end |
| kept | have the same numbers, of which one keeps others |
"""

import inspect
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any, Literal, Self, get_args

Change = Literal["tokens", "forward", "decoding", "kept"]


def changes(what: Change, title: str, begins_alike: bool = False, later: bool = False) -> Mapping[str, Any]:
    """The metadata of a spec's field.

    Parameters
    ----------
    what: what the field changes.
    title: what readers call it.
    begins_alike: whether prompts of runs that differ in it begin with much the same text.
    later: whether there were specs before there was the field: where it is empty it is not written, and keys stay.
    """
    return {"changes": what, "title": title, "begins_alike": begins_alike, "later": later}


class Classified:
    """A frozen dataclass whose every field says what it changes."""

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        for name in inspect.get_annotations(cls):
            entry = cls.__dict__.get(name)
            if not isinstance(entry, Field) or entry.metadata.get("changes") not in get_args(Change):
                raise TypeError(f"The field {name} of {cls.__name__} does not say what it changes.")

    @classmethod
    def fields_that(cls, *what: Change) -> tuple[str, ...]:
        """The fields that change any of these, in order."""
        return tuple(entry.name for entry in _fields(cls) if entry.metadata["changes"] in what)

    @classmethod
    def title(cls, name: str) -> str:
        """What readers call a field."""
        return str(next(entry.metadata["title"] for entry in _fields(cls) if entry.name == name))

    def part(self, *what: Change) -> tuple[Any, ...]:
        """The values of the fields that change any of these."""
        return tuple(getattr(self, name) for name in self.fields_that(*what))

    def differences(self, other: "Classified") -> dict[str, tuple[Any, Any]]:
        """Field -> its value here and in the other, where they are not the same."""
        sides = ((entry.name, getattr(self, entry.name), getattr(other, entry.name)) for entry in _fields(self))
        return {name: (mine, theirs) for name, mine, theirs in sides if mine != theirs}

    def may_run_with(self, other: "Classified") -> bool:
        """Whether one reading serves both: they are equal in all that changes the forward pass."""
        return self.part("forward") == other.part("forward")

    def shares_text_with(self, other: "Classified") -> bool:
        """Whether their prompts begin with much the same text, so that reading them together reads that once."""
        alike = {entry.name for entry in _fields(self) if entry.metadata["begins_alike"]}
        return set(self.differences(other)) & set(self.fields_that("tokens")) <= alike

    def keeps_all_of(self, other: "Classified") -> bool:
        """Whether a run of this keeps whatever one of the other keeps."""
        sides = zip(self.part("kept"), other.part("kept"), strict=True)
        return all(set(theirs or ()) <= set(mine or ()) for mine, theirs in sides)

    def keeping_also(self, other: Self) -> Self:
        """The same run, of which also what one of the other keeps is kept."""
        sides = zip(self.fields_that("kept"), self.part("kept"), other.part("kept"), strict=True)
        both = {name: tuple(dict.fromkeys((*(mine or ()), *(theirs or ())))) for name, mine, theirs in sides}
        return self.with_(**{name: values for name, values in both.items() if values})

    @abstractmethod
    def with_(self, **changes: Any) -> Self:
        """A copy with some fields changed."""


def _fields(of: Any) -> tuple[Field[Any], ...]:
    return fields(of)
