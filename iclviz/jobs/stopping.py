"""How a process that works for others goes on, and how it takes a request to end."""

import signal
import time
from collections.abc import Callable
from types import FrameType


def stop_on_termination() -> None:
    """Take a request to end (SIGTERM) as Ctrl-C, so that what is under way is put back."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


def work_until_idle(take: Callable[[], bool], idle_exit: float | None, poll_seconds: float) -> None:
    """Do what `take` finds to do, again and again; it says whether there was anything.

    Parameters
    ----------
    idle_exit: end after so many seconds without work; None is never.
    poll_seconds: how long to wait before looking again.
    """
    last = time.monotonic()
    while True:
        if take():
            last = time.monotonic()
        elif idle_exit is not None and time.monotonic() - last >= idle_exit:
            return
        else:
            time.sleep(poll_seconds)
