"""The dashboard: page list, the sidebar's choice of A and B; everything else is in `pages/` and `iclviz/`."""

from pathlib import Path

import streamlit as st

from iclviz.errors import UserError
from iclviz.ui import choice
from iclviz.ui.asking import only_what_is_shown

PAGES = {
    "Run": "play_circle",
    "Runs": "table_rows",
    "Summary": "summarize",
    "Compare": "stacked_line_chart",
    "Prompts": "article",
    "Behaviour": "monitoring",
    "RSA": "grid_on",
    "Probing": "network_node",
    "Attention": "visibility",
}


def page(title: str, icon: str, default: bool) -> "st.Page":
    """The page of a file in `pages/`."""
    path = Path(__file__).parent / "pages" / f"{title.lower()}.py"
    return st.Page(path, title=title, icon=f":material/{icon}:", url_path=title.lower(), default=default)


st.set_page_config(page_title="iclviz", page_icon=":material/neurology:", layout="wide", initial_sidebar_state=330)
st.html("<style>.stMainBlockContainer {padding-top: 4rem; padding-bottom: 3rem}</style>")
choice.read_url()
current = st.navigation([page(title, icon, title == "Run") for title, icon in PAGES.items()], position="top")
try:
    choice.sidebar()
    choice.write_url()
    choice.say_refused()
    with only_what_is_shown():
        current.run()
except UserError as error:
    st.error(str(error))
