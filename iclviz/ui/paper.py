"""What a paper needs of the chosen runs: the methods paragraph, ready to copy and to save."""

import streamlit as st

from iclviz.analysis.of_recording import PAGE_PERMUTATIONS
from iclviz.methods import Resampling, methods
from iclviz.recording import Recording


def methods_section(recordings: list[Recording]) -> None:
    """The methods paragraph of recordings as Markdown and LaTeX with BibTeX, with a button for each."""
    with st.expander("Methods paragraph"):
        written = methods(recordings, Resampling(probe_permutations=PAGE_PERMUTATIONS))
        files = {
            "Markdown": (written.markdown, "methods.md", "markdown"),
            "LaTeX": (written.latex, "methods.tex", "latex"),
            "BibTeX": (written.bibtex, "methods.bib", "latex"),
        }
        for tab, (title, (text, name, language)) in zip(st.tabs(list(files)), files.items(), strict=True):
            with tab:
                st.code(text, language=language, wrap_lines=True)
                st.download_button(f"Save {title}", text, file_name=name, on_click="ignore", icon=":material/download:")
