"""Finding expected answers in a response that a model worded freely.

1. Text and phrases are brought to one form: words and numbers between single blanks, in lower case, digits of any
   script as 0-9, numbers written out without marks between groups and exponents. Punctuation around words and currency
   signs go; what tells words apart stays: a number's sign, point, colon and fraction, the signs of C++, C#, A+, A-,
   .NET and x^2, and symbols such as < and ♥ as words of their own.
2. A phrase is mentioned where its words stand whole and in order, articles aside, and are not denied ("not X").
3. Of several answers the one mentioned first is the one given; of two at the same place, the longer.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from iclviz.tasks.numbers import GROUPED, MOST_DIGITS, POWER, TEN_TO, digits_alone, exponent

ARTICLES = ("a", "an", "the")
READ = frozenset(".:-/^#*+♯♭")
"""Characters besides letters and numbers that `WORD` reads."""
VARIANTS = frozenset(map(chr, range(0xFE00, 0xFE10)))
"""Unseen characters that choose a look, such as an emoji's."""
MARKS = str.maketrans({"−": "-", "–": "-", "’": "'", "٫": ".", "٬": ","})
"""Marks of typography and other scripts -> those that numbers and words are read with."""

SHELL = re.compile(r"\\(?:boxed|text|textbf|textit|mathrm|mathbf|mathit|operatorname)\s*\{([^{}]*)\}")
"""What TeX writes around an answer."""
EXPONENT = re.compile(r"\^\{([^{}]*)\}")
EMPHASIS = re.compile(r"(\*{1,3}|_{1,3}|`+)(?=\S)(.+?)(?<=\S)\1(?!\w)")
SIGNED = r"+#*♯♭"
"""Signs that belong to the word they end, as in C++ and A*."""
_LETTERS = rf"[^\s.:/^{SIGNED}-]"
WORD = re.compile(
    r"(?P<number>(?:(?<![^\s.:])[-+])?(?:\d+(?:[.:/^]\d+)*(?:[eE][-+]?\d+(?!\w))?|\.\d+))"
    rf"|(?:(?<!\S)[.#](?=[^\W\d])|(?<!\S)-(?=[^\W\d](?!\w)))?{_LETTERS}+"
    rf"(?:\.(?=[^\W\dA-Z]){_LETTERS}+|\^-?{_LETTERS}+|[+#]+\d+(?!\w))*"
    rf"(?:[{SIGNED}]+(?!\w)|(?<=\b\w)-(?!\S)|(?<=\b\w\w)-(?!\S))?"
    r"|(?<![\w+])\++(?!\w)|\+"
)
NUMBER = re.compile(rf"(?<![\w.^])(?P<digits>(?:(?P<grouped>{GROUPED})|\d+)(?:\.\d+)?|\.\d+)(?P<power>{POWER})?")
TEN = re.compile(rf"(?<![\w.^]){TEN_TO}")
ARTICLE = rf"(?:(?:{'|'.join(ARTICLES)}) )?"
DENIAL = re.compile(
    rf"(?<!\S)(?:not|never|instead of|rather than) (?:(?:at|by|from|in|into|of|on|to|with) )?{ARTICLE}$"
)
"""What denies the phrase that directly follows it."""


REFUSAL = re.compile(
    r"(?:(?:i|we|am|are|m|re|sorry|afraid|but|that|really|simply|just|must) )*"
    r"(?:cannot|ca not|can not|could not|will not|wo not|unable|not able|do not know|refuse|decline)\b"
    r"|(?:(?:i|we|my|am|are|m|re|very|so) )*(?:sorry|apologies|apologi[sz]e)\b(?!.* answer is )"
    r"|(?:as an ai|no answer)\b"
    r"|(?:it|this|(?:the|this) question) (?:cannot|can not|ca not) be answered\b"
    r"|(?:the|this) (?:document|text) does not (?:say|state|mention|specify|contain|provide)\b"
)
"""How a response, normalised, begins that declines to answer."""


@dataclass(frozen=True)
class Mention:
    """Where a phrase stands in a normalised text: characters [start, end)."""

    start: int
    end: int


def normalise(text: str) -> str:
    """The one form in which texts and phrases are compared; see the module's text."""
    text = "".join(_ascii_digit(character) for character in unicodedata.normalize("NFC", text))
    text = EMPHASIS.sub(r"\2", SHELL.sub(r"\1", SHELL.sub(r"\1", text.translate(MARKS))))
    text = TEN.sub(lambda power: _digits("1", exponent(power[0])) or power[0], NUMBER.sub(_written_out, text))
    text = EXPONENT.sub(r"^\1", text).replace("n't", " not").replace("N'T", " NOT")
    words = WORD.finditer(re.sub("-¤", "-", "".join(map(_readable, text))).replace("¤", " "))
    return " ".join(_plain_number(word.group()) if word["number"] else word.group() for word in words).casefold()


def declines(text: str) -> bool:
    """Whether a response declines to answer."""
    return REFUSAL.match(normalise(text)) is not None


def mention(text: str, spellings: Sequence[str]) -> Mention | None:
    """The first mention of any spelling of a phrase in a text, None where there is none that is not denied."""
    normal = normalise(text)
    found = [_find(normal, normalise(spelling).split()) for spelling in spellings]
    return min((place for place in found if place), key=_first_and_longest, default=None)


def given(text: str, answers: Mapping[str, Sequence[str]]) -> str | None:
    """Which of several answers a text gives.

    Parameters
    ----------
    answers: name of an answer -> its spellings.
    """
    places = {name: mention(text, spellings) for name, spellings in answers.items()}
    found = {name: place for name, place in places.items() if place}
    return min(found, key=lambda name: _first_and_longest(found[name]), default=None)


def _first_and_longest(place: Mention) -> tuple[int, int]:
    return place.start, -place.end


def _ascii_digit(character: str) -> str:
    digit = unicodedata.decimal(character, None)
    return character if digit is None else str(digit)


def _readable(character: str) -> str:
    """The character where it belongs to words or numbers, else a blank; "¤" for a currency's sign."""
    category = unicodedata.category(character)
    if category == "Lo" and unicodedata.east_asian_width(character) == "W":
        # Scripts without blanks between words: every character counts as a word.
        return f" {character} "
    if category == "Cf":
        return ""
    if category == "Sc":
        return "¤"
    if category[0] in "LMN" or character in READ:
        return "" if character in VARIANTS else character
    return f" {character} " if category[0] == "S" else " "


def _written_out(found: re.Match[str]) -> str:
    """A number as digits alone; one that is, as it is: 007 is not 7."""
    if not (found["grouped"] or found["power"]):
        return found[0]
    return _digits(digits_alone(found["digits"]), exponent(found["power"] or "")) or found[0]


def _digits(number: str, power: int) -> str:
    """A decimal number times a power of ten, "" where that is too long to be one."""
    return format(Decimal(f"{number}e{power}"), "f") if abs(power) <= MOST_DIGITS else ""


def _plain_number(number: str) -> str:
    """The same number without a plus, without zeros that end its decimals, and with one before a leading point."""
    number = number.removeprefix("+")
    whole, point, decimals = number.partition(".")
    if not point or ":" in number or "." in decimals:
        return number
    decimals = decimals.rstrip("0")
    whole += "" if whole.strip("-") else "0"
    return f"{whole}.{decimals}" if decimals else whole


def _find(text: str, words: list[str]) -> Mention | None:
    # An answer may itself be an article, such as the letter A of a multiple choice, or end with it, as vitamin A.
    content = [word for word in words[:-1] if word not in ARTICLES] + words[-1:]
    if not content:
        return None
    pattern = rf"(?<!\S){f' {ARTICLE}'.join(map(re.escape, content))}(?!\S)"
    for found in re.finditer(pattern, text):
        if not DENIAL.search(text, 0, found.start()):
            return Mention(found.start(), found.end())
    return None
