"""How the pages look beyond Streamlit's theme (`.streamlit/config.toml`): icon, margins, texts that can be read."""

from pathlib import Path

import streamlit as st

from iclviz.figures.theme import FAINT_INK, Mode
from iclviz.ui.page_files import Page

ICON, WORDMARK = (Path(__file__).with_name(name) for name in ("icon.svg", "wordmark.svg"))

STYLE = """<style>
.stMainBlockContainer {padding-top: 4rem; padding-bottom: 3rem}
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] p {color: %s; opacity: 1}
[data-testid="stSliderThumbValue"] p, [data-variant="segmented_control"][aria-checked="true"] p {color: %s}
</style>"""
"""Streamlit's own captions, and the primary colour as text on dark, are too pale for WCAG's 4.5 : 1."""

ACCENT = {"light": "#1f5fa8", "dark": "#8fbfee"}
"""The primary colour as text."""


def set_look() -> None:
    """The page's title, icon and style; the first thing that the app does."""
    st.set_page_config("iclviz", str(ICON), layout="wide", initial_sidebar_state=330)
    st.logo(str(WORDMARK), icon_image=str(ICON))
    mode: Mode = "dark" if st.context.theme.type == "dark" else "light"
    st.html(STYLE % (FAINT_INK[mode], ACCENT[mode]))


def heading(page: Page) -> None:
    """A page's title, and the question that it answers."""
    st.title(page.title)
    st.caption(page.question)
