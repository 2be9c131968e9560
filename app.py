"""The dashboard: page list, the sidebar's choice of A and B; everything else is in `pages/` and `iclviz/`."""

from pathlib import Path

import streamlit as st

from iclviz.errors import UserError
from iclviz.ui import choice, controls, loading, recent
from iclviz.ui.asking import only_what_is_shown
from iclviz.ui.login import ask_for_login
from iclviz.ui.look import heading, set_look
from iclviz.ui.plain import lines_as_text

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
    "Glossary": "menu_book",
}


FRONT = "iclviz"


def page(title: str, icon: str) -> "st.Page":
    """The page of a file in `pages/`."""
    path = Path(__file__).parent / "pages" / f"{title.lower()}.py"
    return st.Page(path, title=title, icon=f":material/{icon}:", url_path=title.lower())


def front() -> None:
    """The first page: the Summary once anything was recorded, of the newest comparison where no link asks for one."""
    is_used = bool(loading.store().summaries())
    if is_used and not st.query_params.to_dict():
        recent.show_newest()
    st.switch_page(pages["Summary" if is_used else "Run"])


set_look()
ask_for_login()
choice.read_url()
pages = {title: page(title, icon) for title, icon in PAGES.items()}
current = st.navigation(
    [st.Page(front, title=FRONT, default=True, visibility="hidden"), *pages.values()], position="top"
)
try:
    if current.title == FRONT:
        current.run()
    heading(current.title)  # before what takes its time: the sidebar's look at the tasks, the page's own imports
    controls.sidebar()
    choice.write_url()
    choice.say_refused()
    with only_what_is_shown():
        current.run()
except UserError as error:
    st.error(lines_as_text(str(error)))
