"""What interventions do to candidates' log-probabilities, for many of them at once.

Every prompt is there once for each site, and is read as any other: what is before the first token that is acted on is
read once for all sites and shared by items as in a run, and rows of all sites stand beside each other in one batch.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iclviz.capture.backend import ReadyModel
from iclviz.capture.decoding import Decoding, plan_prompts
from iclviz.capture.plan import Group, PlanSettings, tokens_read
from iclviz.capture.recorders.acting import RECORDER as ACTING
from iclviz.capture.recorders.candidates import RECORDER as CANDIDATES
from iclviz.capture.sites import Donors, reading_as
from iclviz.intervening import Intervention
from iclviz.prompts import TokenizedPrompt
from iclviz.recorders import Asked

Array = NDArray[Any]
Site = Sequence[Intervention]
"""What is done together; nothing is the model as it is."""


NOTHING_WRITTEN = Decoding(0)


@dataclass(frozen=True, eq=False)
class CapturedSites:
    """What B rows left; row r is prompt r % n under site r // n.

    Attributes
    ----------
    rows: (B,) their numbers.
    logprobs: (B, C) of each candidate, NaN where a prompt has fewer.
    acted, changed: (B,) places at which what was done acted, and those whose value changed; of several interventions
        the fewest, -1 where none is done.
    responses: B lists of token ids that were written; empty where none are.
    """

    rows: Array
    logprobs: Array
    acted: Array
    changed: Array
    responses: Sequence[list[int]]


class SitesCapture:
    """n items under each of S sites, planned together."""

    def __init__(
        self,
        prompts: Sequence[Sequence[TokenizedPrompt]],
        sites: Sequence[Sequence[Site]],
        settings: PlanSettings,
        n_before: int = 0,
        donors: Donors | None = None,
        decoding: Decoding = NOTHING_WRITTEN,
    ) -> None:
        """prompts: of each site, its n; sites: what is done at each to each of them; n_before: as many of its
        interventions are done everywhere, and their places are not counted; donors: those of n prompts that all sites
        with a donor share; decoding: of responses, asked about rows.
        """
        self._n_before = n_before
        self._donors = _of_rows(donors, sites) if donors else None
        self._copies = [prompt for of_site in prompts for prompt in of_site]
        self._done = [site for of_prompts in sites for site in of_prompts]
        self._settings, self._decoding = settings, decoding
        self.most_candidates = max((len(prompt.candidates) for prompt in self._copies), default=0)
        self._plan: tuple[Group, ...] = plan_prompts(
            self._copies, self._decoding, settings, reading_as(self._done, self._copies, self._donors)
        )

    @property
    def n_rows(self) -> int:
        """Prompts times sites."""
        return len(self._copies)

    def tokens(self, there: frozenset[int] = frozenset()) -> int:
        """Tokens that will be read, of rows that are not there yet."""
        return tokens_read(self._plan, there) + self.n_rows - len(there)

    def captured(
        self,
        ready: ReadyModel,
        should_stop: Callable[[], bool] = lambda: False,
        on_read: Callable[[float], None] = lambda tokens: None,
        there: frozenset[int] = frozenset(),
    ) -> Iterator[CapturedSites]:
        """Each batch as it ends.

        there: rows whose results are there already.

        Raises
        ------
        Cancelled: `should_stop` said so.
        NoNumberError: one is no number.
        UserError: an intervention cannot act on this model.
        """
        rows = range(self.n_rows)
        acted = {row: len(self._done[row]) for row in rows if self._done[row]}
        kept: Asked = {CANDIDATES: dict.fromkeys(rows, True), ACTING: acted}
        with ready.at_work(self._settings):
            for found in ready.captures(
                self._copies, self._plan, kept, self._decoding, should_stop, there, on_read, self._done, self._donors
            ):
                yield self._batch(found.prompts, found.taken, found.response_ids)

    def _batch(
        self, rows: Sequence[int], taken: Sequence[dict[str, Any]], responses: Sequence[list[int]]
    ) -> CapturedSites:
        logprobs = np.full((len(rows), self.most_candidates), np.nan)
        acted, changed = (np.full(len(rows), -1, dtype=np.int32) for _ in range(2))
        for place, one in enumerate(taken):
            logprobs[place, : len(one[CANDIDATES.name])] = one[CANDIDATES.name]
            if len(self._done[rows[place]]) > self._n_before:
                acted[place], changed[place] = (counts[self._n_before :].min() for counts in one[ACTING.name])
        return CapturedSites(np.array(rows, dtype=np.int64), logprobs, acted, changed, responses)


def _of_rows(donors: Donors, sites: Sequence[Sequence[Site]]) -> Donors:
    """The donors of the rows of each site."""
    of = {
        (place * len(of_prompts) + index, one): donors.of[index, one]
        for place, of_prompts in enumerate(sites)
        for index, site in enumerate(of_prompts)
        for one in site
        if (index, one) in donors.of
    }
    n = len(sites[0])
    targets = {
        (place * n + index, target): to for place in range(len(sites)) for (index, target), to in donors.targets.items()
    }
    return Donors(donors.prompts, of, donors.labels, targets)


def candidate_logprobs(
    ready: ReadyModel,
    prompts: Sequence[TokenizedPrompt],
    sites: Sequence[Site],
    settings: PlanSettings,
    donors: Donors | None = None,
) -> Array:
    """(S, n, C) log-probability of each candidate of n prompts under each of S sites; NaN where a prompt has fewer.

    Raises
    ------
    As `SitesCapture.captured`.
    """
    done = [[site] * len(prompts) for site in sites]
    capture = SitesCapture([prompts] * len(sites), done, settings, donors=donors)
    found = np.full((capture.n_rows, capture.most_candidates), np.nan)
    for batch in capture.captured(ready):
        found[batch.rows] = batch.logprobs
    return found.reshape(len(sites), len(prompts), capture.most_candidates)
