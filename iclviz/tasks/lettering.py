"""Single letters as choices are written: "B", "(B)", "B.", "B: blue", "answer: B", "it is B, because"; and no others.

The article of "A dog", the pronoun of "I think" and the names "Plan B" and "vitamin C" are letters too. A letter is a
choice where it stands alone, in brackets or in quotes; where a word such as "option" names it; or where a mark or a
word such as "because" ends it, and what begins the text or announces an answer stands before it.
"""

import re

LETTER = re.compile(r"(?<![^\W_])(?<![nN]['’])[^\W\d_](?![^\W_])")
"""A letter that is a word of its own, not that of "isn't"; an underscore is emphasis."""

NO_CHOICE = "ⴰ"
"""What stands in the place of a letter that is no choice: a letter that no answer is."""

MARKS_BEFORE, MARKS_AFTER = r"(\[{\"'‘“*_`（「【《", r")\]}\"'’”*_`）」】》"
_PART_OF_A_WORD = re.compile(r"[^\W_]['’&+./-]$")
_GOES_ON = re.compile(r"['’&+#^/-]\w|[+#^♯♭]|\.[^\W\d_](?![^\W_])")
_WRAPPED = re.compile(rf"[{MARKS_BEFORE}]\s*$"), re.compile(rf"\s*[{MARKS_AFTER}]")
_NAMED = re.compile(r"\b(?:option|choice|letter|alternative)\s*[:=]?\s*$", re.IGNORECASE)
_ANNOUNCED = re.compile(r"\b(?:answer|option|choice|letter|alternative)(?: is)?\s*[:=：]?\s*$", re.IGNORECASE)
_BEGINS = re.compile(rf"^[\s{MARKS_BEFORE}]*$")
_NUMBERS = re.compile(r"\s*(?:[).:\]）：．]|$)")
_ENDED = re.compile(
    rf"\s*(?:[{MARKS_AFTER}.,:;!?|(（。，：；！？、]|$)|\s+(?:[-–—→=]\s|(?:because|since|as|is|and|or)\b)"
)
_LEADS = re.compile(
    r"(?:[:=>→|,;：，]|['’]s"
    r"|\b(?:is|be|say|said|pick|choose|chose|select|take|guess|think|believe|with|for|to|as|it|so|then|thus|therefore"
    r"|hence|probably|likely|maybe|perhaps|definitely|clearly|certainly|surely|either|or|and|but|not))\s*$",
    re.IGNORECASE,
)
_PRONOUNS = frozenset("IOЯ")
"""Capital letters that are words of their own and stand before marks too, as in "I, however"."""

_NEVER_WORDS = frozenset("BCDEFGHJKLMNPQRSTUVWXYZ")


def with_choices_alone(text: str) -> str:
    """The text, of the same length, with every letter that is a word of its own and no choice put out of the way."""
    return LETTER.sub(lambda found: found[0] if _is_choice(found) else NO_CHOICE, text)


def _is_choice(found: re.Match[str]) -> bool:
    letter, before, after = found[0], found.string[: found.start()], found.string[found.end() :]
    if not re.search(r"[^\W_]", before + after):
        return True
    if _PART_OF_A_WORD.search(before) or _GOES_ON.match(after):
        return False
    if _WRAPPED[0].search(before) and _WRAPPED[1].match(after):
        return True
    if _ANNOUNCED.search(before):
        named = letter.isupper() and _NAMED.search(before)
        return bool(named or letter in _NEVER_WORDS or _ENDED.match(after))
    if not letter.isupper() or letter in _PRONOUNS:
        return bool(_BEGINS.match(before) and _NUMBERS.match(after))
    return bool(_ENDED.match(after) and (_BEGINS.match(before) or _LEADS.search(before)))
