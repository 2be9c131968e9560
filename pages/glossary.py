"""What the words on the pages mean."""

from pathlib import Path

import streamlit as st

from iclviz import ui

PAGE = {
    "title": "Glossary",
    "icon": "menu_book",
    "section": "help",
    "order": 1,
    "question": "What do the words mean?",
}

GLOSSARY = Path(ui.__file__).with_name("glossary.md")


def entries() -> dict[str, str]:
    """Term -> its meaning, in alphabetical order."""
    found = (entry.partition("\n") for entry in f"\n{GLOSSARY.read_text(encoding='utf-8')}".split("\n### ")[1:])
    return {term.strip(): meaning.strip() for term, _, meaning in found}


words = st.text_input("Find", placeholder="Any word", help="Terms whose name or meaning holds every word.").lower()
found = {
    term: meaning
    for term, meaning in entries().items()
    if all(word in f"{term} {meaning}".lower() for word in words.split())
}
if not found:
    st.info("No term holds these words.")
left, right = st.columns(2, gap="large")
for place, (term, meaning) in enumerate(found.items()):
    with left if place < (len(found) + 1) // 2 else right:
        st.markdown(f"##### {term}\n{' '.join(meaning.split())}")
