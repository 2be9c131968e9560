"""How long it takes on the page Live until what is done shows, in a real browser with the demo model.

Reading comprehension with two demonstrations. From the choice in a menu until another margin stands on the page, the
model loaded: each kind of text in turn is cut off from the last prompt token, for several items, so that nothing was
answered before. `python -m benchmarks.live` prints the times.
"""

import os
import re
import tempfile
import time
from pathlib import Path
from statistics import median

from playwright.sync_api import Page, sync_playwright

import iclviz
from iclviz.models.presets import DEMO_MODEL
from iclviz.reporting.figure_files import browser
from tests.browser.dashboard import SIZE, running, settled

ITEMS, PATIENCE = (1, 2, 3, 4), 20.0
CUTS = ("irrelevant text", "question text", "demonstration text", "special text")
LOADING = "The model is being loaded"


def margin(page: Page) -> str:
    """What the page says of the right answer's margin."""
    return page.get_by_test_id("stMetricValue").first.inner_text()


def until_it_shows(page: Page, cut: str) -> float:
    """Seconds from the choice of what is cut off until another margin stands there."""
    before = margin(page)
    page.get_by_role("combobox", name=re.compile("To$")).click()
    option = page.get_by_role("option", name=cut, exact=True)
    option.wait_for()
    option.click()
    start = time.perf_counter()
    while margin(page) == before:
        if time.perf_counter() - start > PATIENCE:
            raise RuntimeError(f"{cut}: still {before} after {PATIENCE:g} s")
        page.wait_for_timeout(5)
    return time.perf_counter() - start


def main() -> None:
    """Print the times."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ["ICLVIZ_CACHE"] = cache
        for k in (0, 2):
            shown = iclviz.Demonstrations("correct", k)
            iclviz.run(DEMO_MODEL, "reading_comprehension", shown, progress=False)
        found = []
        with running(Path(cache)) as address, sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox"])
            page = chromium.new_context(viewport=SIZE).new_page()
            for item in ITEMS:
                page.goto(f"{address}/live?item={item}")
                settled(page)
                page.get_by_text(LOADING).wait_for(state="detached", timeout=60_000)
                page.get_by_text("Writes “").wait_for(timeout=60_000)
                for cut in CUTS:
                    found.append(until_it_shows(page, cut))
                    page.wait_for_timeout(1500)  # what the model writes comes after
            chromium.close()
    shown_times = ", ".join(f"{one:.2f}" for one in found)
    print(f"{len(found)} cuts: median {median(found):.2f} s, longest {max(found):.2f} s ({shown_times})")


if __name__ == "__main__":
    main()
