"""The answer trajectory: what the model would answer at each layer, over items, beside what it answers in the end.

Layers are 0 to L, the last one being the model's own output. Log-probabilities are of the first token that tells a
candidate from the others, entropies and divergences in nats; an item whose right answer no such token tells has no
value. Means have intervals from resampling independent groups of items.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from iclviz.analysis.behaviour import PREFERRED, coarsest_groups, nats_held, score_of
from iclviz.analysis.change import Change, mean_change
from iclviz.analysis.comparison import Comparison, check_layers, of_comparison
from iclviz.analysis.resolution import settled
from iclviz.analysis.results import Estimates
from iclviz.analysis.statistics import (
    mean_interval,
    mean_samples,
    percentile_interval,
    quotient,
    unit_codes,
    unit_totals,
    unit_weights,
)
from iclviz.errors import AnalysisError, unknown
from iclviz.questions.question import of_recording
from iclviz.recording import Array, Recording

TRAJECTORY = "trajectory"
"""The recorder, and its array of log-probabilities."""
MOST_TEXTS = 8
"""Different tokens of candidates up to which each has a line of its own."""


@dataclass(frozen=True, eq=False)
class LayerMeans(Estimates):
    """A quantity's mean over items at each layer, with its 95 % interval.

    Attributes
    ----------
    estimate, low, high: (L + 1,) the mean; NaN where no item has a value, or fewer than two groups for the interval.
    quantity: one of `QUANTITIES`.
    n: (L + 1,) items that have a value.
    n_units: independent groups of items.
    """

    quantity: str
    n: Array
    n_units: int

    @property
    def mean(self) -> Array:
        """The estimate: a mean over items."""
        return self.estimate


@dataclass(frozen=True, eq=False)
class ByOutcome:
    """A quantity over the items that the model gets right and over those that it gets wrong.

    Attributes
    ----------
    score: the score that says which are right (1) and which wrong (0).
    right, wrong: means over those items.
    difference, low, high: (L + 1,) right less wrong with its 95 % interval, from resampling groups together.
    n_right, n_wrong: items that have a value at the last layer.
    """

    score: str
    right: LayerMeans
    wrong: LayerMeans
    difference: Array
    low: Array
    high: Array
    n_right: int
    n_wrong: int


@dataclass(frozen=True, eq=False)
class OverCandidates:
    """The mean log-probability of each candidate at each layer.

    Attributes
    ----------
    candidates: name -> means; names are tokens' texts where items share few of them, else "right answer" and "other
        answer 1" and so on by their place.
    """

    candidates: Mapping[str, LayerMeans]


@dataclass(frozen=True, eq=False)
class ItemTrajectory:
    """One item's layers.

    Attributes
    ----------
    item_id: its id.
    tokens: C texts, the right answer's first.
    logprobs: (L + 1, C); rank, entropy, kl: (L + 1,), as recorded.
    """

    item_id: str
    tokens: tuple[str, ...]
    logprobs: Array
    rank: Array
    entropy: Array
    kl: Array


def _margin(recording: Recording) -> Array:
    """(n, L + 1) the right answer's log-probability less the best other candidate's."""
    logprobs = recording.array("trajectory")
    others = np.where(np.isnan(logprobs[..., 1:]), -np.inf, logprobs[..., 1:]).max(-1, initial=-np.inf)
    return np.where(np.isfinite(others), _answer(recording) - others, np.nan)


def _answer(recording: Recording) -> Array:
    logprobs = recording.array("trajectory")
    return logprobs[..., 0] if logprobs.shape[-1] else np.full(logprobs.shape[:-1], np.nan)


QUANTITIES: dict[str, Callable[[Recording], Array]] = {
    "answer": _answer,
    "margin": _margin,
    "rank": lambda recording: recording.array("trajectory_rank"),
    "entropy": lambda recording: recording.array("trajectory_entropy"),
    "kl": lambda recording: recording.array("trajectory_kl"),
}
"""Name -> (n, L + 1) of a recording: the right answer's log-probability, its margin over the best other candidate, its
rank, the layer's entropy, and KL(output || layer).
"""


def trajectory_values(recording: Recording, quantity: str) -> Array:
    """(n, L + 1) a quantity of each item at each layer.

    Raises
    ------
    AnalysisError: an unknown quantity, or the recording has no trajectory.
    """
    if quantity not in QUANTITIES:
        raise unknown(AnalysisError, "quantity", quantity, list(QUANTITIES))
    return np.asarray(QUANTITIES[quantity](recording), dtype=float)


def usual_quantity(recordings: Sequence[Recording]) -> str:
    """The quantity to begin with: the margin where items have candidates to be apart from, else the entropy."""
    apart = any(np.isfinite(_margin(one)).any() for one in recordings)
    return "margin" if apart else "entropy"


@of_recording
def trajectory_by_layer(recording: Recording, quantity: str = "margin", *, seed: int = 0) -> LayerMeans:
    """A quantity's mean over items at each layer.

    Raises
    ------
    As `trajectory_values`.
    """
    return _means(quantity, trajectory_values(recording, quantity), coarsest_groups(recording), seed)


def _means(quantity: str, values: Array, groups: Array | None, seed: int) -> LayerMeans:
    found = mean_interval(values, groups, seed=seed)
    return LayerMeans(found.estimate, found.low, found.high, quantity, found.n, found.n_units)


@of_recording
def trajectory_by_outcome(
    recording: Recording, quantity: str = "margin", score: str = PREFERRED, *, n_bootstrap: int = 1000, seed: int = 0
) -> ByOutcome:
    """A quantity over right and over wrong items, and their difference.

    Parameters
    ----------
    score: a score that is 1 for right items and 0 for wrong ones; items with other values are left out.

    Raises
    ------
    AnalysisError: as `trajectory_values`, or there are no right or no wrong items.
    """
    values, outcome = trajectory_values(recording, quantity), score_of(recording, score)
    right, wrong = outcome == 1, outcome == 0
    if not right.any() or not wrong.any():
        none = "wrong" if right.any() else "right"
        raise AnalysisError(f"No item is {none} by the score {score}.", "Take another score, or another condition.")
    codes = unit_codes(coarsest_groups(recording), len(values))
    n_units = int(codes.max()) + 1
    sides = [np.where(chosen[:, None], values, np.nan) for chosen in (right, wrong)]
    weights = unit_weights(n_units, n_bootstrap, np.random.default_rng(seed))
    totals = [unit_totals(side, codes, n_units) for side in sides]
    means = [quotient(sums.sum(axis=0), counts.sum(axis=0).astype(float)) for sums, counts in totals]
    samples = [mean_samples(sums, counts, weights) for sums, counts in totals]
    low, high = (np.array(bound) for bound in percentile_interval(samples[0] - samples[1]))
    alone = np.any([(counts > 0).sum(axis=0) < 2 for _, counts in totals], axis=0)
    low[alone] = high[alone] = np.nan
    n_right, n_wrong = (int(np.isfinite(side[:, -1]).sum()) for side in sides)
    of_right, of_wrong = (_means(quantity, values[chosen], codes[chosen], seed) for chosen in (right, wrong))
    return ByOutcome(score, of_right, of_wrong, means[0] - means[1], low, high, n_right, n_wrong)


@of_recording
def trajectory_over_candidates(recording: Recording, *, seed: int = 0) -> OverCandidates:
    """Each candidate's mean log-probability at each layer.

    Raises
    ------
    AnalysisError: the recording has no trajectory, or no candidates.
    """
    logprobs, tokens = recording.array("trajectory"), recording.array("trajectory_token")
    if not logprobs.shape[-1]:
        raise AnalysisError("These items have no candidate answers.", "Take a task whose items have candidates.")
    there = np.isfinite(logprobs).any(axis=1)
    texts = np.unique(tokens[there].astype(str))
    if 0 < len(texts) <= MOST_TEXTS:
        of_names = {str(text): np.where(there & (tokens == text), 1.0, np.nan) for text in texts}
    else:
        names = ["right answer", *(f"other answer {place}" for place in range(1, logprobs.shape[-1]))][:MOST_TEXTS]
        of_names = {name: np.where(np.arange(logprobs.shape[-1]) == place, 1.0, np.nan) + 0 * there
                    for place, name in enumerate(names)}  # fmt: skip
    groups = coarsest_groups(recording)
    return OverCandidates(
        {name: _means("answer", _only(logprobs * kept[:, None]), groups, seed) for name, kept in of_names.items()}
    )


def _only(logprobs: Array) -> Array:
    """(n, L + 1) the one candidate of each item (n, L + 1, C) that has a value; NaN where none has."""
    return np.where(np.isnan(logprobs).all(-1), np.nan, np.nansum(logprobs, axis=-1))


@of_recording
def trajectory_of_item(recording: Recording, item: int) -> ItemTrajectory:
    """One item's layers; item: its place.

    Raises
    ------
    AnalysisError: the recording has no trajectory, or no such item.
    """
    if not 0 <= item < recording.n_items:
        raise AnalysisError(f"There is no item {item}.", f"Take a place from 0 to {recording.n_items - 1}.")
    logprobs = np.asarray(recording.array("trajectory")[item], dtype=float)
    n = int(np.sum([bool(text) for text in recording.array("trajectory_token")[item]]))
    return ItemTrajectory(
        recording.item_ids[item],
        tuple(str(text) for text in recording.array("trajectory_token")[item][:n]),
        logprobs[:, :n],
        *(np.asarray(QUANTITIES[name](recording)[item], dtype=float) for name in ("rank", "entropy", "kl")),
    )


@of_comparison
def trajectory_change(comparison: Comparison, quantity: str = "margin") -> Change:
    """B minus A of a quantity of the common items at each layer, tested over groups (and seeds), corrected over layers.

    Raises
    ------
    AnalysisError: a recording keeps no trajectory, an unknown quantity, or models with different numbers of layers.
    """
    check_layers(comparison)
    change = comparison.change(lambda recording, items: trajectory_values(recording, quantity)[items])
    least = max(nats_held(one) for pair in comparison.pairs for one in pair)
    return mean_change(settled(change, least), comparison.groups)
