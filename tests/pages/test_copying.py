import shlex

import plotly.graph_objects as go
import pytest

from iclviz.figures import FIGURES, table
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


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
@pytest.mark.parametrize("page", DRAWN)
def test_the_script_of_a_page_draws_its_main_figure(page, seeds, chosen, drawn, monkeypatch):
    record(chosen, seeds=seeds)
    test = opened(page, {**chosen, "hypothesis": "slope_similarity", "averaged": len(seeds) > 1})
    assert not test.exception
    test.session_state["copy-as"] = True
    test.run()
    blocks = [block.value for block in test.code]
    place = next(place for place, text in enumerate(blocks) if text.startswith("import iclviz"))
    commands, script = blocks[place - 1], blocks[place]
    shown = []
    monkeypatch.setattr(go.Figure, "show", lambda figure: shown.append(figure))
    exec(script, {})
    ours, theirs = table(shown[0]), table(drawn[DRAWN[page]])
    assert [name for name in ours if name != "series"] == [name for name in theirs if name != "series"]
    for name in ours:
        if name != "series":
            assert ours[name] == pytest.approx(theirs[name], nan_ok=True), name
    assert all(shlex.split(line)[:2] == ["iclviz", "run"] for line in commands.splitlines())
    assert DRAWN[page] in FIGURES
