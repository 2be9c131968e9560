"""What captions and subtitles say of several conditions at once, and at their end."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from iclviz.analysis.measure import ByLayer
from iclviz.analysis.probing import Probe
from iclviz.analysis.rsa import AlignmentTest
from iclviz.analysis.statistics import MIN_UNITS
from iclviz.analysis.wording import capital

Result = TypeVar("Result")


def each(conditions: Mapping[str, Result], say: Callable[[Result], str]) -> str:
    """What is said of each condition: once where it is the same of all, else with the conditions' labels."""
    by_text: dict[str, list[str]] = {}
    for label, result in conditions.items():
        by_text.setdefault(say(result), []).append(label)
    if len(by_text) == 1:
        return next(iter(by_text))
    return ", ".join(f"{text} ({'; '.join(labels)})" for text, labels in by_text.items())


def sentence(text: str) -> str:
    """A text as a last sentence, with the blank before it; nothing for no text."""
    return f" {capital(text.removesuffix('.'))}." if text else ""


def inner(title: str) -> str:
    """A title inside a sentence: its first letter small, unless it begins a name such as R2; all else as it is."""
    return title if title[1:2].isupper() or title[1:2].isdigit() else f"{title[:1].lower()}{title[1:]}"


def groups(n_units: int) -> str:
    """The independent units of a statistic, and whether they are too few."""
    few = "" if n_units >= MIN_UNITS else ", too few to rely on"
    return f"{n_units:,} independent groups of items{few}"


def without_values(conditions: Mapping[str, AlignmentTest | Probe | ByLayer]) -> str:
    """Which layers have no value, and why, as a last sentence; nothing where all have one."""

    def gaps(result: AlignmentTest | Probe | ByLayer) -> str:
        layers: dict[str, list[str]] = {}
        for layer, why in result.missing.items():
            layers.setdefault(why, []).append(str(layer))
        return "; ".join(f"layer {', '.join(numbers)}: {why}" for why, numbers in layers.items())

    missing = {label: result for label, result in conditions.items() if result.missing}
    if not missing:
        return ""
    if len(missing) < len(conditions):
        return sentence("no value at " + ", ".join(f"{gaps(result)} ({label})" for label, result in missing.items()))
    return sentence(f"no value at {each(missing, gaps)}")
