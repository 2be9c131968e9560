"""What a page shows as text to copy: a link, command lines and Python."""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlencode

import streamlit as st

from iclviz.recording import Recording
from iclviz.reporting.snippets import command_line, python
from iclviz.spec import RunSpec
from iclviz.ui.choice import choice
from iclviz.ui.comparing import Compared


def copy_as(pairs: Mapping[str, Recording], drawing: str) -> None:
    """A popover with the page's link, the lines that record its conditions, and Python that draws its figure.

    drawing: the lines that draw the page's main figure from `conditions`.
    """
    show_copies({label: choice().side(label[0].lower()) for label in pairs}, drawing)


def copy_comparison(chosen: Compared, drawing: str) -> None:
    """The same of A and B under every demonstration seed that is compared; `drawing` starts from `comparison`."""
    specs = {}
    for place, (side, spec) in enumerate((("A", choice().a), ("B", choice().b))):
        for number, one in enumerate(dict.fromkeys(chosen.comparison.side(place))):
            shown = replace(spec.demonstrations, seed=one.spec.demonstrations.seed)
            specs[f"{side}{number or ''}"] = spec.with_(demonstrations=shown)
    sides = "".join(f"    [run for name, run in conditions.items() if name[0] == {side!r}],\n" for side in "AB")
    show_copies(specs, f"comparison = analysis.compare(\n{sides})\n{drawing}")


@st.fragment
def show_copies(specs: Mapping[str, RunSpec], drawing: str) -> None:
    """The popover: link, command lines, Python; drawn as it is opened, since parts of a page change the link alone."""
    said = "This view as a link, command lines or Python."
    popover = st.popover("Copy as", icon=":material/content_copy:", help=said, key="copy-as", on_change="rerun")
    if not popover.open:
        return
    with popover:
        st.markdown("**Link** to this view in this dashboard")
        query = urlencode(st.query_params.to_dict())
        st.code(f"{st.context.url or ''}{'?' if query else ''}{query}", language=None, wrap_lines=True)
        st.markdown("**Command line** that records what is shown")
        st.code("\n".join(command_line(spec) for spec in specs.values()), language="bash", wrap_lines=True)
        st.markdown("**Python** that draws this page's main figure")
        st.code(python(specs, drawing), language="python", wrap_lines=True)
