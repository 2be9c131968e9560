"""Where things stand on pages: the first figure in sight, matrices square, nothing over anything else, at any width."""

import pytest

from tests.browser.dashboard import SIZE, no_traceback, settled
from tests.browser.test_every_page import CUT_OFF, FIGURES, opened_by_its_name

WIDTHS = {390: 844, 768: 1024, 1280: 720, 1920: 1080}
REDRAWN = 100
"""Milliseconds between two looks at figures that take a new width."""
LOOKS = 100
UPPER_THIRD = SIZE["height"] // 3

FIRST = """
() => {
  const plot = document.querySelector('.stMain .js-plotly-plot');
  const box = plot.getBoundingClientRect();
  const {height, margin} = plot._fullLayout;
  return {top: box.top, bottom: box.top + height - margin.b};
}
"""
"""Where the first figure begins, and where its axes end."""

PLACES = """
() => [...document.querySelectorAll('.stMain .js-plotly-plot, .stMain .js-plotly-plot text')]
  .map(one => one.getBoundingClientRect()).map(box => [box.left, box.right, box.top])
"""
"""Where figures and their words stand."""

MATRICES = """
() => [...document.querySelectorAll('.stMain .js-plotly-plot')].flatMap(plot =>
  Object.entries(plot._fullLayout).filter(([name, axis]) => /^yaxis[0-9]*$/.test(name) && axis.scaleanchor)
    .map(([name, axis]) => [plot._fullLayout[name.replace('y', 'x')]._length, axis._length]))
"""
"""Width and height of every panel whose axes have one scale."""

BESIDE = """
() => [...document.querySelectorAll('.stMain .js-plotly-plot')].flatMap(plot =>
  Object.entries(plot._fullLayout).filter(([name]) => /^xaxis[0-9]+$/.test(name))
    .filter(([, axis]) => axis.domain[0] > 0.5)).length
"""
"""Panels that stand in the right half of a figure."""

STOP = """
() => {
  const at = document.activeElement;
  return at.closest('header') ? 'menus' : at.closest('.stMain') ? 'page' : at.closest('a') ? 'skip' : 'else';
}
"""
"""What the keyboard has reached."""

OVERLAPS = """
() => {
  const boxes = [...document.querySelectorAll('.stMain [data-testid="stElementContainer"]')]
    .filter(one => !one.querySelector('[data-testid="stElementContainer"]') && one.getClientRects().length)
    .filter(one => !one.closest('details:not([open])'))
    .map(one => [one, one.getBoundingClientRect()]).filter(([, box]) => box.width > 1 && box.height > 1);
  const found = [];
  const said = one => (one.innerText || one.outerHTML).slice(0, 80);
  boxes.forEach(([one, a], place) => boxes.slice(place + 1).forEach(([other, b]) => {
    const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (across > 4 && down > 4) found.push(`${said(one)} | ${said(other)}`);
  }));
  return found;
}
"""
"""Pairs of elements that lie over each other."""


def redrawn(page) -> None:
    """Wait until nothing moves any more: figures take a new width when the machine has time for it."""
    settled(page)
    before, now = None, page.evaluate(PLACES)
    for _ in range(LOOKS):
        page.wait_for_timeout(REDRAWN)
        before, now = now, page.evaluate(PLACES)
        if now == before:
            return
    raise AssertionError("the figures still move")


def test_the_first_figure_begins_in_the_upper_third_and_is_read_without_scrolling(demo, page):
    page.goto(demo)
    settled(page)
    for name in (name for name, fewest in FIGURES.items() if fewest):
        opened_by_its_name(page, name)
        found = page.evaluate(FIRST)
        assert found["top"] <= UPPER_THIRD, name
        assert found["bottom"] <= SIZE["height"], name


@pytest.mark.parametrize(
    ("theme", "widths"),
    [
        ("light", [390, 1280]),
        pytest.param("light", [768, 1920], marks=pytest.mark.long),
        pytest.param("dark", list(WIDTHS), marks=pytest.mark.long),
    ],
)
def test_at_any_width_nothing_lies_over_anything_and_matrices_are_square(demo, chromium, theme, widths):
    page = chromium.new_context(viewport={"width": 390, "height": WIDTHS[390]}, color_scheme=theme).new_page()
    page.goto(demo)  # so loaded, the sidebar is folded
    settled(page)
    for name in FIGURES:
        page.set_viewport_size(SIZE)  # where pages have their menus
        opened_by_its_name(page, name)
        no_traceback(page)
        for width in widths:
            page.set_viewport_size({"width": width, "height": WIDTHS[width]})
            redrawn(page)
            where = f"{name} at {width}"
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), where
            assert page.evaluate(CUT_OFF) == [], where
            if width == min(WIDTHS):
                assert page.evaluate(BESIDE) == 0, where
            assert page.evaluate(OVERLAPS) == [], where
            for across, down in page.evaluate(MATRICES):
                assert across == pytest.approx(down, abs=2), where
    page.context.close()


def test_the_menus_of_pages_and_the_page_itself_are_reached_within_five_stops_of_the_keyboard(demo, page):
    page.goto(f"{demo}/summary")
    settled(page)
    stops = []
    for _ in range(3):
        page.keyboard.press("Tab")
        stops.append(page.evaluate(STOP))
    assert stops == ["skip", "menus", "menus"]
    page.reload()
    settled(page)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate(STOP) == "page"


def test_on_a_phone_the_menu_goes_when_a_page_is_chosen(demo, chromium):
    page = chromium.new_context(viewport={"width": 390, "height": WIDTHS[390]}).new_page()
    page.goto(f"{demo}/summary")
    settled(page)
    page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_test_id("stSidebarNavLink").filter(has_text="RSA").click()
    page.wait_for_url("**/rsa*")
    page.wait_for_function("document.querySelector('[data-testid=\"stSidebar\"]').getBoundingClientRect().right <= 0")
    page.context.close()
