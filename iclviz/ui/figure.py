"""A figure on a page: its caption, its text alternative, and buttons that make files on the click."""

import re
from collections.abc import Callable
from functools import partial

import plotly.graph_objects as go
import streamlit as st

from iclviz import saving
from iclviz.errors import UserError
from iclviz.figures import theme


def show(figure: go.Figure, name: str = "") -> None:
    """Draw a figure in the page's theme, with its caption and its save buttons; `name` tells apart two of a kind."""
    kind, caption = saving.name(figure), figure.layout.meta["caption"]
    name = f"{kind}-{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')}" if name else kind
    themed = theme.apply(go.Figure(figure), "dark" if st.context.theme.type == "dark" else "light")
    config = {"displaylogo": False, "toImageButtonOptions": {"format": "png", "scale": 3, "filename": name}}
    st.plotly_chart(themed, theme=None, key=f"figure-{name}", config=config, alt=caption)
    st.caption(caption)
    _buttons(figure, name)


def _buttons(figure: go.Figure, name: str) -> None:
    makers: dict[str, Callable[[], bytes]] = {
        **{kind: partial(saving.image, figure, kind) for kind in saving.FORMATS},
        "csv": partial(saving.csv, figure),
        "html": partial(saving.html, figure),
    }
    types = {**saving.FORMATS, "csv": "text/csv", "html": "text/html"}
    missing = saving.browser() is None
    with st.container(horizontal=True, gap="small"):
        for kind, make in makers.items():
            st.download_button(
                kind.upper(),
                data=partial(_or_reason, make),
                file_name=f"{name}.{kind}",
                mime=types[kind],
                key=f"save-{name}-{kind}",
                on_click="ignore",
                type="tertiary",
                icon=":material/download:",
                disabled=missing and kind in saving.FORMATS,
                help=saving.NO_BROWSER if missing and kind in saving.FORMATS else f"Save as {kind.upper()}.",
            )


def _or_reason(make: Callable[[], bytes]) -> bytes:
    """The file, or the reason as its text: a download that has begun cannot put a sentence on the page."""
    try:
        return make()
    except UserError as error:
        return str(error).encode()
