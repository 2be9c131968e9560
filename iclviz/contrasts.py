"""Effects within a condition, two levels of a design factor on items that are otherwise the same; and copies."""

from dataclasses import dataclass

UNIT = "unit"
"""The design factor whose levels are units: what several items are copies of, such as a word that is asked about twice.
"""


@dataclass(frozen=True)
class Contrast:
    """The effect of `level` is what its items have less what the items at `against` have.

    Attributes
    ----------
    factor: the design factor that differs, such as the version of a document.
    level, against: two of its levels.
    within: the factor that both items share, such as the document.
    title: what readers see, such as "injected minus harmless".
    """

    factor: str
    level: str
    against: str
    within: str
    title: str
