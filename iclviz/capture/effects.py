"""What interventions do to candidates' log-probabilities, for many of them at once.

Every prompt is there once for each site, and is read as any other: what is before the first token that is acted on is
read once for all sites and shared by items as in a run, and rows of all sites stand beside each other in one batch.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iclviz.capture.backend import ReadyModel
from iclviz.capture.decoding import Decoding, plan_prompts
from iclviz.capture.plan import PlanSettings
from iclviz.capture.recorders.candidates import RECORDER as CANDIDATES
from iclviz.capture.sites import reading_as
from iclviz.intervening import Intervention
from iclviz.prompts import TokenizedPrompt
from iclviz.recorders import Asked

Array = NDArray[Any]
Site = Sequence[Intervention]
"""What is done together; nothing is the model as it is."""


def candidate_logprobs(
    ready: ReadyModel,
    prompts: Sequence[TokenizedPrompt],
    sites: Sequence[Site],
    settings: PlanSettings,
    should_stop: Callable[[], bool] = lambda: False,
    on_read: Callable[[float], None] = lambda tokens: None,
) -> Array:
    """(S, n, C) log-probability of each candidate of n prompts under each of S sites; NaN where a prompt has fewer.

    Raises
    ------
    Cancelled: `should_stop` said so.
    NoNumberError: one is no number.
    UserError: an intervention cannot act on this model.
    """
    n = len(prompts)
    copies = [prompt for _ in sites for prompt in prompts]
    done = [site for site in sites for _ in prompts]
    decoding = Decoding(0)
    plan = plan_prompts(copies, decoding, settings, reading_as(done, copies))
    kept: Asked = {CANDIDATES: dict.fromkeys(range(len(copies)), True)}
    most = max((len(prompt.candidates) for prompt in prompts), default=0)
    found = np.full((len(copies), most), np.nan)
    with ready.at_work(settings):
        for captured in ready.captures(copies, plan, kept, decoding, should_stop, frozenset(), on_read, done):
            for index, taken in zip(captured.prompts, captured.taken, strict=True):
                found[index, : len(taken[CANDIDATES.name])] = taken[CANDIDATES.name]
    return found.reshape(len(sites), n, most)
