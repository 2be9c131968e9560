"""The way of a first user: start, run the demo, see seven pages, move a slider, save a picture, share a link."""

import json
import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import picture
from tests.browser.dashboard import LONGEST_RUN, SIZE, choose_page, no_traceback, seen, settled

PAGES = {
    "Prompts": ".iclviz-prompt",
    "Behaviour": ".js-plotly-plot .scatterlayer",
    "RSA": ".js-plotly-plot .heatmaplayer",
    "Probing": ".js-plotly-plot .scatterlayer",
    "Attention": ".js-plotly-plot .barlayer",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_summary_begins_with_behaviour_and_its_scatter_follows_the_layer(demo, chromium, scheme):
    page = chromium.new_context(viewport=SIZE, color_scheme=scheme).new_page()
    page.goto(f"{demo}/summary")
    page.wait_for_selector(".js-plotly-plot .scatterlayer", timeout=LONGEST_RUN * 1000)
    settled(page)
    no_traceback(page)
    assert page.locator('[data-testid="stAlertContentError"]').count() == 0
    assert "ehaviour" in page.locator("h4").first.inner_text()
    assert "For this demonstration set" in page.locator(".stMain").inner_text()
    picture(page, f"summary-{scheme}")
    page.get_by_text("The link with behaviour, layer by layer").click()
    slider = page.get_by_role("slider", name="Layer")
    layer = int(slider.input_value())
    key, next_layer = (
        ("ArrowLeft", layer - 1) if layer == int(slider.get_attribute("max")) else ("ArrowRight", layer + 1)
    )
    slider.press(key)
    seen(page, re.compile(rf"(layer|block) {next_layer} against")).wait_for()
    settled(page)
    no_traceback(page)
    page.context.close()


def test_moving_the_layer_slider_redraws_the_matrices(demo, page):
    page.goto(f"{demo}/rsa")
    page.wait_for_selector(PAGES["RSA"])
    settled(page)
    page.get_by_role("slider", name="Layer").press("ArrowRight")
    seen(page, "Layer 16, items sorted").wait_for()
    settled(page)
    page.wait_for_function("location.search.includes('layer=16')")
    no_traceback(page)


KINDS = {
    "PNG": b"\x89PNG",
    "SVG": b"<svg",
    "PDF": b"%PDF",
    "HTML": b"<!doctype html>",
    "CSV": b"series,",
    "Parquet": b"PAR1",
}


def ready_to_save(demo, page) -> None:
    """Open what saves the probing page's first figure, by keyboard alone."""
    page.goto(f"{demo}/probing")
    page.wait_for_selector(PAGES["Probing"])
    settled(page)
    page.get_by_test_id("stPopover").filter(has_text="Save").get_by_role("button").first.press("Enter")
    page.get_by_role("button", name="PNG", exact=True).wait_for()


def saved(page, kind, to) -> str:
    """Save as that kind; the name that the file is given."""
    with page.expect_download(timeout=60000) as download:
        page.get_by_role("button", name=kind, exact=True).press("Enter")
    download.value.save_as(to)
    return download.value.suggested_filename


@pytest.mark.parametrize(
    "kind", [kind if kind in ("PNG", "CSV") else pytest.param(kind, marks=pytest.mark.long) for kind in KINDS]
)
def test_a_figure_is_saved_under_the_name_of_what_it_shows(demo, page, kind, tmp_path):
    ready_to_save(demo, page)
    assert saved(page, kind, tmp_path / "figure") == f"probe-by-layer.{kind.lower()}"
    assert (tmp_path / "figure").read_bytes().startswith(KINDS[kind])


def test_a_figure_is_saved_in_the_width_of_a_column(demo, page, tmp_path):
    ready_to_save(demo, page)
    page.get_by_role("radio", name="Single column").click()
    page.get_by_role("radio", name="600 dpi").wait_for()
    settled(page)
    assert saved(page, "SVG", tmp_path / "figure") == "probe-by-layer-single-column.svg"
    assert (
        b'width="89.' in (tmp_path / "figure").read_bytes()[:300]
        or b'width="88.9' in (tmp_path / "figure").read_bytes()[:300]
    )


def test_the_numbers_of_a_figure_are_shown_as_a_table(demo, page):
    page.goto(f"{demo}/probing")
    page.wait_for_selector(PAGES["Probing"])
    settled(page)
    page.get_by_text("Data", exact=True).first.click()
    page.get_by_test_id("stDataFrame").wait_for()
    no_traceback(page)


def test_a_link_reproduces_the_view_after_changing_the_page_and_reloading(demo, page):
    page.goto(f"{demo}/rsa?a_kind=correct&a_k=4&hypothesis=same_name&layer=7")
    settled(page)
    choose_page(page, "Behaviour")
    page.get_by_role("heading", name="Behaviour").wait_for()
    settled(page)
    assert "a_k=4" in page.url
    assert "hypothesis=same_name" in page.url
    page.reload()
    settled(page)
    expect(page.get_by_role("spinbutton", name="k", exact=True).first).to_have_value("4")
    assert "a_k=4" in page.url
    choose_page(page, "RSA")
    page.get_by_role("heading", name="RSA").wait_for()
    settled(page)
    assert "layer=7" in page.url


def alternatives(page) -> list[str]:
    """What the figures on a page show, in words."""
    return [chart.get_attribute("aria-label") for chart in page.get_by_test_id("stPlotlyChart").all()]


def test_a_copied_link_shows_somebody_else_the_same_view(demo, page, chromium):
    page.goto(f"{demo}/rsa?hypothesis=same_name&sorted=clusters&colours=rank")
    settled(page)
    page.get_by_role("slider", name="Layer").press("ArrowRight")
    page.get_by_role("radio", name="Difference map").click()
    seen(page, "Difference of representational similarity").wait_for()
    settled(page)
    page.get_by_role("button", name="Copy as").first.click()
    link = page.get_by_test_id("stCode").first.inner_text().strip()
    theirs = chromium.new_context(viewport=SIZE).new_page()
    theirs.goto(link)
    seen(theirs, "Difference of representational similarity").wait_for()
    settled(theirs)
    assert alternatives(theirs) == alternatives(page)
    assert "layer 16" in " ".join(alternatives(theirs))
    theirs.context.close()


def test_what_is_changed_in_the_sidebar_is_in_the_link(demo, page):
    page.goto(f"{demo}/behaviour")
    settled(page)
    page.get_by_role("spinbutton", name="k", exact=True).first.fill("3")
    page.get_by_role("spinbutton", name="k", exact=True).first.press("Enter")
    page.wait_for_function("location.search.includes('a_k=3')")
    settled(page)
    page.get_by_role("button", name="Swap A and B").click()
    page.wait_for_function("location.search.includes('b_k=3') && location.search.includes('a_k=2')")


def test_nonsense_in_a_link_is_one_sentence(demo, page):
    page.goto(f"{demo}/rsa?a_k=banana&items=-3&options=%7B")
    page.get_by_text("This link holds values that cannot be used").wait_for()
    settled(page)
    no_traceback(page)


def test_tokens_show_their_id_on_hover(demo, page):
    page.goto(f"{demo}/prompts")
    page.wait_for_selector(".iclviz-prompt span[title]")
    assert "id " in (page.locator(".iclviz-prompt span[title]").first.get_attribute("title") or "")


def test_task_options_are_applied_and_kept_in_the_link(demo, page):
    page.goto(f"{demo}/run?a_task=linear_regression&b_task=linear_regression")
    settled(page)
    page.get_by_text("Task options and prompt style").click()
    largest = page.get_by_role("spinbutton", name="Largest x")
    largest.fill("30")
    largest.press("Tab")
    expect(largest).to_have_value("30")
    settled(page)
    page.get_by_role("button", name="Apply").press("Enter")
    page.wait_for_function("decodeURIComponent(location.search).includes('\"x_max\":30')")
    settled(page)
    options = page.evaluate("new URLSearchParams(location.search).get('options')")
    assert json.loads(options) == {"linear_regression": {"distractor": True, "x_max": 30}}
