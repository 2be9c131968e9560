"""How wide the page is, where it is narrow: figures are laid out for it, panels one under another."""

import streamlit as st

NARROW = 800
"""The widest page, beside the sidebar, for which figures are laid out anew, in px."""
PHONE = 390
EDGES = 80
"""What a page leaves free beside its figures."""

KEY = "screen"
JS = """
export default function ({data, setStateValue}) {
  const page = document.querySelector(".stMain");
  const tell = () => {
    const width = Math.floor(page.clientWidth / 10) * 10;
    const told = width <= data.narrow ? width : 0;
    if (told !== data.known) setStateValue("width", told);
  };
  let later;
  const watching = new ResizeObserver(() => {
    clearTimeout(later);
    later = setTimeout(tell, 200);
  });
  window.watchingWidth?.disconnect();
  window.watchingWidth = watching;
  watching.observe(page);
  window.closingMenu ??= document.addEventListener("click", (click) => {
    if (window.innerWidth <= 768 && click.target.closest('[data-testid="stSidebarNavLink"]'))
      document.querySelector('[data-testid="stSidebarCollapseButton"] button')?.click();
  }) ?? true;
}
"""
"""Tells the width once it stays the same: a sidebar that opens moves for a while. Where the sidebar lies over the page,
it goes when a page is chosen in it.
"""


def watch() -> None:
    """Have the browser tell how wide the page is, where that is not what is known."""
    component = st.components.v2.component(KEY, js=JS)
    component(key=KEY, data={"known": _width(), "narrow": NARROW}, on_width_change=lambda: None)


def room() -> int | None:
    """The width that a figure has on a narrow page, in px; None where it has as much as it needs."""
    return max(_width() - EDGES, 200) if _width() else None


def _width() -> int:
    """The width of a narrow page, 0 of another; before the browser has told it, what it calls itself decides."""
    told = st.session_state.get(KEY, {}).get("width")
    if told is None:
        return PHONE if "Mobi" in (st.context.headers.get("User-Agent") or "") else 0
    return int(told)
