"""The dashboard: its pages in sections, the sidebar's choice of A and B; all else is in `pages/` and `iclviz/`."""

import streamlit as st

from iclviz.errors import UserError
from iclviz.ui import controls, jobs, loading, page_state, recorded_pairs
from iclviz.ui.answering import only_what_is_shown
from iclviz.ui.login import ask_for_login
from iclviz.ui.page_files import SECTIONS, Page, pages
from iclviz.ui.plain_text import lines_as_text
from iclviz.ui.style import heading, set_look

FRONT = "iclviz"


def navigable(page: Page) -> "st.Page":
    """A page as the navigation takes it."""
    return st.Page(page.path, title=page.title, icon=f":material/{page.icon}:", url_path=page.address)


def front() -> None:
    """The first page: the Summary once anything was recorded, of the newest comparison where no link asks for one."""
    is_used = bool(loading.store().summaries())
    if is_used and not st.query_params.to_dict():
        recorded_pairs.show_newest()
    st.switch_page(shown["Summary" if is_used else "Run"])


set_look()
ask_for_login()
try:
    page_state.read_url()
    found = {page.title: page for page in pages()}
except UserError as error:  # a page of one's own that does not say what it is
    st.error(lines_as_text(str(error)))
    st.stop()
shown = {title: navigable(page) for title, page in found.items()}
sections = {
    words: [shown[title] for title, page in found.items() if page.section == name] for name, words in SECTIONS.items()
}
current = st.navigation(
    {
        "": [st.Page(front, title=FRONT, default=True, visibility="hidden")],
        **{words: within for words, within in sections.items() if within},
    },
    position="top",
)
try:
    if current.title == FRONT:
        current.run()
    heading(found[current.title])  # before what takes its time: the sidebar's look at the tasks, the page's imports
    jobs.note_open()
    controls.sidebar()
    page_state.write_url()
    page_state.say_refused()
    with only_what_is_shown():
        current.run()
except UserError as error:
    st.error(lines_as_text(str(error)))
