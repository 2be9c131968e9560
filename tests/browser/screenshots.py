"""The pictures of the README and the docs, from the real dashboard: `python -m tests.browser.screenshots FOLDER`.

Runs the demo comparison in a cache of its own, which takes about a minute, and photographs every page in both themes.
"""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from iclviz.saving import browser
from tests.browser.dashboard import SIZE, run_demo, running, settled

PAGES = ("summary", "prompts", "behaviour", "rsa", "probing", "attention")
SCALE = 1.5


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as cache, running(Path(cache)) as address, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox"])
        run_demo(chromium.new_page(), address)
        for scheme in ("light", "dark"):
            context = chromium.new_context(viewport=SIZE, color_scheme=scheme, device_scale_factor=SCALE)
            page = context.new_page()
            for name in ("", *PAGES):
                page.goto(f"{address}/{name}")
                settled(page)
                page.wait_for_timeout(1500)
                page.screenshot(path=folder / f"{name or 'run'}-{scheme}.png")
        chromium.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
