"""Texts that Streamlit would read as marks, in a real page: what is seen is what was written, and nothing is loaded."""

import json
import subprocess
import sys
import time

import pytest

from tests.browser.dashboard import free_port

TEXTS = [
    "![i](http://example.org/i.png)", "[a](http://example.org) [b]: c", "<b>x</b> &amp; &lt; <!-- c -->",
    "http://example.org www.example.org WWW.E.ORG a@b.com", ":smile: :material/home: :streamlit: :100: 12:30",
    ":red[x] :blue-badge[y] :small[z]", "$x^2$ and $$y$$", "France -> Paris <- Rome <-> a -- b >= c <= d ~= e",
    "_a_ b_c __d__ *e* ~~f~~ ~g~", "`code` `` a ` b", "# h", "> quote", "- item", "+ item", "1. one", "12) two",
    "1234. x", "--- x", "=== x", "| a | b |", "C:\\x \\* end\\", "p < 0.05 (95 % interval −0.1 to 0.2), k = 2",
    "[^1]: foot", "two\nlines",
]  # fmt: skip

PAGE = """
import json, streamlit as st
from iclviz.ui.plain_text import as_text
for place, text in enumerate(json.loads({texts!r})):
    with st.container(key=f"bare-{{place}}"):
        st.markdown(as_text(text))
    with st.container(key=f"strong-{{place}}"):
        st.markdown(f"Item **{{as_text(text)}}** end")
    with st.container(key=f"button-{{place}}"):
        st.button(as_text(text), key=f"press-{{place}}")
    with st.container(key=f"cell-{{place}}"):
        st.table([{{"value": as_text(text)}}], hide_index=True, hide_header=True)
"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.py"
    path.write_text(PAGE.format(texts=json.dumps(TEXTS)))
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", path, "--server.port", str(port), "--server.headless", "true"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield f"http://localhost:{port}"
    process.terminate()
    process.wait(10)


def visit(page, address, seconds=30):
    for _ in range(seconds):
        try:
            page.goto(address)
            break
        except Exception:
            time.sleep(1)
    page.wait_for_selector(f".st-key-cell-{len(TEXTS) - 1} table")
    page.wait_for_timeout(500)


def test_every_text_is_seen_as_it_was_written(shown, page):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    visit(page, shown)
    for place, text in enumerate(TEXTS):
        for kind, around in {"bare": "{}", "strong": "Item {} end", "button": "{}", "cell": "{}"}.items():
            box = page.locator(f".st-key-{kind}-{place}").first
            seen = " ".join(box.inner_text().replace("\u2060", "").split())
            assert seen == around.format(" ".join(text.split())), kind
            assert box.locator("img, a, em, code, h1, li, .katex, [data-testid=stIconMaterial]").count() == 0, (
                kind,
                text,
            )
    assert not [url for url in asked if "example.org" in url]
