"""The fields of a link, one table: those of the conditions A and B, and those that pages say are their own.

A field has a default and a way to read it from a link's text. What a measure leaves open and no page names is a field
as well, under the option's own name: it is taken from the link when the measure's control is drawn.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, get_args

from iclviz.errors import UserError
from iclviz.intervening import Intervention, intervention
from iclviz.models.presets import DEMO_MODEL
from iclviz.recorders import check_record
from iclviz.spec import MOST_ATTENTION_ITEMS, POOLINGS, FirstToken, template_options
from iclviz.tasks import KINDS, all_tasks
from iclviz.ui.page_files import Page, pages

SIDES = ("a", "b")
MOST_ITEMS = 4096
MOST_K = 1000
MOST_SEED = 2**31 - 1
MOST_MEMBERS = 8
"""Conditions of a set: what a figure can tell apart."""

MOST_TEXT = 200

Read = Callable[[str], Any]


@dataclass(frozen=True)
class Field:
    """A field of a link: its default, and how a link's text becomes a value; ValueError where it cannot."""

    default: Any
    read: Read


class OutOfBoundsError(ValueError):
    """A number that is too small or too large; the text says what is allowed."""


def text(value_text: str) -> str:
    """A short text."""
    return value_text[:MOST_TEXT]


def whole(least: int, most: int) -> Read:
    """A whole number within bounds."""

    def read(value_text: str) -> int:
        number = int(value_text)
        if not least <= number <= most:
            raise OutOfBoundsError(f"not from {least} to {most}")
        return number

    return read


def _one_of(known: Callable[[], Any]) -> Read:
    def read(value_text: str) -> str:
        if value_text not in known():
            raise ValueError("unknown")
        return value_text

    return read


def _flag(value_text: str) -> bool:
    return {"True": True, "False": False}[value_text]


def _size(value_text: str) -> float:
    size = float(value_text)
    if not 0 < size < float("inf"):
        raise ValueError("no size")
    return size


def _values(value_text: str) -> list[int | str]:
    values = json.loads(value_text)
    if not isinstance(values, list) or not all(isinstance(one, int | str) for one in values):
        raise ValueError("no list of numbers or words")
    return [one if isinstance(one, int) else text(one) for one in values][:MOST_MEMBERS]


def _options(value_text: str) -> dict[str, dict[str, Any]]:
    options = json.loads(value_text)
    known = all_tasks()  # never a path: a link must not read files
    for name, values in options.items():
        known[name].resolve_options(values, "plain")
    return {name: dict(values) for name, values in options.items()}


def _template(value_text: str) -> dict[str, Any]:
    return dict(template_options(json.loads(value_text)))


def _poolings(value_text: str) -> list[str]:
    names = json.loads(value_text)
    if not isinstance(names, list) or not set(names) <= set(POOLINGS):
        raise ValueError("unknown")
    return names


def _record(value_text: str) -> list[str]:
    names = json.loads(value_text)
    check_record(names)
    return sorted(set(names))


ACT_BORDER = "; "


def interventions_of(value_text: str) -> tuple[Intervention, ...]:
    """What is done to the model, as it is typed, several apart by "; ".

    Raises
    ------
    SpecError: there is no such thing.
    """
    return tuple(intervention(part) for part in value_text.split(ACT_BORDER) if part.strip())


def _acts(value_text: str) -> str:
    return ACT_BORDER.join(map(str, interventions_of(value_text)))


def places(value_text: str) -> list[int]:
    """Places of items whose attention is kept token by token."""
    found = [whole(0, MOST_ITEMS)(str(place)) for place in json.loads(value_text)]
    if len(found) > MOST_ATTENTION_ITEMS:
        raise ValueError(f"more than {MOST_ATTENTION_ITEMS}")
    return sorted(set(found))


DEMO_OPTIONS = {"linear_regression": {"distractor": True}}
"""Task options of the demo comparison, by task; everything else is the task's own default."""


def _of_side(side: str, kind: str, k: int) -> dict[str, Field]:
    return {
        f"{side}_model": Field(DEMO_MODEL, text),
        f"{side}_task": Field("reading_comprehension", _one_of(all_tasks)),
        f"{side}_kind": Field(kind, _one_of(lambda: KINDS)),
        f"{side}_k": Field(k, whole(0, MOST_K)),
        f"{side}_seed": Field(0, whole(0, MOST_SEED)),
        f"{side}_order": Field(0, whole(0, MOST_SEED)),
        f"{side}_examples": Field("", str),
        f"{side}_acts": Field("", _acts),
    }


SHARED: Mapping[str, Field] = {"all_seeds": Field(False, _flag)}
"""What several pages show alike."""

CONDITIONS: Mapping[str, Field] = {
    **_of_side("a", "none", 0),
    **_of_side("b", "correct", 2),
    "items": Field(64, whole(2, MOST_ITEMS)),
    "items_seed": Field(0, whole(0, MOST_SEED)),
    "style": Field("preset", _one_of(lambda: ("preset", "plain", "chat"))),
    "options": Field(DEMO_OPTIONS, _options),
    "poolings": Field([], _poolings),
    "attention_items": Field([], places),
    "record": Field([], _record),
    "first_token": Field("start", _one_of(lambda: get_args(FirstToken))),
    "template": Field({}, _template),
}
"""What A and B are: reading comprehension, no demonstrations against two."""

HOW_RECORDED = ("poolings", "attention_items", "record", "first_token", "template")
DEMO: Mapping[str, Any] = {name: one.default for name, one in CONDITIONS.items() if name not in HOW_RECORDED}
"""The demo comparison, whatever else is chosen for recording it."""

READERS: Mapping[type, Read] = {bool: _flag, str: text, float: _size, list: _values}
"""Kind of a page's default -> how its field is read; a whole number has its bounds beside it."""


def of_page(value: Any) -> Field:
    """The field of a default as a page writes it: a value, or (value, least, most) of a whole number."""
    if isinstance(value, tuple):
        default, least, most = value
        return Field(default, whole(least, most))
    return Field(value, READERS[type(value)])


def fields() -> Mapping[str, Field]:
    """Every field of a link by its name.

    Raises
    ------
    UserError: two pages mean different things by one name.
    """
    return _table(tuple(pages()))


@lru_cache(maxsize=8)
def _table(declaring: tuple[Page, ...]) -> Mapping[str, Field]:
    found = {**CONDITIONS, **SHARED}
    values = dict[str, Any](found)
    for page in declaring:
        for name, value in page.fields.items():
            if values.setdefault(name, value) != value:
                raise UserError(
                    f"The page {page.title} means another field by “{name}” than others do.", "Give it another name."
                )
            found[name] = of_page(value)
    return found


def defaults() -> dict[str, Any]:
    """Every field at its default."""
    return {name: one.default for name, one in fields().items()}
