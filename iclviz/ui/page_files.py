"""The pages, found as files: each says at its top, as data, what it is and which fields of links are its own.

    PAGE = {
        "title": "RSA", "icon": "grid_on", "section": "inside", "order": 1,
        "question": "Which items does a layer treat alike?",
        "fields": {"sorted": "", "layer": (15, 0, 1000)},
    }

What a file says is read without running it, so the dashboard's first page waits for no other page's imports. A file of
one's own in the folder `pages` of `$ICLVIZ_EXTENSIONS` is a page like any other.
"""

import ast
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.errors import StreamlitAPIException
from streamlit.string_util import validate_material_icon

from iclviz.errors import UserError
from iclviz.extensions import page_files

SECTIONS = {
    "run": "Run",
    "compare": "Compare",
    "inside": "Inside",
    "why": "Why",
    "help": "Help",
}
"""The sections of the navigation, in their order; one without pages is left out."""


@dataclass(frozen=True, eq=False)
class Page:
    """What a page's file says of it.

    Attributes
    ----------
    path: the file.
    title, icon: in the navigation; the icon is one of Material's.
    section: one of `SECTIONS`; order: its place there.
    question: what it answers, in one line.
    invitation: what a button says that leads there from the Summary; "" where none does.
    fields: name -> default of the link's fields that are its own. A whole number has its bounds beside it.
    """

    path: Path
    title: str
    icon: str
    section: str
    order: int
    question: str
    invitation: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """The last part of its address."""
        return self.path.stem.replace("_", "-")


def pages() -> list[Page]:
    """Every page, by section and order.

    Raises
    ------
    UserError: a file does not say what it is, or says what another does.
    """
    return list(_in_order(tuple(_page(path, path.stat().st_mtime_ns) for path in page_files())))


@lru_cache(maxsize=8)
def _in_order(found: tuple[Page, ...]) -> tuple[Page, ...]:
    for one, other in combinations(found, 2):
        if one.address == other.address or one.title == other.title:
            raise UserError(
                f"Two pages are called {other.title}, or their files are: {one.path} and {other.path}.",
                "Give one of them another title and file name.",
            )
    sections = list(SECTIONS)
    return tuple(sorted(found, key=lambda page: (sections.index(page.section), page.order, page.title)))


@lru_cache(maxsize=128)
def _page(path: Path, changed: int) -> Page:
    try:
        values = next(
            ast.literal_eval(node.value)
            for node in _statements(path.read_text(encoding="utf-8"))
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and _names(node)
        )
        page = Page(path, **values)
        if not path.stem.isidentifier():
            raise ValueError("its file's name is no Python name")
        if page.section not in SECTIONS:
            raise ValueError(f"there is no section {page.section!r}")
        if not isinstance(page.fields, Mapping):
            raise ValueError("its fields are no table")
        validate_material_icon(f":material/{page.icon}:")
    except (OSError, SyntaxError, ValueError, TypeError, StopIteration, StreamlitAPIException) as error:
        reason = " ".join(str(error).split()) or "it has no PAGE"
        raise UserError(
            f"The page {path.name} does not say what it is ({reason}).",
            "Give it a table PAGE with title, icon, section, order and question.",
        ) from error
    return page


def _statements(text: str) -> list[ast.stmt]:
    """A file's statements, up to PAGE's where that ends at the margin: what comes after is long, and not needed."""
    with suppress(SyntaxError):
        if head := re.match(r".*?^PAGE\s*[:=].*?^}", text, re.DOTALL | re.MULTILINE):
            return ast.parse(head.group()).body
    return ast.parse(text).body


def _names(node: ast.Assign | ast.AnnAssign) -> bool:
    """Whether it is what gives PAGE its value."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [getattr(one, "id", "") for one in targets] == ["PAGE"]


def page_named(name: str) -> Page:
    """The page of that file name.

    Raises
    ------
    KeyError: there is none.
    """
    return {page.path.stem: page for page in pages()}[name]


def open_page(name: str) -> None:
    """Go to the page of that file name."""
    st.switch_page(page_named(name).path)
