"""The queue of runs and maps: one job for each that was asked for, whoever asked, wherever it is computed.

A job's id is its recording's or its map's key, so two jobs of one spec are one. Whoever computes a job holds its lease,
a lock that the operating system lets go when the process ends: a job that says "running" and whose lease is free was
left by a crash, and is taken up again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from iclviz.jobs.table import Job, JobTable
from iclviz.mapping import MapSpec
from iclviz.spec import RunSpec

Wanted = RunSpec | MapSpec
Order = Job[Wanted]

MOST_WHILE_OTHERS_WAIT = 4
"""Jobs of the asker whose turn it is that are taken together while another asker waits."""


class Queue(JobTable[Wanted]):
    """The runs and maps of one cache folder that were asked for."""

    name, doer = "queue", "worker"

    @staticmethod
    def work_of(values: dict[str, Any]) -> Wanted:
        """A run's or a map's spec."""
        return MapSpec.from_dict(values) if "grid" in values else RunSpec.from_dict(values)

    def _is_abandoned(self, job: Order) -> bool:
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

    def next_sweep(self, but: frozenset[str] = frozenset()) -> list[Order]:
        """The next job that nobody computes, waiting or left running by a process that is gone, and those behind it
        that may run together with it and whose prompts share text with its own. One that ended a process is alone, and
        so is a map.
        """
        waiting = [job for job in self.in_turn() if job.key not in but]
        first = next((job for job in waiting if not self.is_leased(job.key)), None)
        if first is None:
            return []
        if _has_ended_one(first):
            return [first]
        alike = [job for job in waiting if _go_together(first.spec, job.spec) and not _has_ended_one(job)]
        if all(job.asker == first.asker or self.is_leased(job.key) for job in waiting):
            return [job for job in alike if not self.is_leased(job.key)]
        own = (job for job in alike if job.asker == first.asker and not self.is_leased(job.key))
        return list(islice(own, MOST_WHILE_OTHERS_WAIT))

    @contextmanager
    def lease(self, key: str) -> Iterator[bool]:
        """Hold a job while computing it; False where another process holds it."""
        with self._lock(key) as mine:
            yield mine

    def is_leased(self, key: str) -> bool:
        """Whether somebody is computing the job now."""
        with self.lease(key) as free:
            return not free


def _go_together(first: Wanted, other: Wanted) -> bool:
    if isinstance(first, MapSpec) or isinstance(other, MapSpec):
        return first == other
    return first.is_read_with(other)


def _has_ended_one(job: Order) -> bool:
    return job.ends > 0 or job.state == "running"
