"""The errors a user can cause: one family, each with a sentence of what is wrong and a sentence of what to do.

Everything else is a fault of the program and fails loudly.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType

NO_NAMES: Mapping[str, str] = MappingProxyType({})


class UserError(Exception):
    """A mistake that the user can mend.

    Parameters
    ----------
    problem: what is wrong, naming the thing and its value.
    remedy: what to do about it.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem} {remedy}".strip())


class SpecError(UserError):
    """A spec names something unknown or asks for something impossible."""


class TaskFileError(UserError):
    """A task file cannot be read, or holds what no task can be made of."""


class ModelError(UserError):
    """A model cannot be found, reached, read or run."""


class StoreError(UserError):
    """The cache cannot be read or written, or holds damaged data."""


class AnalysisError(UserError):
    """An analysis was asked for with data or options it cannot take."""


class Cancelled(Exception):
    """A run was stopped on request; what was finished is kept."""


def unknown(
    kind: type[UserError], what: str, value: object, known: Sequence[str], called: Mapping[str, str] = NO_NAMES
) -> UserError:
    """The error for a name that is not in a table, listing the names that are and asking for the nearest of them.

    called: other word -> the name that it is known by.
    """
    meant = called.get(str(value)) or next(iter(get_close_matches(str(value), known, n=1)), "")
    asked = f"Did you mean {meant}? " if meant else ""
    return kind(f"Unknown {what} {value!r}.", f"{asked}Known: {', '.join(known)}.")
