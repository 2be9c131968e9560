"""Starting the real dashboard and waiting for its pages, for the browser tests and the screenshots."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from iclviz.ui.page_files import SECTIONS, pages

SIZE = {"width": 1280, "height": 720}
LONGEST_RUN = 300
QUIET = 2
"""Looks in a row that find nothing busy: between an answer and the page that shows it there is a moment of peace."""

BUSY = ", ".join(
    (
        '[data-testid="stApp"][data-test-script-state="running"]',
        '[data-testid="stSpinner"]',
        '[data-testid="stSkeleton"]',
        '[class*="st-key-awaited"]',
    )
)
"""The script runs, something is computed, Plotly is still being loaded, or an answer is awaited."""


def free_port() -> int:
    with socket.create_server(("localhost", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def running(cache: Path, *options: str) -> Iterator[str]:
    """The dashboard over a cache, as `make run` starts it; its address. It has to end without an error."""
    port = free_port()
    command = [sys.executable, "-m", "iclviz", "dashboard", "--port", str(port), *options]
    environment = {**os.environ, "ICLVIZ_CACHE": str(cache)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        while "iclviz is ready" not in (line := process.stdout.readline()):
            assert line, "the dashboard ended before it was ready"
        yield f"http://localhost:{port}"
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def settled(page, longest: float = 60) -> None:
    """Wait until the script has run, every answer has come and every figure is drawn."""
    page.wait_for_selector("h1")
    deadline, quiet = time.monotonic() + longest, 0
    while time.monotonic() < deadline:
        page.wait_for_timeout(250)
        quiet = quiet + 1 if page.locator(BUSY).count() == 0 else 0
        if quiet == QUIET:
            return
    raise AssertionError(f"the page is still running after {longest:g} seconds")


def choose_page(page, name: str) -> None:
    """Open the menu of a page's section and click the page's name."""
    show_menu(page, name)
    page_link(page, name).click()


def show_menu(page, name: str) -> None:
    """Open the menu in which a page's name stands."""
    section = next(SECTIONS[one.section] for one in pages() if one.title == name)
    page.get_by_test_id("stTopNavSection").filter(has_text=section).click()
    page_link(page, name).wait_for()


def page_link(page, name: str):
    """A page's name in the open menu."""
    return page.get_by_test_id("stTopNavDropdownLink").filter(has=page.get_by_text(name, exact=True))


def seen(page, text):
    """A text of the page, where it is shown."""
    return page.get_by_text(text).filter(visible=True).first


def no_traceback(page) -> None:
    """Nothing on the page went wrong."""
    assert page.locator('[data-testid="stException"]').count() == 0
    assert "Traceback" not in page.inner_text("body")


def run_demo(page, address: str) -> None:
    """Click the demo comparison, and wait until both conditions are recorded."""
    page.goto(address)
    page.get_by_role("button", name="Run no examples against two").click()
    both = "document.body.innerText.split('recorded, key').length >= 3"
    page.wait_for_function(both, timeout=LONGEST_RUN * 1000)
    settled(page)
