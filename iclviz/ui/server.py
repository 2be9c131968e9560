"""Streamlit's server for the dashboard: `python -m iclviz.ui.server app.py [options]`.

Streamlit takes a folder named `pages` for its older kind of multipage app until `st.navigation` is first called; until
then a link to a page would run that page without the app around it. This says from the start that it is not so.
"""

import sys

from streamlit.runtime.pages_manager import PagesManager
from streamlit.web import cli


def main() -> None:
    """Run Streamlit's own command line."""
    PagesManager.uses_pages_directory = False
    sys.argv = ["streamlit", "run", *sys.argv[1:]]
    cli.main()


if __name__ == "__main__":
    main()
