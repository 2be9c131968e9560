"""Whether attention to the demonstrations' answers foretells the model's own answer (Wang et al. 2023,
arXiv:2305.14160, section 2.3).

1. Of each item and block, an answer's score is how much the last prompt token attends to the demonstrations that have
   it, summed over heads and over these demonstrations' answer tokens.
2. AUROC of an answer: of all pairs of an item that the model answers so and one that it answers otherwise, the share in
   which the first has the larger score; ties count half. The mean over answers that some items have and some have not
   is shown. 0.5 is chance, whatever the answers' frequencies.
3. Only answers that a demonstration shows count: what the model reads elsewhere is not foretold so.

Intervals are from resampling groups of items, and no narrower than Newcombe's of items: where attention foretells
nearly every answer, resamples hardly differ.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from iclviz.analysis.behaviour import coarsest_groups
from iclviz.analysis.results import Estimates
from iclviz.analysis.statistics import mean_of_known, percentile_interval, student_stretch, unit_codes, unit_weights
from iclviz.errors import AnalysisError
from iclviz.questions.question import of_recording
from iclviz.recording import Array, Recording
from iclviz.spans import ANSWER

RECORD = "demonstration_attention"
CHANCE = 0.5
_STEPS = 2000
FEWEST = 2
"""Items that have an answer, and that have another one, from which an AUROC is taken."""


@dataclass(frozen=True, eq=False)
class OwnAnswer(Estimates):
    """AUROC of attention to an answer for the model's giving it; arrays (L,).

    Attributes
    ----------
    estimate, low, high: the mean over answers, and its 95 % interval; by_answer: (answers, L).
    answers: those that demonstrations show, and that some items have and some have not.
    n_items, n_units: items that were answered, and their groups.
    """

    by_answer: Array
    answers: tuple[str, ...]
    n_items: int
    n_units: int

    def lines(self) -> list[str]:
        """Each block's AUROC, a line each."""
        rows = zip(self.estimate, self.low, self.high, strict=True)
        return [f"block {block:<3} {one:.2f} [{low:.2f}, {high:.2f}]" for block, (one, low, high) in enumerate(rows, 1)]


@of_recording
def own_answer_by_block(recording: Recording, *, n_bootstrap: int = 1000, seed: int = 0) -> OwnAnswer:
    """How well attention to the demonstrations' answers foretells the model's own, in each block.

    Parameters
    ----------
    recording: of a run that recorded `demonstration_attention`.
    seed: draws the resamples.

    Raises
    ------
    NotRecordedError: it did not.
    AnalysisError: no answer of the model is one that demonstrations show.
    """
    attention = np.asarray(recording.array("demonstration_answer_attention"), dtype=float).sum(axis=2)
    shown = [shown_answers(recording, item) for item in range(recording.n_items)]
    given = [None if parsed is None else _form(parsed) for parsed in recording.parsed]
    known = np.array([one is not None and bool(texts) for one, texts in zip(given, shown, strict=True)])
    own = np.array([one or "" for one in given])
    answers = [
        answer
        for answer in sorted({text for texts in shown for text in texts.values()})
        if FEWEST <= (own[known] == answer).sum() <= known.sum() - FEWEST
    ]
    if not answers:
        raise AnalysisError(
            "The demonstrations' answers are none that the model gives to some items and not to others, so attention "
            "to them cannot foretell its answer.",
            "Take a task whose items and demonstrations share their answers, such as classes.",
        )
    codes = np.unique(unit_codes(coarsest_groups(recording), recording.n_items)[known], return_inverse=True)[1]
    n_units = int(codes.max()) + 1
    weights = unit_weights(n_units, n_bootstrap, np.random.default_rng(seed))[:, codes]
    scores = np.stack([_score(attention, shown, answer)[known] for answer in answers])
    is_so = np.stack([own[known] == answer for answer in answers])
    estimate, low, high, by_answer = area_with_interval(scores, is_so, weights, n_units)
    return OwnAnswer(estimate, low, high, by_answer, tuple(answers), int(known.sum()), n_units)


def area_with_interval(scores: Array, is_so: Array, weights: Array, n_units: int) -> tuple[Array, Array, Array, Array]:
    """(L,) the mean AUROC over answers with its interval's bounds, and (answers, L) each.

    scores: (answers, n, L); is_so: (answers, n); weights: (B, n) how often resamples of the groups take each item.
    """
    every = np.vstack([np.ones(is_so.shape[1]), weights])
    found = np.stack([auroc(*one, every) for one in zip(scores, is_so, strict=True)])
    mean = mean_of_known(found)
    stretched = mean[0] + student_stretch(n_units) * (mean[1:] - mean[0])
    low, high = percentile_interval(np.clip(stretched, 0.0, 1.0))
    least, most = (mean_of_known(one) for one in _at_the_ends(found[:, 0], is_so))
    return mean[0], np.fmin(low, least), np.fmax(high, most), found[:, 0]


def _at_the_ends(area: Array, is_so: Array) -> tuple[Array, Array]:
    """(answers, L) bounds of each AUROC by Newcombe's (2006) method 5: the areas of whose own standard errors, by
    Hanley and McNeil, as many as Student's t reach to the one that was found.
    """
    grid = np.linspace(0.0, 1.0, _STEPS + 1)
    bounds = np.stack([np.full(area.shape, np.nan), np.full(area.shape, np.nan)])
    for answer, so in enumerate(is_so):
        m, n = int(so.sum()), int((~so).sum())
        more = (m + n) / 2 - 1
        variance = grid * (1 - grid) * (1 + more * (1 - grid) / (2 - grid) + more * grid / (1 + grid)) / (m * n)
        reach = t.ppf(0.975, max(m + n - 2, 1)) * np.sqrt(variance)
        within = np.abs(area[answer][:, None] - grid) <= np.maximum(reach, 0.5 / _STEPS)
        bounds[0, answer], bounds[1, answer] = (
            grid[within.argmax(axis=1)],
            grid[_STEPS - within[:, ::-1].argmax(axis=1)],
        )
    return bounds[0], bounds[1]


def shown_answers(recording: Recording, item: int) -> dict[int, str]:
    """Number of each demonstration of an item whose answer is marked -> that answer."""
    found = {}
    for mark in recording.marks[item]:
        kind, _, number = mark.name.partition(":")
        if kind == ANSWER:
            found[int(number)] = _form("".join(recording.tokens[item][mark.start : mark.end]))
    return found


def _form(text: str) -> str:
    return text.strip().casefold()


def _score(attention: Array, shown: "list[dict[int, str]]", answer: str) -> Array:
    """(n, L) of attention (n, L, k), the sum over an item's demonstrations that have an answer."""
    has = np.zeros((len(attention), attention.shape[-1]), dtype=bool)
    for item, texts in enumerate(shown):
        has[item, [number for number, text in texts.items() if text == answer and number < has.shape[1]]] = True
    return np.asarray(np.where(has[:, None], np.nan_to_num(attention), 0.0).sum(axis=-1))


def auroc(score: Array, is_so: Array, weights: Array) -> Array:
    """(B, L) the share of pairs of one that is so and one that is not in which the first has the larger score (n, L).

    weights: (B, n) how often each counts; NaN where there is no such pair.
    """
    first, second = score[is_so], score[~is_so]
    larger = (first[:, None] > second[None]) + 0.5 * (first[:, None] == second[None])
    won = np.einsum("bi,ijl,bj->bl", weights[:, is_so], larger, weights[:, ~is_so], optimize=True)
    pairs = (weights[:, is_so].sum(axis=1) * weights[:, ~is_so].sum(axis=1))[:, None]
    return np.asarray(np.divide(won, pairs, out=np.full(won.shape, np.nan), where=pairs > 0))
