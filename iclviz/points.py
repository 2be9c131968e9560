"""Items that are points of lines, as what a picture of one needs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ItemPoints:
    """The points that a prompt shows of two lines, and what it asks.

    Attributes
    ----------
    own, other: (x, y) of each shown point of the line that is asked about, as it is written, and of the other one.
    lines: slope and intercept of both; the second is None where the prompt has one line alone.
    x, right: what is asked, and the right answer.
    """

    own: tuple[tuple[float, float], ...]
    other: tuple[tuple[float, float], ...]
    lines: tuple[tuple[float, float], tuple[float, float] | None]
    x: float
    right: float
