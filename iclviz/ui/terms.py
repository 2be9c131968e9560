"""Words of the glossary in the sentences of a page: a dotted underline, and a click opens what they mean."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from urllib.parse import quote

from iclviz.ui.plain_text import as_text

GLOSSARY = Path(__file__).with_name("glossary.md")

LINKED: Mapping[str, str] = {
    r"95 % intervals?": "Bootstrap interval",
    r"ablat(?:ed|ing)": "Ablate",
    r"alignments?": "Alignment",
    r"attention ratios?": "Attention ratio",
    r"attention sinks?": "Attention sink",
    r"between groups": "Between groups",
    r"chance": "Chance",
    r"class distances?": "Class distance",
    r"composite prompts?": "Composite prompt",
    r"corrected over (?:layers|blocks)": "p corrected over layers",
    r"Holm’s method|Holm's method": "Holm",
    r"demonstration seeds?": "Demonstration seed",
    r"demonstration sets?": "Demonstration set",
    r"embeddings?": "Embedding",
    r"exploratory": "Exploratory",
    r"independent groups": "Group",
    r"intrinsic dimensions?": "Intrinsic dimension",
    r"log-probability": "Log-probability",
    r"mixed models?": "Mixed model",
    r"noise ceilings?": "Noise ceiling",
    r"permut(?:ing|ed|ations?)": "Permutation test",
    r"probes?": "Probe",
    r"rank correlations?|rho": "Rank correlation (rho)",
    r"RSMs?": "RSM",
    r"second-order similarity": "Second-order similarity",
    r"selectivity": "Selectivity",
    r"within groups": "Within groups",
}
"""How a word stands in sentences -> the term of the glossary that says what it means; longer ones first."""

_EACH = "|".join(f"(?P<t{place}>{words})" for place, words in enumerate(LINKED))
_WORDS = re.compile(rf"(?<![\w\\-])(?:{_EACH})(?![\w-])", re.IGNORECASE)
"""The words where they stand whole."""


@cache
def glossary() -> dict[str, str]:
    """Term -> its meaning, in alphabetical order."""
    found = (entry.partition("\n") for entry in f"\n{GLOSSARY.read_text(encoding='utf-8')}".split("\n### ")[1:])
    return {term.strip(): meaning.strip() for term, _, meaning in found}


def with_terms(sentence: str) -> str:
    """A text as Markdown that shows it as it is, in which the first of each word of the glossary leads there."""
    terms, seen = list(LINKED.values()), set[str]()

    def linked(found: re.Match[str]) -> str:
        term = terms[int(str(found.lastgroup)[1:])]
        if term in seen:
            return found[0]
        seen.add(term)
        return f"[{found[0]}](glossary?find={quote(term)})"

    return _WORDS.sub(linked, as_text(sentence))
