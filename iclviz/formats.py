"""Format numbers of what is kept on disk: an older one is brought to today's, a newer one is named and left alone.

What was written before there were numbers has number 1. A file's values carry a seal, a digest of all of them, so that
no byte of it changes unnoticed; those of format 1 had none.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from iclviz.errors import StoreError
from iclviz.schemas import MisfitError

Step = Callable[[dict[str, Any]], dict[str, Any]]
"""From one format's values to the next one's."""

FIELD, SEAL = "format", "seal"


class NewerError(StoreError):
    """Something was written by a newer iclviz than this."""


@dataclass(frozen=True)
class Format:
    """How something is kept.

    Attributes
    ----------
    what: what it is called.
    steps: from number 1 to 2, from 2 to 3, and so on up to today's.
    """

    what: str
    steps: tuple[Step, ...] = ()

    @property
    def today(self) -> int:
        """The number that is written."""
        return len(self.steps) + 1

    def numbered(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values as they are written."""
        return {**values, FIELD: self.today}

    def sealed(self, values: Mapping[str, Any]) -> bytes:
        """The values as a file holds them."""
        numbered = self.numbered(values)
        return _text({**numbered, SEAL: _digest(numbered)})

    def unsealed(self, values: Any, name: str = "") -> dict[str, Any]:
        """The values of a file; raises as `current`, also where the seal is not theirs."""
        current = self.current(values, name)
        if values.get(FIELD, 1) > 1 and current.pop(SEAL, None) != _digest(
            {field: value for field, value in values.items() if field != SEAL}
        ):
            raise MisfitError(f"the {self.what} has other bytes than were written")
        return current

    def current(self, values: Any, name: str = "") -> dict[str, Any]:
        """The values, without their number, as today's format has them.

        Raises
        ------
        NewerError: they are of a newer one.
        MisfitError: they have no format.
        """
        if type(values) is not dict:
            raise MisfitError(f"the {self.what} is no table")
        rest = {field: value for field, value in values.items() if field != FIELD}
        number = values.get(FIELD, 1)
        if type(number) is not int or not 1 <= number < 2**31:
            raise MisfitError(f"the {self.what} has no format number")
        if number > self.today:
            raise newer(self.what, name, number, self.today)
        for step in self.steps[number - 1 :]:
            rest = step(rest)
        return rest


def newer(what: str, name: str, number: int, today: int) -> NewerError:
    """The error for something of a newer format."""
    return NewerError(
        f"The {what} {name} was written by a newer iclviz (format {number}; this one reads up to {today}).".replace(
            "  ", " "
        ),
        "Update iclviz to use it; until then it stays as it is.",
    )


def _text(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.blake2b(_text(values), digest_size=16).hexdigest()


def unchanged(values: dict[str, Any]) -> dict[str, Any]:
    """A step that only the number and the seal tell apart."""
    return values
