"""Recorders of one's own at work: what goes wrong in one ends the runs that ask for it, in a sentence, and no other."""

from collections.abc import Callable, Mapping
from typing import Any

from iclviz.capture.numbers import NoNumberError
from iclviz.errors import UserError
from iclviz.extensions import home, telling
from iclviz.recorders import BatchRecord, PassRecord, Recorder, Session

AT_WORK = {"session": Session, "reading": PassRecord, "decoding": BatchRecord}
"""Methods that give something that is at work in turn, and what that has to be."""

GIVEN = {**AT_WORK, "taken": Mapping}
"""The same, and those that give something whose kind others rely on."""


def guarded(recorder: Recorder) -> Any:
    """The recorder, or one of one's own whose faults are told."""
    file = home(recorder)
    if file is None:
        return recorder
    return _Guarded(recorder, f"The recorder {recorder.name} of {file.name} in {file.parent} cannot go on")


class _Guarded:
    """Something of one's own that is at work."""

    def __init__(self, made: Any, what: str) -> None:
        self._made, self._what = made, what

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._made, name)
        if not callable(found):
            return found
        call = telling(found, UserError, self._what, is_known)
        return self._checked(name, call) if name in GIVEN else call

    def _checked(self, name: str, make: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            made = make(*arguments, **named)
            if not isinstance(made, GIVEN[name]):
                reason = f"its {name} gives a {type(made).__name__}, and no {GIVEN[name].__name__}"
                raise UserError(f"{self._what} ({reason}).", "Mend it or take it away.")
            return _Guarded(made, self._what) if name in AT_WORK else made

        return call


def is_known(error: Exception) -> bool:
    """Whether whoever captures knows what to do: take fewer rows, or say which prompt gives no number."""
    return isinstance(error, NoNumberError) or is_out_of_memory(error)


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device, or this machine, had no room; told by its name, since not every backend brings torch."""
    return type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
