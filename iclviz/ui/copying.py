"""What stands under a figure as text to copy: a link, command lines and Python."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import streamlit as st

from iclviz.reporting.recipes import Recipe, Runs
from iclviz.reporting.snippets import loading, program, python, recording_lines


@dataclass(frozen=True)
class Copied:
    """How a figure is made again: its recipe, and the runs that it asks by label."""

    recipe: Recipe
    runs: Runs


def show_copies(copied: Copied, name: str) -> None:
    """A popover with the page's link, the lines that record a figure's runs, and Python that draws it; drawn as it is
    opened, since parts of a page change the link alone.

    name: what tells the figure from others on the page.
    """
    about = "This view as a link, command lines or Python."
    popover = st.popover(
        "Copy as", icon=":material/content_copy:", type="tertiary", help=about, key=f"copy-{name}", on_change="rerun"
    )
    if not popover.open:
        return
    recipe = copied.recipe
    asked = dict.fromkeys(label for labels in recipe.asked.values() for label in labels)
    runs = {label: copied.runs[label] for label in asked}
    with popover:
        st.markdown("**Link** to this view in this dashboard")
        query = urlencode(st.query_params.to_dict())
        st.code(f"{st.context.url or ''}{'?' if query else ''}{query}", language=None, wrap_lines=True)
        st.markdown("**Command line** that records what is shown, where it is not recorded yet")
        st.code("\n".join(recording_lines(runs)), language="bash", wrap_lines=True)
        st.markdown(f"**Python** that draws this figure, for `{Path(program()).with_name('python')}`")
        st.code(python(loading(runs), f"{recipe.python()}figure.show()"), language="python", wrap_lines=True)
