"""The analyst: one process for a cache that answers the questions which pages ask, so that no page waits for them.

It knows no torch. It keeps the recordings that it read last, since the next question is often about the same ones.
"""

import logging
import time
from functools import lru_cache
from typing import Any

from iclviz.analysis.progress import listening
from iclviz.answers import Answers
from iclviz.errors import StoreError, UserError
from iclviz.jobs.asked import ANALYST, Asked
from iclviz.jobs.stopping import stop_on_termination, work_until_idle
from iclviz.jobs.table import Job, Progress
from iclviz.maps import Made
from iclviz.questions.question import Question, Refusal, analyses_version, is_outdated
from iclviz.recording import Recording
from iclviz.store import Store

POLL_SECONDS = 0.05
TELL_SECONDS = 0.3
KEPT_RECORDINGS = 16
CHANGED = "The program's analyses have changed since this dashboard was started. Start it again."

log = logging.getLogger(__name__)


def analyse(store: Store, idle_exit: float | None = None, once: bool = False) -> None:
    """Answer questions until told to stop.

    Parameters
    ----------
    idle_exit: end after so many seconds without a question; None is never.
    once: end as soon as none waits.

    Raises
    ------
    UserError: another analyst answers this cache's questions.
    """
    asked = Asked(store)
    stop_on_termination()
    with asked.worker_lease(ANALYST) as mine:
        if not mine:
            raise UserError(f"Another analyst answers for {store.folder}.", "One is enough; it takes every question.")
        work_until_idle(Analyst(asked).answer_next, 0.0 if once else idle_exit, POLL_SECONDS)


class Analyst:
    """Answers the questions of one cache, one at a time."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._answers = Answers(asked.store)
        analyses_version()  # of the code as it is read now, not as it lies there at the first question
        self._recording = lru_cache(KEPT_RECORDINGS)(asked.store.either)

    def answer_next(self) -> bool:
        """Answer the question whose turn it is; False where none waits.

        Raises
        ------
        UserError: it is of newer analyses than those that this process has read.
        """
        job = self._asked.next()
        if job is None:
            return False
        if job.key != job.spec.digest:
            if is_outdated():
                raise UserError("The analyses have changed since this analyst began.", "A page starts a new one.")
            self._asked.finish(job.key, "failed", CHANGED)
            return True
        if job.spec in self._answers:
            self._asked.done(job.key)
            return True
        self._asked.start(job.key)
        try:
            self._answers.put(job.spec, self._answered(job))
            self._asked.done(job.key)
        except UserError as error:
            self._asked.finish(job.key, "failed", str(error))
        except Exception as error:
            log.exception("failed: %s", job.spec)
            self._asked.finish(job.key, "failed", f"The program failed: {type(error).__name__}: {error}")
        return True

    def _answered(self, job: Job[Question[Any]]) -> Any:
        last_told = time.monotonic()

        def tell(stage: str, done: int, total: int) -> None:
            nonlocal last_told
            if time.monotonic() - last_told >= TELL_SECONDS:
                last_told = time.monotonic()
                self._asked.change(job.key, progress=Progress(stage, done, total))

        recordings: list[Recording | Made] = [self._recording(key) for key in job.spec.keys]
        try:
            with listening(tell):
                return job.spec.answered(recordings)
        except StoreError:
            raise
        except UserError as error:
            return Refusal(str(error))
