"""Figures as files: PNG, SVG, PDF by one browser kept open, stand-alone HTML, and their data as CSV.

Kaleido drives an installed Chromium. It starts with the first image and stays, since starting costs more than drawing.
"""

import os
import shutil
import threading
from functools import cache
from pathlib import Path
from typing import Any

import kaleido
import pandas as pd
import plotly.graph_objects as go

from iclviz.errors import UserError
from iclviz.figures import table, theme

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
FORMATS = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}
WIDTH, HEIGHT, PNG_SCALE = 900, 520, 3

_starting = threading.Lock()


@cache
def browser() -> str | None:
    """The path of an installed Chromium or Chrome, `$BROWSER_PATH` first; None where there is none."""
    named = os.environ.get("BROWSER_PATH")
    if named and Path(named).is_file():
        return named
    found = (shutil.which(name) for name in BROWSERS)
    return next((path for path in found if path), None) or _downloaded()


def _downloaded() -> str | None:
    from choreographer.browsers.chromium import Chromium

    path = Chromium.find_browser(skip_local=False)
    return str(path) if path else None


NO_BROWSER = "Images need Chromium: install it with `apt install chromium`, or set BROWSER_PATH to a Chrome."


@cache
def _server() -> Any:
    kaleido.start_sync_server(path=browser(), mathjax=False, silence_warnings=True)
    return kaleido


def image(figure: go.Figure, kind: str) -> bytes:
    """The figure as "png", "svg" or "pdf", in the light theme, as a paper prints it.

    Raises
    ------
    UserError: no Chromium is installed, or it does not start.
    """
    if browser() is None:
        raise UserError(NO_BROWSER)
    plain = theme.apply(go.Figure(figure), "light")
    size = {"width": plain.layout.width or WIDTH, "height": plain.layout.height or HEIGHT}
    options = {"format": kind, "scale": PNG_SCALE if kind == "png" else 1, **size}
    with _starting:
        try:
            return bytes(_server().calc_fig_sync(plain, opts=options))
        except (RuntimeError, OSError, TimeoutError) as error:
            raise UserError(f"The browser for images failed ({error}).", "Try again, or save as HTML.") from error


def html(figure: go.Figure) -> bytes:
    """The figure as one HTML file that needs no network."""
    return str(theme.apply(go.Figure(figure), "light").to_html(include_plotlyjs=True)).encode()


def csv(figure: go.Figure) -> bytes:
    """The figure's data as CSV in long form."""
    return bytes(pd.DataFrame(table(figure)).to_csv(index=False).encode())


def name(figure: go.Figure) -> str:
    """What the figure shows, as a file name without ending."""
    return str(figure.layout.meta["name"])
