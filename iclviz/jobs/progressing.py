"""How fast a capture goes, and how long it will take."""

import time

from iclviz.jobs.table import Progress

REPORT_SECONDS = 0.5
"""Progress is told no more often."""


class Pace:
    """Tokens that were read, of so many as are foretold."""

    def __init__(self, total: int) -> None:
        self._start = self._now = time.perf_counter()
        self._total, self._tokens, self._next = total, 0.0, 0.0

    def is_due(self, tokens: float) -> bool:
        """Count tokens that were read; whether progress is told now: from time to time, since that goes to disk."""
        self._tokens += tokens
        self._now = time.perf_counter()
        if self._now < self._next:
            return False
        self._next = self._now + REPORT_SECONDS
        return True

    def progress(self, items_done: int, n_items: int) -> Progress:
        """How far it was when tokens were last counted, with speed and the time left."""
        rate = self._tokens / (self._now - self._start)
        left = max(self._total - self._tokens, 0) / rate
        done = min(round(self._tokens), self._total)
        return Progress("running", items_done, n_items, rate, left, done, self._total)
