"""How far an analysis is: its long loops say so to whoever listens, and to nobody otherwise."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")

Listener = Callable[[str, int, int], None]
"""Classified what is done, how many steps are done and how many there are."""

_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Be told of every step of the analyses inside."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def steps(things: Sequence[T], doing: str) -> Iterator[T]:
    """The things in order, each told before it is handed out; `doing` says what is done with them."""
    listener = _LISTENER.get()
    for done, thing in enumerate(things):
        if listener:
            listener(doing, done, len(things))
        yield thing
