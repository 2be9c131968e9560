"""The real dashboard with its worker and the demo model, in a real Chromium."""

from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from iclviz.reporting.figure_files import browser as installed_browser
from tests.browser.dashboard import SIZE, run_demo, running

ARTEFACTS = Path(__file__).parents[1] / "artefacts"


def pytest_collection_modifyitems(items):
    """One process has the browser and its dashboards, for as long as others run other tests."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="package")
def address(tmp_path_factory, demo_model):
    """A dashboard with an empty cache."""
    with running(tmp_path_factory.mktemp("dashboard")) as address:
        yield address


@pytest.fixture(scope="package")
def empty(tmp_path_factory, demo_model):
    """A dashboard in whose cache nothing is ever recorded."""
    with running(tmp_path_factory.mktemp("empty")) as address:
        yield address


@pytest.fixture(scope="package")
def demo(address, chromium):
    """The demo comparison, run by its button."""
    page = chromium.new_context(viewport=SIZE).new_page()
    run_demo(page, address)
    picture(page, "run")
    page.context.close()
    return address


@pytest.fixture(scope="package")
def chromium():
    assert installed_browser(), "install Chromium first: make setup"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=installed_browser(), args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="package")
def context(chromium):
    """What the browser fetches for one page of a test it has for those of others."""
    context = chromium.new_context(viewport=SIZE, accept_downloads=True)
    yield context
    context.close()


@pytest.fixture
def page(context):
    page = context.new_page()
    yield page
    page.close()


def picture(page, name: str) -> None:
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{name}.png")
