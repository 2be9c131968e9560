"""Machines that are data, so that no test measures one."""

import pytest

from iclviz.planning import devices, of_study, planned


@pytest.fixture
def machine():
    """A small CPU that is never measured."""
    return devices.Device(
        name=devices.THIS, source="made up", memory=4 * 10**9, bandwidth=1e10,
        speed={"float32": 5e10, "bfloat16": 5e10}, kind="cpu", launch=4e-6, waits=True, rates={1: 5e9, 256: 5e10},
        attention=4e10, stream=2e10,
    )  # fmt: skip


@pytest.fixture
def at_once(machine, monkeypatch):
    """This machine is that one."""
    for module in (devices, planned, of_study):
        monkeypatch.setattr(module, "this_machine", lambda width=0: machine)
    return machine
