"""Texts that look alike are one text: the form in which names, labels, groups and answers are compared.

1. Characters that nobody sees are left out: those that Unicode calls default ignorable (zero-width blanks, byte order
   marks, soft hyphens, marks of direction, choosers of a look). Joiners and non-joiners stay where they change what is
   seen: after a virama, between letters of cursive scripts, and a joiner between the parts of an emoji.
2. What is left is composed (NFC): é is one character whether it was typed as one or as two.
3. Any run of blanks is one blank, and none stands at either end.

What is shown stays as it was written.
"""

import re
import unicodedata

# The property Default_Ignorable_Code_Point of Unicode, which `unicodedata` does not have.
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
NON_JOINER, JOINER = "\u200c", "\u200d"
VIRAMA = 9
"""The combining class of signs that kill a vowel, after which a joiner or non-joiner chooses between two shapes."""


def visible(text: str) -> str:
    """The text composed, without characters that nobody sees."""
    return text if text.isascii() else unicodedata.normalize("NFC", INVISIBLE.sub(_seen, text))


def alike(text: str) -> str:
    """The same text for all that look alike; see the module's text."""
    return " ".join(visible(text).split())


def _seen(run: re.Match[str]) -> str:
    """The joiner or non-joiner of a run of unseen characters that changes what stands around it, if there is one."""
    before, after = run.string[: run.start()][-1:], run.string[run.end() :][:1]
    for joiner in (mark for mark in run[0] if mark in (NON_JOINER, JOINER)):
        if before and after and _changes(joiner, before, after):
            return joiner
    return ""


def _changes(joiner: str, before: str, after: str) -> bool:
    if unicodedata.combining(before) == VIRAMA:
        return True
    if joiner == JOINER and unicodedata.category(after) == "So":
        return unicodedata.category(before) in ("So", "Sk")
    return joiner == NON_JOINER and _is_cursive(before) and _is_cursive(after)


def _is_cursive(character: str) -> bool:
    return unicodedata.bidirectional(character) in ("AL", "NSM") and character.isprintable()
