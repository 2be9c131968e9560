"""What one process sees of others; several are in `tests/capture/test_tensor_parallel.py`."""

import pytest
import torch

from iclviz.errors import Cancelled, ModelError, SpecError
from iclviz.models.ranks import ALONE, in_step, n_joined, ranks_of
from tests.capture.models import tiny


def ended_by(error, *known):
    """What a fault of the first process becomes."""
    try:
        with in_step(known):
            raise error
    except Exception as found:
        return found


def test_one_process_decides_by_itself_and_has_all_heads():
    heads = torch.arange(8.0).reshape(1, 4, 2)
    assert n_joined() == 1
    assert ranks_of(tiny("llama")) is ALONE
    assert (ALONE.n, ALONE.n_shares, ALONE.least(3), ALONE.agreed(lambda: "so")) == (1, 1, 3, "so")
    assert ALONE.whole(heads) is heads
    assert ALONE.own(heads) is heads


def test_errors_to_which_all_processes_come_alike_stay_what_they_are():
    for error in (SpecError("no.", "yes."), Cancelled()):
        assert ended_by(error, Cancelled) is error


@pytest.mark.parametrize(
    "words", ["[gloo/transport/tcp/pair.cc:553] Connection closed by peer", "NCCL error", "Timed out waiting 5000ms"]
)
def test_a_process_that_is_lost_is_told_in_a_sentence(words):
    error = ended_by(RuntimeError(words))
    assert isinstance(error, ModelError)
    assert "are there any more (another one ended, or does not answer)" in str(error)


def test_memory_that_does_not_suffice_is_told_with_what_to_do():
    error = ended_by(torch.OutOfMemoryError("CUDA out of memory"))
    assert isinstance(error, ModelError)
    assert "Set ICLVIZ_TOKEN_BUDGET to less" in str(error)


def test_a_fault_of_the_program_stays_one():
    assert isinstance(ended_by(KeyError("x")), KeyError)
