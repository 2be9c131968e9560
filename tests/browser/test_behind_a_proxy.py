"""A dashboard that others reach by a name that is not its own, under a part of a site, with a password."""

import pytest
from playwright.sync_api import sync_playwright

from iclviz.reporting.figure_files import browser
from tests.browser.dashboard import SIZE, choose_page, running, settled

PASSWORD, NAME, PART = "a long password", "lab.example.org", "user/me/iclviz"

pytestmark = pytest.mark.long


@pytest.fixture
def port(tmp_path, monkeypatch):
    """A dashboard's, whose owner names the proxy."""
    (tmp_path / "config.toml").write_text(f'[dashboard]\npassword = "{PASSWORD}"\nhosts = ["{NAME}"]\n')
    monkeypatch.setenv("ICLVIZ_CONFIG", str(tmp_path / "config.toml"))
    with running(tmp_path / "cache", "--base-path", f"/{PART}/") as address:
        yield address.rpartition(":")[2]


@pytest.fixture
def page():
    """A browser that finds the name on this machine, as a proxy would."""
    rule = f"--host-resolver-rules=MAP {NAME} 127.0.0.1"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox", rule])
        yield started.new_page(viewport=SIZE)
        started.close()


def test_with_the_password_every_page_is_there_under_the_proxys_name(port, page):
    page.goto(f"http://{NAME}:{port}/{PART}/")
    page.get_by_label("Password").fill("another one")
    page.get_by_role("button", name="Open").click()
    page.get_by_text("That is another one.").wait_for()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Open").click()
    settled(page)
    choose_page(page, "Runs")
    settled(page)
    assert page.url.startswith(f"http://{NAME}:{port}/{PART}/runs")
