"""How a process that works for others takes a request to end."""

import signal
from types import FrameType


def stop_on_termination() -> None:
    """Take a request to end (SIGTERM) as Ctrl-C, so that what is under way is put back."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
