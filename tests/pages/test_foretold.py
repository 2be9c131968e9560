import json
import sys
import time

import pytest

from iclviz.ui import foretold
from iclviz.ui.foretold import Planner
from tests.pages.conftest import labels, opened, record

PLAN = {
    "seconds": {"total": 12.3},
    "memory": {"total": 1.44e9, "disk": 6.2e6},
    "lines": ["model    Tiny: 1,000 parameters", "time     about 12 s on this machine"],
}
SAID = "about 12 s, 1.4 GB of memory, 6 MB of disk"


def captions(test):
    return " ".join(one.value for one in test.caption)


@pytest.fixture
def foretell(monkeypatch):
    """A function: have every plan be this one."""
    return lambda plan: monkeypatch.setattr(Planner, "answer", lambda planner, spec: plan)


def test_a_line_says_what_a_and_b_will_take_and_the_rest_is_folded(chosen, foretell):
    foretell(PLAN)
    test = opened("run", chosen)
    assert not test.exception
    assert captions(test).count(SAID) == 2
    assert "on this machine" in captions(test)
    folded = next(one for one in test.expander if one.label == "What that rests on")
    assert [one.value for one in folded.text] == ["\n".join(PLAN["lines"])] * 2


@pytest.mark.parametrize("plan", [None, {"problem": "It cannot be planned."}])
def test_without_a_plan_there_is_no_line_and_the_buttons_are_there(chosen, foretell, plan):
    foretell(plan)
    test = opened("run", chosen)
    assert not test.exception
    assert "of memory" not in captions(test)
    assert "Run A" in labels(test)


def test_what_is_recorded_is_not_foretold(chosen, foretell):
    foretell(PLAN)
    record(chosen, "a")
    assert captions(opened("run", chosen)).count(SAID) == 1
    record(chosen, "b")
    assert SAID not in captions(opened("run", chosen))


ECHO = """
import json, sys
for line in sys.stdin:
    if "end" in line:
        sys.exit()
    print(json.dumps({"asked": line.strip()}), flush=True)
"""


@pytest.fixture
def planner(monkeypatch):
    """One whose process says what it was asked, and ends where it is asked to."""
    monkeypatch.undo()
    monkeypatch.setattr(foretold, "COMMAND", [sys.executable, "-c", ECHO])
    return Planner()


def waited_for(planner, spec):
    for _ in range(2000):
        if (found := planner.answer(spec)) is not None:
            return found
        time.sleep(0.01)
    raise AssertionError


def test_each_spec_is_asked_once_and_answered_in_its_turn(planner):
    assert planner.answer("one") is None
    assert planner.answer("two") is None
    assert waited_for(planner, "two") == {"asked": "two"}
    assert planner.answer("one") == {"asked": "one"}


def test_a_process_that_ends_leaves_a_problem_and_another_is_started(planner):
    assert "could not" in waited_for(planner, json.dumps("end"))["problem"]
    assert waited_for(planner, "next") == {"asked": "next"}
