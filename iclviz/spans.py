"""Labelled pieces of a prompt: segments of text before tokenising, spans of tokens after it.

Roles are those of the attention analysis: what a response token can attend to.
"""

from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal["special", "instruction", "demonstration", "relevant", "irrelevant", "question", "response"]

ROLES: tuple[Role, ...] = get_args(Role)
"""Every role, in the order of the recording's arrays and of every legend."""


ANSWER, DEMONSTRATION = "answer", "demonstration"
"""What marks name, with a colon and a number from 0 in the order in which demonstrations are read: answer:3."""


@dataclass(frozen=True)
class TextMark:
    """A named half-open range [start, end) of characters inside a segment's text."""

    name: str
    start: int
    end: int


@dataclass(frozen=True)
class Segment:
    """A piece of prompt text that has one role, and any number of named places in it."""

    role: Role
    text: str
    marks: tuple[TextMark, ...] = ()

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ValueError(f"there is no role {self.role!r}; known: {', '.join(ROLES)}")


@dataclass(frozen=True)
class Mark:
    """A named half-open range [start, end) of token positions in a prompt; a token has any number of them."""

    name: str
    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class Span:
    """A half-open range [start, end) of token positions in prompt + response that has one role."""

    role: Role
    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start
