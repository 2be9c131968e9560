"""What a paper needs of the chosen runs: all of it as one file, and the methods paragraph, ready to copy."""

import streamlit as st

from iclviz.analysis.measure import Resampling
from iclviz.analysis.measures.probe import PERMUTATIONS
from iclviz.recording import Recording
from iclviz.reporting.methods import methods
from iclviz.ui.saving_comparison import comparison_buttons


def paper_section(recordings: list[Recording]) -> None:
    """One ZIP file and one report of the recordings, and their methods paragraph as Markdown and LaTeX with BibTeX."""
    comparison_buttons({one.key: one for one in recordings})
    with st.expander("Methods paragraph"):
        written = methods(recordings, Resampling(probe_permutations=PERMUTATIONS))
        files = {
            "Markdown": (written.markdown, "methods.md", "markdown"),
            "LaTeX": (written.latex, "methods.tex", "latex"),
            "BibTeX": (written.bibtex, "methods.bib", "latex"),
        }
        for tab, (title, (text, name, language)) in zip(st.tabs(list(files)), files.items(), strict=True):
            with tab:
                st.code(text, language=language, wrap_lines=True)
                st.download_button(f"Save {title}", text, file_name=name, on_click="ignore", icon=":material/download:")
