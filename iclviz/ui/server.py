"""Streamlit's server for the dashboard: `python -m iclviz.ui.server app.py [options]`.

Streamlit takes a folder named `pages` for its older kind of multipage app until `st.navigation` is first called; until
then a link to a page would run that page without the app around it. This says from the start that it is not so. Every
request goes through the guard first. With `$ICLVIZ_TIED` set the server ends with whoever started it, even if that was
killed: it holds this one's standard input.
"""

import os
import signal
import sys
import threading
from typing import Any

from starlette.middleware import Middleware
from streamlit import config
from streamlit.runtime.pages_manager import PagesManager
from streamlit.web import cli
from streamlit.web.server.starlette import starlette_app

from iclviz.addresses import check_open
from iclviz.errors import UserError
from iclviz.owner import owner
from iclviz.ui.access import Guard

TIED = "ICLVIZ_TIED"


def main() -> None:
    """Run Streamlit's own command line, guarded."""
    if os.environ.pop(TIED, ""):
        threading.Thread(target=_end_with_caller, daemon=True).start()
    PagesManager.uses_pages_directory = False
    starlette_app.create_streamlit_middleware = guarded(starlette_app.create_streamlit_middleware)
    sys.argv = ["streamlit", "run", *sys.argv[1:]]
    cli.main()


def _end_with_caller() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def guarded(own: Any) -> Any:
    """Streamlit's middleware with the guard before it."""

    def middleware() -> list[Middleware]:
        address, allowed = config.get_option("server.address") or "0.0.0.0", owner()
        try:
            check_open(address, allowed)
        except UserError as error:
            sys.exit(str(error))
        return [Middleware(Guard, address=address, hosts=allowed.hosts, password=allowed.password), *own()]

    return middleware


if __name__ == "__main__":
    main()
