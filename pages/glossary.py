"""What the words on the pages mean."""

import streamlit as st

from iclviz.ui.page_state import bound
from iclviz.ui.terms import glossary

PAGE = {
    "title": "Glossary",
    "icon": "menu_book",
    "section": "help",
    "order": 1,
    "question": "What do the words mean?",
    "fields": {"find": ""},
}

about = "Terms whose name or meaning holds every word; a term's own name finds it alone."
words = bound(st.text_input, "Find", "find", placeholder="Any word", help=about).strip().lower()
found = {term: meaning for term, meaning in glossary().items() if term.lower() == words} or {
    term: meaning
    for term, meaning in glossary().items()
    if all(word in f"{term} {meaning}".lower() for word in words.split())
}
if not found:
    st.info("No term holds these words.")
left, right = st.columns(2, gap="large")
for place, (term, meaning) in enumerate(found.items()):
    with left if place < (len(found) + 1) // 2 else right:
        st.markdown(f"##### {term}\n{' '.join(meaning.split())}")
