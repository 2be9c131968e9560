import os

import pytest

from iclviz.errors import UserError
from iclviz.jobs.taking_part import take_part
from iclviz.models.launched import SECONDS, SETTING, Launch, forget_launch, launched, patience

SAID = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}


def test_what_torchrun_says_is_read(monkeypatch):
    for name, value in SAID.items():
        monkeypatch.setenv(name, value)
    assert launched() == Launch(3, 4, 1, 2)


@pytest.mark.parametrize("changed", [*({name: ""} for name in SAID), {"WORLD_SIZE": "1", "RANK": "0"}, {"RANK": "x"}])
def test_a_process_that_was_started_alone_takes_part_in_nothing(monkeypatch, changed):
    for name, value in {**SAID, **changed}.items():
        monkeypatch.setenv(name, value)
    assert launched() is None
    take_part()


def test_what_a_process_starts_is_none_of_the_launchers(monkeypatch):
    for name, value in SAID.items():
        monkeypatch.setenv(name, value)
    forget_launch()
    assert launched() is None
    assert os.environ["LOCAL_RANK"] == "1"


def test_how_long_the_others_are_waited_for_can_be_set(monkeypatch):
    assert patience() == SECONDS
    monkeypatch.setenv(SETTING, "30")
    assert patience() == 30
    monkeypatch.setenv(SETTING, "soon")
    with pytest.raises(UserError, match="ICLVIZ_RANKS_TIMEOUT = 'soon' is not a number of seconds"):
        patience()
