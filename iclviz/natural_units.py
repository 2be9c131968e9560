"""How people say a score: in percent, as an error, as it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Better = Literal["higher", "lower"]
DIGITS = 3
"""Significant digits of a number that people read."""
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class NaturalUnit:
    """A score in the unit in which people say it.

    Attributes
    ----------
    title: what it is then called, such as "typical error".
    kind: "value" is the score itself; "share" is told in percent; of a "negative log" −log10(x + floor), x is told: the
        mean of such a score is that of a typical x, which a few large ones do not move.
    suffix: what stands behind the number, such as "nats".
    """

    title: str
    kind: Literal["value", "share", "negative log"] = "value"
    suffix: str = ""
    floor: float = 0.0

    @property
    def is_reversed(self) -> bool:
        """Whether it falls where the score rises."""
        return self.kind == "negative log"

    def values(self, score: Any) -> NDArray[np.float64]:
        """Scores, or means of them, in this unit."""
        x = np.asarray(score, dtype=float)
        if self.kind == "share":
            return 100 * x
        if self.kind == "negative log":
            return np.asarray(np.maximum(10.0**-x - self.floor, 0.0))
        return x

    @property
    def sign(self) -> str:
        """What stands behind numbers, if anything does."""
        return "%" if self.kind == "share" else self.suffix

    @property
    def name(self) -> str:
        """Its title at the beginning of something."""
        return f"{self.title[:1].upper()}{self.title[1:]}"

    @property
    def axis(self) -> str:
        """The title of an axis."""
        return f"{self.name} ({self.sign})" if self.sign else self.name

    def better(self, of_score: Better) -> Better:
        """Which way it goes when the model does better; of_score: which way the score does."""
        if self.is_reversed:
            return "lower" if of_score == "higher" else "higher"
        return of_score

    def said(self, value: float) -> str:
        """A value in this unit as a reader sees it."""
        if self.kind == "share":
            return f"{plain(value, 2)} %"
        return f"{plain(value)} {self.suffix}".strip()

    def text(self, score: float) -> str:
        """A score, or a mean of scores, as a reader sees it."""
        return self.said(float(self.values(score)))


def signed(value: float, digits: int = DIGITS) -> str:
    """A number as `plain` writes it, with its sign also where it is positive."""
    return f"{'+' if value > 0 else ''}{plain(value, digits)}"


def plain(value: float, digits: int = DIGITS) -> str:
    """A number of at most so many significant digits, without an exponent, with a true minus; "none" for no number."""
    if not np.isfinite(value):
        return "none"
    size = np.format_float_positional(abs(value), precision=digits, unique=False, fractional=False, trim="-")
    return f"{MINUS if value < 0 and float(size) else ''}{size}"


def runs_of(numbers: Sequence[int]) -> list[list[int]]:
    """Whole numbers in ascending order, those that follow each other together."""
    runs: list[list[int]] = []
    for one in numbers:
        if runs and one == runs[-1][-1] + 1:
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs
