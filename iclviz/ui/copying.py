"""What a page shows as text to copy: a link, command lines and Python."""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlencode

import streamlit as st

from iclviz.recording import Recording
from iclviz.reporting.recipes import Recipe
from iclviz.reporting.snippets import command_line, python
from iclviz.spec import RunSpec
from iclviz.ui.compared import Compared
from iclviz.ui.page_state import condition_specs


def copy_as(pairs: Mapping[str, Recording], recipe: Recipe) -> None:
    """A popover with the page's link, the lines that record its conditions, and Python that draws its main figure."""
    show_copies({label: _of_seed(label, one) for label, one in pairs.items()}, recipe)


def copy_comparison(both: Compared, recipe: Recipe) -> None:
    """The same of A and B under every demonstration seed that is compared."""
    copy_as(both.runs, recipe)


def _of_seed(label: str, recording: Recording) -> RunSpec:
    """A condition as it was chosen, under the demonstration seed of one of its runs."""
    spec = condition_specs().side(label[0].lower())
    return spec.with_(demonstrations=replace(spec.demonstrations, seed=recording.spec.demonstrations.seed))


@st.fragment
def show_copies(specs: Mapping[str, RunSpec], recipe: Recipe) -> None:
    """The popover: link, command lines, Python; drawn as it is opened, since parts of a page change the link alone."""
    about = "This view as a link, command lines or Python."
    popover = st.popover("Copy as", icon=":material/content_copy:", help=about, key="copy-as", on_change="rerun")
    if not popover.open:
        return
    with popover:
        st.markdown("**Link** to this view in this dashboard")
        query = urlencode(st.query_params.to_dict())
        st.code(f"{st.context.url or ''}{'?' if query else ''}{query}", language=None, wrap_lines=True)
        st.markdown("**Command line** that records what is shown")
        st.code("\n".join(command_line(spec) for spec in specs.values()), language="bash", wrap_lines=True)
        st.markdown("**Python** that draws this page's main figure")
        st.code(python(specs, f"{recipe.python()}figure.show()"), language="python", wrap_lines=True)
