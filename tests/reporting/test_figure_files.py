import csv
import io
import json
import re
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from iclviz.errors import UserError
from iclviz.figures.paper import COLUMNS
from iclviz.reporting import figure_files

sys.path.insert(0, str(Path(__file__).parents[1] / "figures"))
from samples import DRAWN, drawn

BEGINNINGS = {
    "png": b"\x89PNG",
    "svg": b"<svg",
    "pdf": b"%PDF",
    "html": b"<!doctype html>",
    "csv": b"series,",
    "parquet": b"PAR1",
}
WORDS = ("A: no demonstrations", "Alignment (Spearman's rho)", "Layer (0 = input of the first block)")


@pytest.fixture(scope="module")
def figure():
    return drawn("alignment-by-layer")


@pytest.fixture
def no_browser(monkeypatch):
    monkeypatch.setattr(figure_files, "browser", lambda: None)


def dots(png):
    """Width and height in dots, and dots a metre where the file says them."""
    told = png.find(b"pHYs")
    a_metre = struct.unpack(">II", png[told + 4 : told + 12]) if told > 0 else None
    return struct.unpack(">II", png[16:24]), a_metre


def page(pdf):
    """Width and height of the page in mm."""
    box = re.search(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    return [float(side) / 72 * 25.4 for side in box.groups()]


@pytest.mark.parametrize("kind", figure_files.FORMATS)
def test_an_image_begins_as_its_format_does(figure, kind):
    assert figure_files.image(figure, kind).startswith(BEGINNINGS[kind])


@pytest.mark.parametrize("kind", figure_files.DATA)
def test_other_files_begin_as_their_formats_do_and_need_no_browser(figure, kind, no_browser):
    assert figure_files.DATA[kind](figure).startswith(BEGINNINGS[kind])


def test_every_kind_of_file_has_a_media_type():
    assert set(figure_files.TYPES) == {*figure_files.FORMATS, *figure_files.DATA} == set(BEGINNINGS)


@pytest.mark.parametrize("name", DRAWN)
def test_parquet_holds_what_csv_does(name):
    exact = pd.read_parquet(io.BytesIO(figure_files.parquet(drawn(name))))
    written = pd.read_csv(io.BytesIO(exact.to_csv(index=False).encode()))
    pd.testing.assert_frame_equal(written, pd.read_csv(io.BytesIO(figure_files.csv(drawn(name), formulas=True))))


def test_a_column_of_words_and_numbers_becomes_words_in_parquet():
    rows = pd.DataFrame({"mixed": ["yes", 3, None], "numbers": [1.5, 2.0, None]})
    read = pd.read_parquet(io.BytesIO(figure_files.as_parquet(rows)))
    assert read["mixed"].tolist()[:2] == ["yes", "3"]
    assert read["mixed"].isna().tolist() == [False, False, True]
    assert read["numbers"].tolist()[:2] == [1.5, 2.0]


@pytest.mark.parametrize("size", COLUMNS)
def test_an_svg_file_is_as_wide_as_the_column_in_millimetres(figure, size):
    svg = figure_files.image(figure, "svg", size).decode()
    width, unit = re.match(r'<svg[^>]* width="([\d.]+)(\w+)"', svg).groups()
    assert (float(width), unit) == (pytest.approx(COLUMNS[size].width_mm, abs=0.1), "mm")


@pytest.mark.parametrize("size", COLUMNS)
def test_the_page_of_a_pdf_file_is_as_wide_as_the_column(figure, size):
    assert page(figure_files.image(figure, "pdf", size))[0] == pytest.approx(COLUMNS[size].width_mm, abs=0.5)


@pytest.mark.parametrize(("size", "dpi", "width"), [
    ("single column", 600, 89 / 25.4 * 600),
    ("single column", 300, 89 / 25.4 * 300),
    ("double column", None, 183 / 25.4 * 600),
])  # fmt: skip
def test_a_png_file_for_paper_has_its_dots_and_says_so(figure, size, dpi, width):
    (across, _), a_metre = dots(figure_files.image(figure, "png", size, dpi))
    assert across == pytest.approx(width, rel=0.002)
    assert a_metre == (pytest.approx((dpi or 600) / 0.0254, abs=1),) * 2


def test_a_png_file_for_paper_is_whole(figure):
    png, place = figure_files.image(figure, "png", "single column", 300), 8
    while place < len(png):
        length = struct.unpack(">I", png[place : place + 4])[0]
        content, told = png[place + 4 : place + 8 + length], png[place + 8 + length : place + 12 + length]
        assert zlib.crc32(content) == struct.unpack(">I", told)[0]
        place += 12 + length
    assert content == b"IEND"


@pytest.mark.parametrize("scale", figure_files.SCREEN_SCALES)
def test_a_png_file_of_the_screen_has_so_many_times_its_dots(figure, scale):
    (across, down), _ = dots(figure_files.image(figure, "png", dpi=scale * figure_files.SCREEN_DPI))
    assert (across, down) == (scale * figure_files.WIDTH, scale * figure.layout.height)


@pytest.mark.parametrize("size", figure_files.SIZES)
def test_text_of_an_svg_file_stays_text(figure, size):
    svg = figure_files.image(figure, "svg", size).decode()
    said = [re.sub("<[^>]+>", "", one) for one in re.findall(r"<text.*?</text>", svg)]
    assert set(WORDS) <= set(said)


@pytest.mark.parametrize("size", figure_files.SIZES)
def test_text_of_a_pdf_file_stays_text_in_a_font_of_its_own(figure, size):
    pdf = figure_files.image(figure, "pdf", size)
    assert b"/FontFile2" in pdf
    assert b"/Subtype /Image" not in pdf
    assert set(WORDS) <= set(pdf_lines(pdf))


def pdf_lines(pdf):
    """The runs of text of a PDF file's page, read as a viewer does that copies them: glyphs by each font's own map."""
    streams = [zlib.decompressobj().decompress(one) for one in re.findall(rb"stream\r?\n(x.*?)endstream", pdf, re.S)]
    letters = {}
    for stream in streams:
        for block in re.findall(rb"beginbfchar(.*?)endbfchar", stream, re.S):
            letters |= {
                int(code, 16): bytes.fromhex(text.decode()).decode("utf-16-be")
                for code, text in re.findall(rb"<(\w+)> <(\w+)>", block)
            }
        for block in re.findall(rb"beginbfrange(.*?)endbfrange", stream, re.S):
            for first, last, text in re.findall(rb"<(\w+)> <(\w+)> <(\w+)>", block):
                codes = range(int(first, 16), int(last, 16) + 1)
                letters |= {code: chr(int(text, 16) + code - codes[0]) for code in codes}
    for run in re.findall(rb"BT(.*?)ET", b"\n".join(streams), re.S):
        glyphs = b"".join(re.findall(rb"<([0-9A-Fa-f]+)>", run))
        yield "".join(letters.get(int(glyphs[place : place + 4], 16), "") for place in range(0, len(glyphs), 4))


@pytest.mark.parametrize("size", COLUMNS)
def test_paper_leaves_title_and_subtitle_to_the_caption(figure, size):
    svg = figure_files.image(figure, "svg", size).decode()
    assert figure.layout.title.text in figure_files.image(figure, "svg").decode()
    assert figure.layout.title.text not in svg
    assert "corrected over layers" not in svg


def test_html_stands_alone(figure):
    text = figure_files.html(figure).decode()
    assert "https://cdn" not in re.sub(r"<script.*?</script>", "", text, flags=re.S)
    assert json.dumps(figure.layout.title.text, ensure_ascii=True)[1:10] in text


def test_without_a_browser_an_image_says_what_to_install(figure, no_browser):
    with pytest.raises(UserError, match="apt install chromium"):
        figure_files.image(figure, "png", "single column")


def test_an_unknown_size_or_format_lists_the_known_ones(figure):
    with pytest.raises(UserError, match="Known: screen, single column, double column"):
        figure_files.image(figure, "png", "poster")
    with pytest.raises(UserError, match="Known: png, svg, pdf"):
        figure_files.image(figure, "gif")


FORMULAS = ("=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "=HYPERLINK(1)", "＝1", "-x")


def test_cells_that_begin_a_formula_are_quoted_unless_they_are_numbers():
    plain = ["-5", "+1.5e3", "-.5", "a=1", "", " ", "-1.", "'x"]
    rows = pd.DataFrame({"text": [*FORMULAS, *plain], "number": np.arange(-9.0, 9.0)})
    back = pd.read_csv(
        io.BytesIO(figure_files.as_csv(rows, quoting=csv.QUOTE_NONNUMERIC)), keep_default_na=False, dtype=str
    )
    assert list(back["text"]) == [*(f"'{cell}" for cell in FORMULAS), *plain]
    assert list(back["number"].astype(float)) == list(rows["number"])
    same = pd.read_csv(io.BytesIO(figure_files.as_csv(rows, formulas=True, quoting=csv.QUOTE_NONNUMERIC)), dtype=str)
    assert list(same["text"])[:3] == list(FORMULAS[:3])
    assert figure_files.as_csv(pd.DataFrame({"=1": [1]})).startswith(b"'=1")


def test_an_empty_path_of_a_browser_is_no_browser(monkeypatch):
    monkeypatch.setenv("BROWSER_PATH", "")
    assert figure_files.browser() is None
