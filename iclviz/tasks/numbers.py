r"""Numbers as texts write them: 1,000 and 1,00,000, 1{,}000, 1e5, 3 × 10^5 and 3 \times 10^{5}, 10⁵.

Commas between digits are read as marks of groups where the groups are whole (of three digits, or lakh and crore).
"""

import re

_MARK = r"(?:,|\{,\}|\\[,;: ]|['\u00a0\u2009\u202f])"
GROUPED = rf"(?:\d{{1,3}}(?:{_MARK}\d{{3}})+(?!{_MARK}?\d)|\d{{1,2}}(?:,\d{{2}})+,\d{{3}}(?!,?\d))"
"""Digits with marks between their groups."""
TEN_TO = r"10\s*(?:\^\s*(?:\{\s*[-+−]?\d+\s*\}|[-+−]?\d+)(?![\w^])|[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)"
"""A power of ten."""
POWER = rf"(?:[eE][-+−]?\d+(?!\w)|\s*(?:\\times|\\cdot|[×·*x])\s*{TEN_TO})"
"""What multiplies the digits before it by a power of ten."""

_EXPONENT = re.compile(r"(?:[eE]|\^\s*\{?\s*)([-+−]?\d+)|([⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)")
_PLAIN = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹−٫", "+-0123456789-.")

MOST_DIGITS = 400
"""More than any float has before or behind its point."""


def exponent(power: str) -> int:
    """The exponent of a `POWER` or `TEN_TO`, 0 of no text."""
    found = _EXPONENT.search(power)
    return int((found[1] or found[2]).translate(_PLAIN)) if found else 0


def digits_alone(number: str) -> str:
    """Digits and point of a `GROUPED` or plain number, without marks."""
    return re.sub(r"[^\d.]", "", number.translate(_PLAIN))
