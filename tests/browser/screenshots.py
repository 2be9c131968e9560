"""The pictures of the README and the docs, from the real dashboard: `python -m tests.browser.screenshots FOLDER`.

Runs the demo comparison and a k curve in a cache of its own, which takes some minutes, and photographs every page in
both themes.
"""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from iclviz.reporting.figure_files import browser
from tests.browser.dashboard import LONGEST_RUN, SIZE, run_demo, running, settled

PAGES = ("run", "summary", "compare", "prompts", "behaviour", "rsa", "probing", "attention", "trajectory")
TALL = {**SIZE, "height": 860}
"""So that the figure below a page's controls is in the picture."""
SCALE = 1.5


def run_k_curve(page, address: str) -> None:
    """Run more values of k on the Compare page, by its button."""
    page.goto(f"{address}/compare?values=[1,2,4]")
    settled(page)
    page.get_by_role("button", name="Run the 2 missing conditions").click()
    all_run = "!document.body.innerText.includes('Not run yet')"
    page.wait_for_function(all_run, timeout=LONGEST_RUN * 1000)
    settled(page, LONGEST_RUN)


def record_trajectory(page, address: str) -> None:
    """Record the answer trajectory of the demo comparison, by the page's button."""
    page.goto(f"{address}/trajectory")
    settled(page)
    page.get_by_role("button", name="Record the trajectory of A and B").click()
    page.locator(".stMain .js-plotly-plot").first.wait_for(timeout=LONGEST_RUN * 1000)
    settled(page, LONGEST_RUN)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache,
        running(Path(cache)) as address,
        sync_playwright() as playwright,
    ):
        chromium = playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox"])
        run_demo(chromium.new_page(), address)
        run_k_curve(chromium.new_page(), address)
        record_trajectory(chromium.new_page(), address)
        for scheme in ("light", "dark"):
            context = chromium.new_context(viewport=TALL, color_scheme=scheme, device_scale_factor=SCALE)
            page = context.new_page()
            for name in PAGES:
                page.goto(f"{address}/{name}")
                settled(page)
                page.wait_for_timeout(1500)
                page.screenshot(path=folder / f"{name}-{scheme}.png")
        chromium.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
