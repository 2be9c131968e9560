"""Finding expected answers in a response that a model worded freely.

1. Text and phrases are brought to one form: words and numbers between single blanks, in lower case, digits of any
   script as 0-9, without separators of thousands, currency signs or punctuation, but with a number's sign, point and
   colon.
2. A phrase is mentioned where its words stand whole and in order, articles aside, and are not denied ("not X").
3. Of several answers the one mentioned first is the one given; of two at the same place, the longer.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ARTICLES = ("a", "an", "the")
MARKS = str.maketrans({"−": "-", "–": "-", "’": "'", "٫": ".", "٬": ","})
"""Marks of typography and other scripts -> those that numbers and words are read with."""

THOUSANDS = re.compile(r"(?<![\d.])\d{1,3}(?:[,'\u00a0\u2009\u202f]\d{3})+(?![\d,])")
WORD = re.compile(r"(?P<number>(?:(?<![^\s.:])-)?(?:\d+(?:[.:]\d+)*|\.\d+))|[^\s.:-]+")
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
    text = text.translate(MARKS).casefold().replace("n't", " not")
    text = THOUSANDS.sub(lambda found: re.sub(r"\D", "", found.group()), text)
    words = WORD.finditer(re.sub("-¤", "-", "".join(map(_readable, text))).replace("¤", " "))
    return " ".join(_plain_number(word.group()) if word["number"] else word.group() for word in words)


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
    return character if category[0] in "LMN" or character in ".:-" else " "


def _plain_number(number: str) -> str:
    """The same number without zeros that end its decimals, and with one before a leading point."""
    whole, point, decimals = number.partition(".")
    if not point or ":" in number or "." in decimals:
        return number
    decimals = decimals.rstrip("0")
    whole += "" if whole.strip("-") else "0"
    return f"{whole}.{decimals}" if decimals else whole


def _find(text: str, words: list[str]) -> Mention | None:
    # An answer may itself be an article, such as the letter A of a multiple choice.
    content = [word for word in words if word not in ARTICLES] or words
    if not content:
        return None
    pattern = rf"(?<!\S){f' {ARTICLE}'.join(map(re.escape, content))}(?!\S)"
    for found in re.finditer(pattern, text):
        if not DENIAL.search(text, 0, found.start()):
            return Mention(found.start(), found.end())
    return None
