"""What is asked of single items while somebody looks, and what was answered lately; needs no torch."""

from contextlib import suppress
from typing import Any

from iclviz.disk import writing
from iclviz.jobs.table import Job, JobTable
from iclviz.live import LiveAnswer, LiveSpec
from iclviz.rows import DamagedRowError, Rows
from iclviz.schemas import MisfitError
from iclviz.store import Store

LIVE = "live"
"""The one process that acts for a cache; the lock's name."""

MOST_BYTES = 64 * 2**20


class LiveAnswers:
    """What was answered lately, by the key of what was asked."""

    def __init__(self, store: Store) -> None:
        with writing(store.folder):
            self._rows = Rows(
                store.folder / "live-answers", eviction_policy="least-recently-used", size_limit=MOST_BYTES
            )

    def get(self, key: str) -> LiveAnswer | None:
        """The answer, None where there is none that can be read."""
        with suppress(DamagedRowError, MisfitError):
            values = self._rows.read(key)
            return None if values is None else LiveAnswer.from_dict(values)
        return None

    def put(self, key: str, answer: LiveAnswer) -> None:
        """Keep an answer."""
        self._rows[key] = answer.to_dict()


class LiveTable(JobTable[LiveSpec]):
    """What is asked of single items of one cache folder."""

    name, doer = "live", "live"

    @staticmethod
    def work_of(values: dict[str, Any]) -> LiveSpec:
        """An item and what is done."""
        return LiveSpec.from_dict(values)

    def next(self) -> Job[LiveSpec] | None:
        """What was asked last by whoever's turn it is; what the same one asked before is not wanted any more."""
        waiting = self.in_turn()
        if not waiting:
            return None
        own = [job for job in waiting if job.asker == waiting[0].asker]
        for job in own[:-1]:
            self._forget(job.key)
        return self.taken_up(own[-1])

    def done(self, key: str) -> None:
        """Forget what was answered."""
        self._forget(key)
