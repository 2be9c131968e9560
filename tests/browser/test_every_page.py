"""Every page in both themes: it shows what it has, nothing is cut off, and anybody can use it."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.conftest import picture
from tests.browser.dashboard import LONGEST_RUN, SIZE, choose_page, no_traceback, seen, settled

THEMES = ("light", "dark")
FIGURES = {
    "Run": 0, "Runs": 0, "Summary": 2, "Compare": 5, "Prompts": 0, "Behaviour": 3, "RSA": 2, "Probing": 1,
    "Attention": 3, "Trajectory": 0, "Causes": 0, "Live": 0, "Vectors": 0, "Heads": 0, "Flow": 0, "Glossary": 0,
}  # fmt: skip
"""Page -> how many figures of the demo comparison it shows at least."""

CUT_OFF = """
() => [...document.querySelectorAll('.stMain .js-plotly-plot text, .stMain button p, .stMain label p, .stMain h1')]
  .filter(one => one.getClientRects().length && one.getBoundingClientRect().right > innerWidth + 1)
  .map(one => one.textContent)
"""
"""Texts that the window's right edge cuts."""

CHART = '[data-testid="stPlotlyChart"]'
DESCRIBED = f'{CHART}[role="figure"][aria-label]'


def violations(page) -> list[str]:
    """What axe-core finds that keeps somebody from using the page."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def opened_by_its_name(page, name) -> None:
    choose_page(page, name)
    page.get_by_role("heading", name=name, exact=True, level=1).wait_for()
    settled(page)


@pytest.fixture(params=["light", pytest.param("dark", marks=pytest.mark.long)])
def look(request, chromium):
    """A page of one theme, and what it is called."""
    context = chromium.new_context(viewport=SIZE, color_scheme=request.param)
    yield context.new_page(), request.param
    context.close()


def test_every_page_shows_its_figures_cuts_nothing_off_and_keeps_nobody_out(demo, look):
    page, called = look
    page.goto(demo)
    settled(page, LONGEST_RUN)  # the first look at a summary computes its answers
    assert page.get_by_role("heading", name="Summary", level=1).count() == 1
    found = {}
    for name, fewest in FIGURES.items():
        opened_by_its_name(page, name)
        no_traceback(page)
        assert page.locator(".stMain .js-plotly-plot").count() >= fewest, name
        assert page.get_by_test_id("stAlertContentError").count() == 0, name
        assert page.evaluate(CUT_OFF) == [], name
        assert page.locator(DESCRIBED).count() == page.locator(CHART).count(), name
        found[name] = violations(page)
        picture(page, f"{name.lower()}-{called}")
    assert not {name: problems for name, problems in found.items() if problems}


@pytest.mark.parametrize("theme", ["light", pytest.param("dark", marks=pytest.mark.long)])
def test_pages_without_runs_say_what_to_do_and_keep_nobody_out(empty, chromium, theme):
    page = chromium.new_context(viewport=SIZE, color_scheme=theme).new_page()
    page.goto(empty)
    settled(page)
    assert page.get_by_role("heading", name="Run", level=1).count() == 1
    page.get_by_text("in three steps").wait_for()
    for name in FIGURES:
        opened_by_its_name(page, name)
        no_traceback(page)
        assert violations(page) == [], name
        picture(page, f"{name.lower()}-empty-{theme}")
    page.context.close()


MOST_STOPS = 150

REACHED = """
() => document.activeElement.closest('[data-testid="stElementContainer"]')?.className.match(/st-key-[^ ]+/)?.[0] ?? ''
"""
CONTROLS = """
() => [...document.querySelectorAll('.stMain [class*="st-key-choice-"]')]
  .map(one => one.className.match(/st-key-[^ ]+/)[0])
"""


@pytest.mark.parametrize(
    "name", ["Compare", *(pytest.param(name, marks=pytest.mark.long) for name in ("RSA", "Attention"))]
)
def test_every_control_is_reached_by_keyboard(demo, page, name):
    page.goto(f"{demo}/{name.lower()}")
    page.locator('.stMain [class*="st-key-choice-"]').first.wait_for()
    settled(page)
    wanted = set(page.evaluate(CONTROLS))
    page.get_by_role("heading", level=1).click()
    reached = set()
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(REACHED))
        if wanted <= reached:
            return
    raise AssertionError(f"never reached: {wanted - reached}")


def test_five_sessions_do_not_disturb_each_other(demo, chromium):
    pages = {layer: chromium.new_context().new_page() for layer in (3, 9, 12, 20, 27)}
    for layer, page in pages.items():
        page.goto(f"{demo}/rsa?layer={layer}{'' if layer % 2 else '&a_kind=correct&a_k=2'}")
    for layer, page in pages.items():
        seen(page, f"Layer {layer}, items sorted").wait_for()
    for layer, page in pages.items():
        settled(page)
        no_traceback(page)
        page.get_by_role("slider", name="Layer").first.press("ArrowRight")
        seen(page, f"Layer {layer + 1}, items sorted").wait_for()
    for layer, page in pages.items():
        assert f"layer={layer + 1}" in page.url
        assert ("a_k=2" in page.url) == (layer % 2 == 0)
        page.context.close()


def test_layers_are_played(demo, page):
    page.goto(f"{demo}/rsa?layer=0")
    settled(page)
    page.get_by_text("Play", exact=True).first.click()
    seen(page, "through the layers").wait_for()
    settled(page)
    page.locator(".updatemenu-button", has_text="Play").click()
    page.wait_for_function("document.querySelector('.slider-current-value, .slider-label')?.textContent.match(/[1-9]/)")
    no_traceback(page)
