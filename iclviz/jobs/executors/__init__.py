"""Who computes the runs that are asked for: one module here, or file `executors/NAME.py` of one's own, for each way.

Such a module says `EXECUTOR`, a class as `Executor` has it. `$ICLVIZ_EXECUTOR` names the one that pages, scripts and
the command line use. Where it is not set pages use `local`, and scripts and the command line compute in their own
process.

An executor is handed data, a key and a spec for each run or map. Whoever does the work takes the job's lease and leaves
what it made in the store, so that several may serve one cache.
"""

import os
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Protocol

from iclviz import extensions
from iclviz.errors import UserError, unknown
from iclviz.extensions import Parts
from iclviz.jobs.queue import Queue, Wanted
from iclviz.jobs.table import Progress

SETTING = "ICLVIZ_EXECUTOR"

Tell = Callable[[str, Progress], None]
"""Receives a run's key and how far it is."""


class Executor(Protocol):
    """A way of having the runs of a queue computed.

    Attributes
    ----------
    where: where it runs, to go on "Runs are computed ...".
    returns_at_once: whether what is asked for is computed after `submit` has returned, so that much may be asked for
        at once; one that does not say so does not.
    """

    where: str

    def __init__(self, queue: Queue) -> None:
        """The executor of a cache's queue."""

    def submit(self, runs: Mapping[str, Wanted], asker: str = "", tell: Tell | None = None) -> None:
        """Ask for runs and maps, key -> resolved spec, and see that somebody does whatever waits; one that waits
        already is not asked for twice.

        Parameters
        ----------
        asker: who asks; askers take turns.
        tell: told how far the runs are that are computed before this returns.

        Raises
        ------
        UserError: nothing can be asked for, such as on a full disk.
        """

    def cancel(self, key: str) -> None:
        """End a run that waits, or ask whoever computes it to stop; what is finished of it stays."""

    def alive(self) -> bool:
        """Whether somebody is there who does what waits."""


def returns_at_once(one: Executor) -> bool:
    """Whether an executor says that it returns before what it was asked for is computed."""
    return bool(getattr(one, "returns_at_once", False))


def executor(queue: Queue, default: str = "local") -> Executor:
    """The executor that `$ICLVIZ_EXECUTOR` names.

    Raises
    ------
    UserError: there is none of that name, or its file is at fault.
    """
    every, name = _parts(), os.environ.get(SETTING, "").strip() or default
    if name in every.problems:
        raise every.problems[name]
    if name not in every.found:
        raise unknown(UserError, "executor", name, list(every.found))
    return every.found[name](queue)


def _parts() -> Parts[type[Executor]]:
    known = {name: one for module in extensions.inside(__name__) for name, one in _of_module(module).items()}
    return extensions.parts("executors", known, _of_module)


def _of_module(module: ModuleType) -> dict[str, type[Executor]]:
    kind = getattr(module, "EXECUTOR", None)
    missing = [name for name in ("submit", "cancel", "alive") if not hasattr(kind, name)]
    if not isinstance(kind, type) or missing:
        raise TypeError(f"its EXECUTOR has no {missing[0]}" if missing else "its EXECUTOR is no class")
    return {module.__name__.rpartition(".")[2]: kind}
