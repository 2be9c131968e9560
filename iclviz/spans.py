"""Labelled pieces of a prompt: segments of text before tokenising, spans of tokens after it.

Roles are those of the attention analysis: what a response token can attend to.
"""

from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal["special", "instruction", "demonstration", "relevant", "irrelevant", "question", "response"]

ROLES: tuple[Role, ...] = get_args(Role)
"""Every role, in the order of the recording's arrays and of every legend."""


@dataclass(frozen=True)
class Segment:
    """A piece of prompt text that has one role."""

    role: Role
    text: str


@dataclass(frozen=True)
class Span:
    """A half-open range [start, end) of token positions in prompt + response that has one role."""

    role: Role
    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start
