"""Text of tasks, items, runs and links in Markdown, shown as it was written.

Besides Markdown's own marks, Streamlit reads colours, icons and shortcodes between colons, formulas between dollar
signs and arrows, and makes links of bare addresses. Some of it it reads only after escapes are gone: there an unseen
character that joins words (U+2060) parts the marks. Ordinary sentences stay as they are.
"""

import re

_JOINER = "\u2060"

_READ_LATE = re.compile(
    r"(?<=[-<])(?=[->=])|(?<=[>~])(?==)"  # arrows and signs such as -> and >=
    r"|(?<=:)(?=[\w+/-])"  # :shortcodes:, :material/icons:, :colours[…], addresses
    r"|(?<=\b[wW]{3})(?=\.)|(?<=\w)(?=@[\w-]+\.)"
)
"""Places between characters that Streamlit reads together, escaped or not."""

_MARKS = re.compile(
    r"[\\`*\[\]$~]"
    r"|(?<![^\W_])_|_(?![^\W_])"
    r"|&(?=#?\w+;)|!(?=\[)|(?<=\])\("
    r"|<(?=[\w/!?])"
    r"|^[-+#>=]"
    r"|(?<=^\d)[.)]|(?<=^\d\d)[.)]|(?<=^\d\d\d)[.)]|(?<=^\d{4})[.)]"
)
"""What Markdown reads anywhere, or at the start of a line."""


def as_text(text: str) -> str:
    """A text as one line of Markdown that shows it as it is."""
    line = re.sub(r"[ \t\r\n\f\v]+", " ", text).strip(" ")
    return _MARKS.sub(lambda mark: f"\\{mark[0]}", _READ_LATE.sub(_JOINER, line))


def lines_as_text(text: str) -> str:
    """The same of a text of several lines."""
    return "  \n".join(map(as_text, text.splitlines()))
