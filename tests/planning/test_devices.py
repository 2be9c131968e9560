import pytest

from iclviz.errors import UserError
from iclviz.planning.devices import DEVICES, GIB, device, this_machine


def test_every_device_names_its_source_and_has_numbers():
    for one in DEVICES.values():
        assert one.source
        assert one.memory > 20 * GIB
        assert one.speed["float32"] <= one.speed["bfloat16"]
        assert 1e11 < one.bandwidth < 1e13


def test_a_device_is_found_however_it_is_spelled():
    assert device("rtx-4090") is DEVICES["RTX 4090"]
    assert device("h100").name == "H100"
    with pytest.raises(UserError, match="Known: A100, H100"):
        device("abacus")


def test_this_machine_is_measured_once(monkeypatch):
    this_machine.cache_clear()
    monkeypatch.setattr("iclviz.planning.devices.ROUNDS", 1)
    one = this_machine(128)
    assert one is device("this machine", 128)
    assert one.rates[1] < one.rates[256]
    assert min(one.bandwidth, one.stream, one.attention, one.launch, one.memory) > 0
    this_machine.cache_clear()
