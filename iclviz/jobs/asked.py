"""Questions that wait for their answers, and how far the one is that is computed."""

from typing import Any

from iclviz.jobs.table import Job, JobTable
from iclviz.questions.question import Question

ANALYST = "analyst"
"""The one process that answers a cache's questions; the lock's name."""


class Asked(JobTable[Question[Any]]):
    """The questions of one cache folder that have no answer yet."""

    name, doer = "asked", "analyst"

    @staticmethod
    def work_of(values: dict[str, Any]) -> Question[Any]:
        """A question."""
        return Question.from_dict(values)

    def drop(self, key: str) -> None:
        """Forget a question that waits, or that was answered or could not be."""
        job = self.get(key)
        if job and job.state != "running":
            self._forget(key)

    def done(self, key: str) -> None:
        """Forget a question whose answer is kept."""
        self._forget(key)

    def next(self) -> Job[Question[Any]] | None:
        """The question whose turn it is."""
        taken = (self.taken_up(job) for job in self.in_turn())
        return next((job for job in taken if job is not None), None)
