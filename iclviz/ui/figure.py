"""A figure on a page: its caption, its text alternative, and a row that saves it as a file and shows its numbers.

The row is a fragment, and what opens from it is drawn only once it is open, so a page pays for two small buttons.
"""

import re
from collections.abc import Callable
from functools import partial
from html import escape, unescape
from typing import Any, cast

import plotly.graph_objects as go
import streamlit as st

from iclviz.errors import UserError
from iclviz.figures import theme
from iclviz.figures.arranging import arrange, shorten_labels
from iclviz.reporting import figure_files
from iclviz.reporting.recipes import Recipe, Runs
from iclviz.ui import screen
from iclviz.ui.answering import answers
from iclviz.ui.copying import Copied, show_copies
from iclviz.ui.terms import with_terms

HELP = {
    "png": "Save as PNG: dots.",
    "svg": "Save as SVG: lines and text that can be edited.",
    "pdf": "Save as PDF: lines and text, for LaTeX.",
    "html": "Save as HTML: one file with hover and zoom that needs no network.",
    "csv": "Save the numbers as CSV.",
    "parquet": "Save the numbers as Parquet, which keeps types and every digit.",
}
"""Kind of file -> what its button is for."""
RESOLUTIONS: dict[bool, dict[int, str]] = {
    False: {scale * figure_files.SCREEN_DPI: f"{scale}×" for scale in figure_files.SCREEN_SCALES},
    True: {dpi: f"{dpi} dpi" for dpi in figure_files.PAPER_DPI},
}
"""Whether it is for paper -> dots an inch of a PNG file -> what they are called."""
DEFAULT_DPI = {False: 3 * figure_files.SCREEN_DPI, True: max(figure_files.PAPER_DPI)}
DATA_ROWS_HEIGHT = 320


def show(
    figure: go.Figure, name: str = "", draw: Callable[..., Any] = st.plotly_chart, copied: Copied | None = None
) -> None:
    """Draw a figure in the page's theme, with its caption and its row; `name` tells apart two of a kind.

    draw: what draws it, called as `st.plotly_chart` with a copy that it may change.
    copied: how it is made again, where that can be copied.
    """
    kind, caption = figure_files.name(figure), figure.layout.meta["caption"]
    name = f"{kind}-{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')}" if name else kind
    themed = theme.apply(figure, "dark" if st.context.theme.type == "dark" else "light")
    config: dict[str, Any] = {
        "displaylogo": False,
        "toImageButtonOptions": {"format": "png", "scale": 3, "filename": name},
    }
    if room := screen.room():
        config["displayModeBar"] = False  # it would lie over what is small already
        st.html(_title_that_wraps(figure))
        arrange(themed, room)
    else:
        shorten_labels(themed)
    draw(themed, theme=None, key=f"figure-{name}", config=config, alt=caption)
    st.caption(with_terms(caption).replace(" %", "\N{NO-BREAK SPACE}%"))
    _row(figure, name, copied)


def _title_that_wraps(figure: go.Figure) -> str:
    """Title and subtitle as text, since what is drawn cannot wrap."""
    title, subtitle = figure.layout.title.text or "", figure.layout.title.subtitle.text or ""
    return f'<p class="iclviz-title">{_plain(title)}<br><small>{_plain(subtitle)}</small></p>'


def _plain(text: str) -> str:
    return escape(re.sub("<[^>]+>", " ", unescape(text)))


def show_recipe(recipe: Recipe, runs: Runs, name: str = "") -> dict[str, Any]:
    """Ask what a recipe asks of runs, label -> recording, and draw its figure; the answers by label."""
    found = answers(recipe.questions(runs))
    show(recipe.draw(found, runs), name, copied=Copied(recipe, runs))
    return found


@st.fragment
def _row(figure: go.Figure, name: str, copied: Copied | None) -> None:
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        save = st.popover(
            "Save",
            icon=":material/download:",
            type="tertiary",
            key=f"save-{name}",
            on_change="rerun",
            help="Save this figure as PNG, SVG, PDF or HTML, for the screen or a column of a paper, or its numbers.",
        )
        if details := figure.layout.meta.get("details"):
            with st.popover("How", icon=":material/info:", type="tertiary", help="How these numbers came about."):
                st.markdown(with_terms(details))
        if copied is not None:
            show_copies(copied, name)
        shown = st.toggle("Data", key=f"data-{name}", help="Show the numbers of this figure as a table.")
    if save.open:
        with save:
            _buttons(figure, name)
    if shown:
        st.dataframe(figure_files.frame(figure), hide_index=True, height=DATA_ROWS_HEIGHT, key=f"table-{name}")


def _buttons(figure: go.Figure, name: str) -> None:
    size = cast(figure_files.Size, _chosen_size(name))
    on_paper = size != "screen"
    names = RESOLUTIONS[on_paper]
    dpi = st.segmented_control(
        "PNG resolution",
        list(names),
        default=DEFAULT_DPI[on_paper],
        format_func=names.__getitem__,
        required=True,
        key=f"dpi-{name}-{on_paper}",
        help="Dots of a PNG file: times those of the screen, or an inch on paper. SVG and PDF are sharp at any.",
    )
    makers: dict[str, Callable[[], bytes]] = {
        **{kind: partial(figure_files.image, figure, kind, size, dpi) for kind in figure_files.FORMATS},
        **{kind: partial(make, figure) for kind, make in figure_files.DATA.items()},
    }
    missing = figure_files.browser() is None
    with st.container(horizontal=True, gap="small"):
        for kind, make in makers.items():
            is_image = kind in figure_files.FORMATS
            st.download_button(
                kind.capitalize() if kind == "parquet" else kind.upper(),
                data=partial(_or_reason, make),
                file_name=figure_files.file_name(name, kind, size),
                mime=figure_files.TYPES[kind],
                key=f"save-{name}-{kind}",
                on_click="ignore",
                disabled=missing and is_image,
                help=figure_files.NO_BROWSER if missing and is_image else HELP[kind],
            )


def _chosen_size(name: str) -> str:
    """The size for this figure; that of the figure before it is the default."""
    size = st.segmented_control(
        "Size",
        figure_files.SIZES,
        default=st.session_state.get("size of saved figures", figure_files.SIZES[0]),
        format_func=str.capitalize,
        required=True,
        key=f"size-{name}",
        help="As on the screen, or the width of a journal's column with text of 7 pt and no title.",
    )
    st.session_state["size of saved figures"] = size
    return str(size)


def _or_reason(make: Callable[[], bytes]) -> bytes:
    """The file, or the reason as its text: a download that has begun cannot put a sentence on the page."""
    try:
        return make()
    except UserError as error:
        return str(error).encode()
