"""Figures as files: PNG, SVG, PDF by one browser kept open, stand-alone HTML, and their data as CSV and Parquet.

Images have the size of the screen, or that of a journal's column (`iclviz.figures.paper`). Kaleido drives an installed
Chromium. It starts with the first image and stays, since starting costs more than drawing.
"""

import asyncio
import atexit
import io
import os
import re
import shutil
import struct
import threading
import zlib
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Literal

import kaleido
import pandas as pd
import plotly.graph_objects as go

from iclviz.errors import UserError, unknown
from iclviz.figures import table, theme
from iclviz.figures.paper import COLUMNS, PX_PER_MM, fitted

Size = Literal["screen", "single column", "double column"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
FORMATS = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}
"""Kinds of images."""
SIZES: tuple[Size, ...] = ("screen", "single column", "double column")
SCREEN_SCALES, PAPER_DPI = (1, 2, 3, 4), (300, 600)
WIDTH, HEIGHT = 900, 520
SCREEN_DPI = 96

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a text begins with that spreadsheets take for a formula."""

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

DRAWN_BY_ONE_PAGE = 100
"""Figures, before the browser's page is loaded anew."""
START_SECONDS, END_SECONDS = 60, 5

_one_at_a_time = threading.Lock()


def browser() -> str | None:
    """The path of an installed Chromium or Chrome, `$BROWSER_PATH` first; None where there is none or that is empty."""
    return _found(os.environ.get("BROWSER_PATH"))


@cache
def _found(named: str | None) -> str | None:
    if named == "":
        return None
    if named and Path(named).is_file():
        return named
    found = (shutil.which(name) for name in BROWSERS)
    return next((path for path in found if path), None) or _downloaded()


def _downloaded() -> str | None:
    from choreographer.browsers.chromium import Chromium

    path = Chromium.find_browser(skip_local=False)
    return str(path) if path else None


NO_BROWSER = "Images need Chromium: install it with `apt install chromium`, or set BROWSER_PATH to a Chrome."


class _Page(kaleido.PageGenerator):  # type: ignore[misc]
    """Kaleido's page without its margin, which would shift a PDF file's figure and cut its foot."""

    header = f"{kaleido.PageGenerator.header}<style>@page {{ margin: 0 }} img {{ display: block; width: 100% }}</style>"


class _Browser(kaleido.Kaleido):  # type: ignore[misc]
    """Kaleido's browser, which loads its page anew after some figures only: that takes longer than to draw one."""

    n_drawn = 0

    async def _return_kaleido_tab(self, tab: Any) -> None:
        self.n_drawn += 1
        if self.n_drawn % DRAWN_BY_ONE_PAGE:
            await self.tabs_ready.put(tab)
        else:
            await super()._return_kaleido_tab(tab)


class _Images:
    """A browser and the thread in which it is spoken to; both end with this process."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._browser = _Browser(path=browser(), page_generator=_Page(mathjax=False))
        self._wait(self._browser.open(), START_SECONDS)
        atexit.register(self.end)

    def _wait(self, work: Coroutine[Any, Any, Any], longest: float | None = None) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(longest)

    def drawn(self, figure: go.Figure, options: Mapping[str, Any]) -> bytes:
        """A figure as an image."""
        return bytes(self._wait(self._browser.calc_fig(figure, opts=options)))

    def end(self) -> None:
        """End the browser, whatever state it is in."""
        atexit.unregister(self.end)
        with suppress(Exception):
            self._wait(self._browser.close(), END_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)


@cache
def _images() -> _Images:
    return _Images()


def start() -> None:
    """Have the browser start, if there is one, while something else is done."""
    if browser() is not None:
        threading.Thread(target=_start, daemon=True).start()


def _start() -> None:
    with _one_at_a_time, suppress(RuntimeError, OSError, TimeoutError):  # whoever makes an image is told
        _images()


def _drawn(figure: go.Figure, options: Mapping[str, Any]) -> bytes:
    """A figure as an image, one at a time; after a failure the next one gets a new browser.

    Raises
    ------
    UserError: the browser failed.
    """
    with _one_at_a_time:
        try:
            return _images().drawn(figure, options)
        except (RuntimeError, OSError, TimeoutError) as error:
            if _images.cache_info().currsize:
                _images().end()
                _images.cache_clear()
            raise UserError(f"The browser for images failed ({error}).", "Try again, or save as HTML.") from error


def image(figure: go.Figure, kind: str, size: Size = "screen", dpi: int | None = None) -> bytes:
    """The figure as "png", "svg" or "pdf", in the light theme, as a paper prints it.

    Parameters
    ----------
    size: "screen", with its title, or the width of a journal's "single column" or "double column", without.
    dpi: dots an inch of a PNG file; None is 3 dots for each of the screen's, or 600 on paper.

    Raises
    ------
    UserError: no Chromium is installed, or it does not start; there is no such size or kind.
    """
    if kind not in FORMATS:
        raise unknown(UserError, "format", kind, list(FORMATS))
    return _image(*_sized(figure, size), kind, size, dpi)


def images(figure: go.Figure, size: Size) -> Iterator[tuple[str, bytes]]:
    """The figure as every kind of image, laid out once; raises as `image`."""
    plain, scale = _sized(figure, size)
    for kind in FORMATS:
        yield kind, _image(plain, scale, kind, size)


def _image(plain: go.Figure, scale: float, kind: str, size: Size, dpi: int | None = None) -> bytes:
    if browser() is None:
        raise UserError(NO_BROWSER)
    dots = dpi or (3 * SCREEN_DPI if size == "screen" else max(PAPER_DPI))
    options = {
        "format": kind,
        "scale": scale * dots / SCREEN_DPI if kind == "png" else scale,
        "width": plain.layout.width or WIDTH,
        "height": plain.layout.height or HEIGHT,
    }
    drawn = _drawn(plain, options)
    finish = _FINISHES.get(kind)
    return drawn if finish is None or size == "screen" else finish(drawn, dots)


def _sized(figure: go.Figure, size: Size) -> tuple[go.Figure, float]:
    """The figure laid out for a size, with nothing that can be pressed, and how much smaller it is printed."""
    if size not in SIZES:
        raise unknown(UserError, "size", size, list(SIZES))
    is_shown = size == "screen"
    plain = theme.apply(figure, "light") if is_shown else fitted(figure, COLUMNS[size])
    plain.layout.sliders = plain.layout.updatemenus = ()
    return plain, 1 if is_shown else COLUMNS[size].scale


def _with_dpi(png: bytes, dpi: int) -> bytes:
    """A PNG file that also says how large it is printed: a pHYs chunk after the header's."""
    content = b"pHYs" + struct.pack(">IIB", *2 * [round(1000 * dpi / 25.4)], 1)
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    return png[:33] + chunk + png[33:]


def _in_millimetres(svg: bytes, dpi: int) -> bytes:
    """An SVG file whose size is in mm, since programs disagree on how large a px is."""

    def in_mm(found: re.Match[bytes]) -> bytes:
        return b'%s="%.2fmm"' % (found[1], float(found[2]) / PX_PER_MM)

    return re.sub(rb'\b(width|height)="([\d.]+)"', in_mm, svg, count=2)


_FINISHES: Mapping[str, Callable[[bytes, int], bytes]] = {"png": _with_dpi, "svg": _in_millimetres}
"""What is done to an image for paper, given its dots an inch."""


def html(figure: go.Figure) -> bytes:
    """The figure as one HTML file that needs no network."""
    return str(theme.apply(figure, "light").to_html(include_plotlyjs=True)).encode()


def frame(figure: go.Figure) -> pd.DataFrame:
    """The figure's data in long form."""
    return pd.DataFrame(table(figure))


def csv(figure: go.Figure, formulas: bool = False) -> bytes:
    """The figure's data as CSV in long form; `formulas`: as `as_csv`."""
    return as_csv(frame(figure), formulas)


def as_csv(rows: pd.DataFrame, formulas: bool = False, **options: Any) -> bytes:
    """A table as CSV. A text that a spreadsheet would run as a formula gets an apostrophe before it, unless `formulas`
    leaves it as it is; numbers stay numbers.
    """
    safe = rows if formulas else rows.map(_no_formula).rename(columns=_no_formula)
    return bytes(safe.to_csv(index=False, **options).encode())


def _no_formula(cell: Any) -> Any:
    is_formula = isinstance(cell, str) and cell.lstrip(" ")[:1] in FORMULA_STARTS and not NUMBER.fullmatch(cell)
    return f"'{cell}" if is_formula and cell.strip(" ") else cell


def parquet(figure: go.Figure) -> bytes:
    """The same as Parquet, which keeps types and every digit."""
    return as_parquet(frame(figure))


def as_parquet(rows: pd.DataFrame) -> bytes:
    """A table as Parquet. Columns that hold texts beside numbers become texts, since a column has one type there."""
    mixed = [name for name in rows if pd.api.types.infer_dtype(rows[name], skipna=True).startswith("mixed")]
    written = io.BytesIO()
    rows.astype(dict.fromkeys(mixed, str)).to_parquet(written, index=False)
    return written.getvalue()


DATA: Mapping[str, Callable[[go.Figure], bytes]] = {"html": html, "csv": csv, "parquet": parquet}
"""Kinds of files that need no browser and have no size, and how they are made."""
TYPES = {**FORMATS, "html": "text/html", "csv": "text/csv", "parquet": "application/vnd.apache.parquet"}
"""Every kind of file, and its media type."""


def name(figure: go.Figure) -> str:
    """What the figure shows, as a file name without ending."""
    return str(figure.layout.meta["name"])


def file_name(name: str, kind: str, size: Size = "screen") -> str:
    """The name of a figure's file; that of an image for paper says its size."""
    sized = kind in FORMATS and size != "screen"
    return f"{name}-{size.replace(' ', '-')}.{kind}" if sized else f"{name}.{kind}"
