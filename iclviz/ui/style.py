"""How the pages look beyond Streamlit's theme (`.streamlit/config.toml`): icon, margins, texts that can be read."""

from pathlib import Path

import streamlit as st

from iclviz.figures.theme import FAINT_INK, Mode
from iclviz.ui import screen
from iclviz.ui.page_files import Page

ICON, WORDMARK = (Path(__file__).with_name(name) for name in ("icon.svg", "wordmark.svg"))

STYLE = """<style>
.stAppViewContainer {reading-flow: source-order} [data-testid="stSidebar"] {reading-order: 1}
:has(> .st-key-watching) {display: none}
.stMainBlockContainer {padding: 3.3rem 2.5rem 3rem}
.stMainBlockContainer h1 {padding: 0.2rem 0}
.stMainBlockContainer > [data-testid="stVerticalBlock"] {row-gap: 0.6rem}
.st-key-heading {row-gap: 0}
.st-key-controls > [data-testid="stElementContainer"]:has([data-testid="stCaptionContainer"]) {flex: 1 1 15rem}
.st-key-controls [data-testid="stCaptionContainer"] p {font-size: 0.78rem; line-height: 1.35}
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] p {color: %s; opacity: 1}
a[href*="glossary?find="] {color: inherit; text-decoration: underline dotted 1px; text-underline-offset: 0.2em}
header button:focus-visible, header a:focus-visible {outline: 2px solid %s; outline-offset: 1px}
.iclviz-title {margin: 0; font-weight: 600; line-height: 1.3} .iclviz-title small {font-weight: 400}
[data-testid="stSliderThumbValue"] p, [data-variant="segmented_control"][aria-checked="true"] p {color: %s}
</style>"""
"""The menus of pages are read before the sidebar, whose many fields would stand before them. Streamlit's own captions,
and the primary colour as text on dark, are too pale for WCAG's 4.5 : 1.
"""

ACCENT = {"light": "#1f5fa8", "dark": "#8fbfee"}
"""The primary colour as text."""


def set_look() -> None:
    """The page's title, icon and style; the first thing that the app does."""
    st.set_page_config("iclviz", str(ICON), layout="wide", initial_sidebar_state=330)
    st.logo(str(WORDMARK), icon_image=str(ICON))
    mode: Mode = "dark" if st.context.theme.type == "dark" else "light"
    st.html(STYLE % (FAINT_INK[mode], ACCENT[mode], ACCENT[mode]))
    with st.container(key="watching"):
        screen.watch()


def heading(page: Page) -> None:
    """A page's title, and the question that it answers."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="heading"):
        st.title(page.title, width="content")
        st.caption(page.question, width="content")
