"""Finding expected answers in a response that a model worded freely.

1. Text and phrases are brought to one form: words and numbers between single blanks, in lower case, digits of any
   script as 0-9, numbers written out without marks between groups and exponents. Punctuation around words and currency
   signs go; what tells words apart stays: a number's sign, point, colon and fraction, the signs of C++, C#, A+, A-,
   .NET and x^2, and symbols such as < and ♥ as words of their own. In scripts that leave no blanks between words every
   character is a word, with the signs that belong to it.
2. A phrase is mentioned where its words stand whole and in order, articles aside, and are not denied ("not X"); a
   single letter where it is written as a choice is (`lettering`).
3. Where a longer phrase that is known stands, the shorter ones in it are not mentioned: "New York" says no "York".
4. Of several answers the one mentioned first is the one given; of two at the same place, the longer.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from iclviz.tasks.lettering import with_choices_alone
from iclviz.tasks.numbers import GROUPED, MOST_DIGITS, POWER, TEN_TO, digits_alone, exponent
from iclviz.tasks.spelling import visible

ARTICLES = ("a", "an", "the")
READ = frozenset(".:-/^#*+♯♭")
"""Characters besides letters and numbers that `WORD` reads."""
UNSPACED = (
    "\u0e00-\u0fff"  # Thai, Lao, Tibetan
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Burmese and what else Myanmar writes
    "\u1780-\u17ff"  # Khmer
    "\u1950-\u19df\u1a20-\u1aaf\uaa80-\uaadf"  # Tai
    "\u1b00-\u1b7f\ua980-\ua9df"  # Balinese, Javanese
)
"""Scripts besides those of wide characters that leave no blanks between words."""

RUN = re.compile(f"[{UNSPACED}]+")
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
    """The one form in which texts and phrases are compared; see the module's text.

    What goes may bring together what then reads as a number, as ^ before 1e1: the form is taken until it is its own.
    """
    form = _form(text)
    while (again := _form(form)) != form:
        form = again
    return form


def _form(text: str) -> str:
    text = "".join(_ascii_digit(character) for character in visible(text))
    text = EMPHASIS.sub(r"\2", SHELL.sub(r"\1", SHELL.sub(r"\1", text.translate(MARKS))))
    text = TEN.sub(lambda power: _digits("1", exponent(power[0])) or power[0], NUMBER.sub(_written_out, text))
    text = EXPONENT.sub(r"^\1", text).replace("n't", " not").replace("N'T", " NOT")
    text = RUN.sub(_characters_apart, "".join(map(_readable, text)))
    words = WORD.finditer(re.sub("-¤", "-", text).replace("¤", " "))
    return " ".join(_plain_number(word.group()) if word["number"] else word.group() for word in words).casefold()


def declines(text: str) -> bool:
    """Whether a response declines to answer."""
    return REFUSAL.match(normalise(text)) is not None


class Phrases:
    """Phrases that may stand in a text, found without looking for each."""

    def __init__(self, phrases: Iterable[str] = ()) -> None:
        self._by_first: dict[str, list[list[str]]] = defaultdict(list)
        for form in dict.fromkeys(map(normalise, phrases)):
            if content := _content(form):
                self._by_first[content[0]].append(content)

    def places(self, normal: str) -> list[Mention]:
        """Where any of them stands in a normalised text, denied or not."""
        words = dict.fromkeys(normal.split())
        return [place for word in words for content in self._by_first.get(word, ()) for place in _all(normal, content)]


NOTHING_ELSE = Phrases()


def mention(text: str, spellings: Sequence[str], known: Phrases = NOTHING_ELSE) -> Mention | None:
    """The first mention of any spelling of a phrase in a text, None where there is none that is not denied.

    known: phrases that mention nothing of what stands in them.
    """
    phrases = [_content(normalise(spelling)) for spelling in spellings]
    letters = [phrase for phrase in phrases if _is_letter(phrase)]
    found = _said(normalise(text), [phrase for phrase in phrases if phrase not in letters], known)
    if letters:
        found += _said(normalise(with_choices_alone(visible(text))), letters, known)
    return min(found, key=_first_and_longest, default=None)


def _said(normal: str, phrases: Sequence[list[str]], known: Phrases) -> list[Mention]:
    """Where phrases stand in a normalised text that are neither denied nor a part of what is known."""
    longer = known.places(normal)
    return [
        place
        for phrase in phrases
        for place in _all(normal, phrase)
        if not DENIAL.search(normal, 0, place.start) and not any(_lies_in(place, other) for other in longer)
    ]


def given(text: str, answers: Mapping[str, Sequence[str]], known: Phrases = NOTHING_ELSE) -> str | None:
    """Which of several answers a text gives.

    Parameters
    ----------
    answers: name of an answer -> its spellings.
    known: as of `mention`.
    """
    places = {name: mention(text, spellings, known) for name, spellings in answers.items()}
    found = {name: place for name, place in places.items() if place}
    return min(found, key=lambda name: _first_and_longest(found[name]), default=None)


def _first_and_longest(place: Mention) -> tuple[int, int]:
    return place.start, -place.end


def _lies_in(place: Mention, other: Mention) -> bool:
    """Whether a mention is a part of another, longer one."""
    return other.start <= place.start and place.end <= other.end and place != other


def _is_letter(content: list[str]) -> bool:
    """Whether a phrase is one letter of a script with capitals, as choices are named."""
    return len(content) == 1 and len(content[0]) == 1 and content[0].upper() != content[0].lower()


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
        return character
    return f" {character} " if category[0] == "S" else " "


def _characters_apart(run: re.Match[str]) -> str:
    """Every letter of a script without blanks as a word, with the signs that follow it."""
    return f" {''.join(one if unicodedata.category(one)[0] == 'M' else f' {one}' for one in run[0])} "


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


def _content(normal: str) -> list[str]:
    """The words of a normalised phrase by which it is looked for."""
    words = normal.split()
    # An answer may itself be an article, such as the letter A of a multiple choice, or end with it, as vitamin A.
    return [word for word in words[:-1] if word not in ARTICLES] + words[-1:]


def _all(normal: str, content: list[str]) -> Iterator[Mention]:
    if content:
        pattern = rf"(?<!\S){f' {ARTICLE}'.join(map(re.escape, content))}(?!\S)"
        yield from (Mention(found.start(), found.end()) for found in re.finditer(pattern, normal))
