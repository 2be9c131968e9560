"""Where a launcher started several processes alike, the first goes on as if alone and the others do what it needs."""

import atexit
import sys

from iclviz.models.launched import launched


def take_part() -> None:
    """Meet the processes that were started alike, where there are any. The first one returns; the others follow it, and
    end when it does.

    Raises
    ------
    ModelError: they do not find each other.
    SystemExit: the end of a process that followed.
    """
    if launched() is None:
        return
    from iclviz.capture.tensor_parallel import follow
    from iclviz.models.ranks import bid_farewell, join

    if join():
        from iclviz.store import Store

        follow(Store().memo)
        sys.exit(0)
    atexit.register(bid_farewell)
