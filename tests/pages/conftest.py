"""Pages run by Streamlit's own test harness, over runs of a tiny model."""

from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

import iclviz
from iclviz.ui.choice import DEFAULTS

ROOT = Path(__file__).parents[2]
PAGES = ("run", "prompts", "behaviour", "rsa", "probing", "attention")
TIMEOUT = 60


@pytest.fixture(autouse=True)
def no_worker(monkeypatch):
    """Pages may ask for a worker; no test leaves one behind."""
    started = []
    monkeypatch.setattr("iclviz.jobs.starting.start_worker", lambda *arguments: started.append(arguments))
    st.cache_data.clear()
    st.cache_resource.clear()
    return started


@pytest.fixture
def chosen(tiny_model):
    """The demo's choices with the tiny model and few items."""
    model = str(tiny_model)
    return {**DEFAULTS, "a_model": model, "b_model": model, "b_k": 4, "items": 16, "layer": 2}


def record(chosen, sides="ab"):
    """Run the chosen conditions."""
    for side in sides:
        iclviz.run(
            chosen[f"{side}_model"],
            chosen[f"{side}_task"],
            iclviz.Demonstrations(chosen[f"{side}_kind"], chosen[f"{side}_k"], chosen[f"{side}_seed"]),
            chosen["items"],
            chosen["items_seed"],
            chosen["options"].get(chosen[f"{side}_task"], {}),
        )


def opened(page, chosen):
    """A page, run once with these choices."""
    test = AppTest.from_file(str(ROOT / "pages" / f"{page}.py"), default_timeout=TIMEOUT)
    test.session_state["choices"] = dict(chosen)
    return test.run()


def said(test):
    """Everything that boxes on the page say."""
    return " ".join(box.value for kind in (test.error, test.warning, test.info) for box in kind)
