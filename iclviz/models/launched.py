"""Whether a launcher such as torchrun started several processes of this program alike, to compute one model together.
Needs no torch.
"""

import os
from dataclasses import dataclass

from iclviz.errors import UserError

SETTING = "ICLVIZ_RANKS_TIMEOUT"
SECONDS = 600
"""How long a process waits for the tensors of the others. Loading weights is the longest that one is behind another."""

_RANK, _N, _HERE, _N_HERE = NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
"""What launchers set."""


@dataclass(frozen=True)
class Launch:
    """What a launcher says to one of n processes.

    Attributes
    ----------
    rank, n: its number, and how many there are on all machines.
    here, n_here: the same on this machine.
    """

    rank: int
    n: int
    here: int
    n_here: int


def launched() -> Launch | None:
    """What a launcher said to this process; None where it was started alone."""
    said = [os.environ.get(name, "") for name in NAMES]
    if not all(one.isdecimal() for one in said) or int(os.environ[_N]) < 2:
        return None
    return Launch(*map(int, said))


def forget_launch() -> None:
    """What this process starts is not one of the launcher's processes."""
    for name in (_RANK, _N):
        os.environ.pop(name, None)


def patience() -> int:
    """Seconds that a process waits for the tensors of the others.

    Raises
    ------
    UserError: what `$ICLVIZ_RANKS_TIMEOUT` says is no number of seconds.
    """
    named = os.environ.get(SETTING, "").strip()
    if not named:
        return SECONDS
    if not named.isdecimal() or not int(named):
        raise UserError(f"{SETTING} = {named!r} is not a number of seconds.", "Set it to 600, say.")
    return int(named)
