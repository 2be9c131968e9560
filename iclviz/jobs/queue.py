"""The queue of runs: one job for each run that was asked for, whoever asked, wherever it is computed.

A job's id is its recording's key, so two jobs of one spec are one. Whoever computes a job holds its lease, a lock that
the operating system lets go when the process ends: a job that says "running" and whose lease is free was left by a
crash, and is taken up again.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from iclviz.jobs.table import Job, JobTable
from iclviz.spec import RunSpec

Run = Job[RunSpec]

MOST_WHILE_OTHERS_WAIT = 4
"""Jobs of the asker whose turn it is that are taken together while another asker waits."""


class Queue(JobTable[RunSpec]):
    """The runs of one cache folder."""

    name, work, doer = "queue", RunSpec, "worker"

    def _is_abandoned(self, job: Run) -> bool:
        return job.cancel_requested and not self.is_leased(job.key)

    def cancel(self, key: str) -> None:
        """End a waiting job, or ask whoever runs it to stop; finished batches stay, so it can go on later."""
        job = self.get(key)
        if job and job.is_open:
            with self.lease(key) as mine:
                if mine:
                    self.finish(key, "cancelled")
                else:
                    self.change(key, cancel_requested=True)

    def remove(self, key: str) -> None:
        """Forget a job that has ended, and the batches that it finished."""
        super().remove(key)
        if self.get(key) is None:
            self.store.forget_unfinished(key)

    def next_sweep(self, but: frozenset[str] = frozenset()) -> list[Run]:
        """The next job that nobody computes, waiting or left running by a process that is gone, and those behind it
        that may run together with it and whose prompts share text with its own. One that ended a process is alone.
        """
        waiting = [job for job in self.in_turn() if job.key not in but and not self.is_leased(job.key)]
        if waiting and _has_ended_one(waiting[0]):
            return waiting[:1]
        sweep = [job for job in waiting if _go_together(waiting[0].spec, job.spec) and not _has_ended_one(job)]
        if len({job.asker for job in waiting}) < 2:
            return sweep
        return [job for job in sweep if job.asker == waiting[0].asker][:MOST_WHILE_OTHERS_WAIT]

    @contextmanager
    def lease(self, key: str) -> Iterator[bool]:
        """Hold a job while computing it; False where another process holds it."""
        with self._lock(key) as mine:
            yield mine

    def is_leased(self, key: str) -> bool:
        """Whether somebody is computing the job now."""
        with self.lease(key) as free:
            return not free


def _go_together(first: RunSpec, other: RunSpec) -> bool:
    return first.may_run_with(other) and first.shares_text_with(other)


def _has_ended_one(job: Run) -> bool:
    return job.ends > 0 or job.state == "running"
