"""The process that acts on single items while somebody looks: it keeps a model and the last items' keys and values.

It is a process of its own, so that nobody waits for the runs of the queue.
"""

import logging
import time
from functools import cached_property
from typing import TYPE_CHECKING

from iclviz.errors import UserError
from iclviz.jobs.live import LIVE, LiveAnswers, LiveTable
from iclviz.jobs.stopping import stop_on_termination, work_until_idle
from iclviz.jobs.table import Job
from iclviz.live import LiveSpec
from iclviz.store import Store

if TYPE_CHECKING:
    from iclviz.jobs.live_model import LiveModel

POLL_SECONDS = 0.01

log = logging.getLogger(__name__)


def act(store: Store, idle_exit: float | None = None, once: bool = False) -> None:
    """Answer what is asked of single items until told to stop.

    Raises
    ------
    UserError: another process does so for this cache.
    """
    table = LiveTable(store)
    stop_on_termination()
    with table.worker_lease(LIVE) as mine:
        if not mine:
            raise UserError(f"Another process acts for {store.folder}.", "One is enough.")
        work_until_idle(Acting(table).answer_next, 0.0 if once else idle_exit, POLL_SECONDS)


class Acting:
    """Answers what is asked of one cache, one at a time."""

    def __init__(self, table: LiveTable) -> None:
        self._table, self._answers = table, LiveAnswers(table.store)

    @cached_property
    def model(self) -> "LiveModel":
        """The model and the last items; torch is loaded when it is first needed."""
        from iclviz.jobs.live_model import LiveModel

        return LiveModel(self._table.store)

    def answer_next(self) -> bool:
        """Answer what was asked last; False where nothing waits."""
        job = self._table.next()
        if job is None:
            return False
        self._table.start(job.key)
        self._try(job)
        return True

    def _try(self, job: Job[LiveSpec]) -> None:
        started = time.perf_counter()
        try:
            self._answers.put(job.key, self.model.answer(job.spec))
            self._table.done(job.key)
            log.info("item %d: %.3f s", job.spec.item, time.perf_counter() - started)
        except UserError as error:
            self._table.finish(job.key, "failed", str(error))
        except Exception as error:
            log.exception("failed: %s", job.spec)
            self._table.finish(job.key, "failed", f"The program failed: {type(error).__name__}: {error}")
