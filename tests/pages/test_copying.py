import shlex

import plotly.graph_objects as go
import pytest

from iclviz.figures import FIGURES, table
from iclviz.reporting.snippets import program
from tests.pages.conftest import opened, record

DRAWN = {
    "rsa": "alignment-by-layer",
    "probing": "probe-by-layer",
    "behaviour": "score-by-condition",
    "attention": "attention-ratio-by-layer",
    "summary": "link-by-layer",
    "compare": "measure-of-set",
}


@pytest.fixture
def drawn(monkeypatch):
    """Every figure that a page draws, by name."""
    found = {}
    monkeypatch.setattr("iclviz.ui.figure.figure_files.name", _keeping(found))
    return found


def _keeping(found):
    def name(figure):
        found.setdefault(figure.layout.meta["name"], figure)
        return figure.layout.meta["name"]

    return name


def copies(test):
    """Name of a figure -> its command lines and its script, of every "Copy as" on the page."""
    names = [one.proto.id.rpartition("-copy-")[2] for one in test.get("popover") if "-copy-" in one.proto.id]
    found = {}
    for name in names:
        test.session_state[f"copy-{name}"] = True
        blocks = [block.value for block in test.run().code]
        place = next(place for place, text in enumerate(blocks) if text.startswith("import iclviz"))
        found[name] = blocks[place - 1 : place + 1]
        test.session_state[f"copy-{name}"] = False
    return found


@pytest.mark.parametrize(
    ("page", "seeds"),
    [
        *((page, [0]) for page in DRAWN),
        ("rsa", [0, 1]),
        *(pytest.param(page, [0, 1], marks=pytest.mark.long) for page in DRAWN if page != "rsa"),
    ],
)
def test_what_is_copied_under_a_figure_draws_that_figure(page, seeds, chosen, drawn, monkeypatch):
    record(chosen, seeds=seeds)
    test = opened(page, {**chosen, "hypothesis": "slope_similarity", "averaged": len(seeds) > 1})
    assert not test.exception
    copied = copies(test)
    assert any(name.startswith(DRAWN[page]) for name in copied)
    shown = []
    monkeypatch.setattr(go.Figure, "show", lambda figure: shown.append(figure))
    for name, (commands, script) in copied.items():
        exec(script, {})
        figure = next(figure for known, figure in drawn.items() if name.startswith(known))
        if name in drawn:
            same(table(shown[-1]), table(figure))
        for line in commands.splitlines():
            assert shlex.split(line.removeprefix("for seed in 0 1; do "))[:2] == [program(), "run"]
    assert DRAWN[page] in FIGURES


def same(ours, theirs):
    """Whether two figures show the same numbers."""
    assert [name for name in ours if name != "series"] == [name for name in theirs if name != "series"]
    for name in ours:
        if name != "series":
            assert ours[name] == pytest.approx(theirs[name], nan_ok=True), name
