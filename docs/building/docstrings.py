"""Docstrings of this project as Markdown: their sections of `name: text` become lists."""

import re
from typing import Any

from griffe import Extension, Object

SECTION = re.compile(r"^(Parameters|Attributes|Raises|Returns|Yields)\n-+\n((?:.+(?:\n|\Z))+)", re.MULTILINE)
ENTRY = re.compile(r"^([\w, ]+): ", re.MULTILINE)


class SectionsAsLists(Extension):
    """Rewrites each docstring before it is rendered."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring is not None:
            obj.docstring.value = SECTION.sub(_listed, obj.docstring.value)


def _listed(section: re.Match[str]) -> str:
    return f"**{section[1]}**\n\n{ENTRY.sub(_entry, section[2])}"


def _entry(entry: re.Match[str]) -> str:
    return f"- {', '.join(f'`{name}`' for name in entry[1].split(', '))}: "
