"""The one box of a page that says which values are missing and why."""

from collections.abc import Sequence

import streamlit as st

from iclviz.ui.plain_text import as_text


def show_missing(lines: Sequence[str]) -> None:
    """One cause a line; nothing where there is none."""
    if lines:
        st.info("\n".join(["**Missing values**", "", *(f"- {as_text(line)}" for line in lines)]))
