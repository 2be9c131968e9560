"""Questions that wait for their answers, and how far the one is that is computed."""

from typing import Any

from iclviz.jobs.table import Job, JobTable
from iclviz.questions.question import Question

ANALYST = "analyst"
"""The one process that answers a cache's questions; the lock's name."""


class Asked(JobTable[Question[Any]]):
    """The questions of one cache folder that have no answer yet."""

    name, work = "asked", Question

    def drop(self, key: str) -> None:
        """Forget a question that waits, or that was answered or could not be."""
        job = self.get(key)
        if job and job.state != "running":
            self._jobs.delete(key)

    def done(self, key: str) -> None:
        """Forget a question whose answer is kept."""
        self._jobs.delete(key)

    def next(self) -> Job[Question[Any]] | None:
        """The question whose turn it is; one that says "running" was left by an analyst that is gone."""
        return next(iter(self.in_turn()), None)
