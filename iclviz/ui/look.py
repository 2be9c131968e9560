"""How the pages look beyond Streamlit's theme (`.streamlit/config.toml`): icon, margins, texts that can be read."""

from pathlib import Path

import streamlit as st

from iclviz.figures.theme import FAINT_INK, Mode

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


QUESTIONS = {
    "Run": "What does the model read, and what is to be run?",
    "Runs": "What has been run? Find it, name it, compare it.",
    "Summary": "Did behaviour change, and does what changed inside the model go with it?",
    "Compare": "How do up to eight conditions differ?",
    "Prompts": "What exactly was read and answered?",
    "Behaviour": "How well does the model do?",
    "RSA": "Which items does a layer treat alike, and is it as a hypothesis says?",
    "Probing": "What can be read from a layer, of items that the probe has not seen?",
    "Attention": "Does attention go to the text that matters?",
    "Glossary": "What do the words mean?",
}
"""Page -> what it answers."""


def heading(title: str) -> None:
    """A page's title, and the question that it answers."""
    st.title(title)
    st.caption(QUESTIONS[title])
