"""Comparisons of two conditions: recordings A and B, or one of each for every demonstration seed, joined on item ids.

Units follow the recordings: a hypothesis is resampled in its own groups, a label in those that its folds keep whole,
and scores, attention and links in the coarsest groups. RSMs and probes are made of all items of a recording; what is
compared are the items that both have.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from scipy.stats import spearmanr

from iclviz.analysis.attention import Heads, Per, Rows, attention_ratio, attention_ratio_by_head
from iclviz.analysis.behaviour import coarsest_groups
from iclviz.analysis.comparing import Change, Difference, alignment_difference, paired_over_seeds
from iclviz.analysis.composite import CompositeToSimple, composite_to_simple
from iclviz.analysis.correlations import Method
from iclviz.analysis.joining import join
from iclviz.analysis.link import Level, Link, linked
from iclviz.analysis.of_recording import embeddings, held_out_probe, probed_labels, recording_rsms, said_by
from iclviz.analysis.paired import PairedTest, paired_test
from iclviz.analysis.rsa import Metric, item_alignment
from iclviz.analysis.statistics import mean_of_known
from iclviz.errors import AnalysisError, unknown
from iclviz.recording import Array, Recording

Measure = Literal["alignment", "probe", "attention_ratio"]


@dataclass(frozen=True)
class Measuring:
    """How an item is measured; None stands for the recording's first hypothesis and first probed label.

    Attributes
    ----------
    hypothesis, pooling, metric: of its own alignment; label: of its held-out evidence in a probe, over `pooling`.
    heads, rows, over, under, per: of its log attention ratio.
    """

    hypothesis: str | None = None
    label: str | None = None
    pooling: str = "query_mean"
    metric: Metric = "cosine"
    heads: Heads = "mean"
    rows: Rows = "response"
    over: str = "relevant"
    under: str = "irrelevant"
    per: Per = "token"

    def of(self, recording: Recording) -> "tuple[str, str]":
        """The hypothesis and the label for a recording, "" where it has none."""
        hypothesis = self.hypothesis or next(iter(recording.hypotheses), "")
        return hypothesis, self.label or next(iter(probed_labels(recording)), "")


@dataclass(frozen=True, eq=False)
class Comparison:
    """S pairs of recordings, one for each demonstration seed, over the m items that all of them have.

    Attributes
    ----------
    pairs: (A, B) for each seed.
    item_ids: the m common items, in the first recording's order.
    """

    pairs: tuple[tuple[Recording, Recording], ...]
    item_ids: tuple[str, ...]

    @property
    def n_seeds(self) -> int:
        """Demonstration seeds S."""
        return len(self.pairs)

    @property
    def first(self) -> Recording:
        """A of the first seed."""
        return self.pairs[0][0]

    def side(self, number: int) -> list[Recording]:
        """The recordings of A (0) or of B (1), one for each seed."""
        return [pair[number] for pair in self.pairs]

    def items(self, recording: Recording) -> Array:
        """(m,) where the common items stand in a recording."""
        place = {item: index for index, item in enumerate(recording.item_ids)}
        return np.array([place[item] for item in self.item_ids], dtype=int)

    def of_items(self, values: Array | None) -> Array | None:
        """(m, ...) the common items' values of the first recording's (n, ...)."""
        return None if values is None else np.asarray(values)[self.items(self.first)]

    @cached_property
    def groups(self) -> Array | None:
        """(m,) the coarsest groups of the common items."""
        return self.of_items(coarsest_groups(self.first))

    def change(self, of: Callable[[Recording], Array]) -> Array:
        """(S, m, ...) B minus A of what a recording's items have, (n, ...)."""
        values: dict[int, Array] = {}
        for recording in (one for pair in self.pairs for one in pair):
            if id(recording) not in values:
                values[id(recording)] = np.asarray(of(recording), dtype=float)[self.items(recording)]
        return np.stack([values[id(b)] - values[id(a)] for a, b in self.pairs])


Side = Recording | Sequence[Recording]


def compare(a: Side, b: Side, *, parsed_in_both: bool = False) -> Comparison:
    """A and B, or several of each, one for each demonstration seed, in the same order.

    Parameters
    ----------
    a, b: one recording, or one for each seed; a single one is compared with every one of the other side.
    parsed_in_both: keep only items whose response could be read in all of them.

    Raises
    ------
    AnalysisError: different numbers of seeds, other models' layers, or no item in common.
    """
    ours, theirs = ([side] if isinstance(side, Recording) else list(side) for side in (a, b))
    n_seeds = max(len(ours), len(theirs))
    if not ours or not theirs or {len(ours), len(theirs)} - {1, n_seeds}:
        raise AnalysisError(f"A has {len(ours)} runs and B {len(theirs)}.", "Give one of each for every seed.")
    pairs = tuple(zip(ours * (n_seeds // len(ours)), theirs * (n_seeds // len(theirs)), strict=True))
    common: list[str] = list(join(ours[0], theirs[0], parsed_in_both).item_ids)
    for first, second in pairs[1:]:
        kept = set(join(first, second, parsed_in_both).item_ids)
        common = [item for item in common if item in kept]
    if not common:
        raise AnalysisError("The runs have no item in common.", "Compare runs with the same items and item seed.")
    return Comparison(pairs, tuple(common))


def _layers_agree(comparison: Comparison) -> None:
    if len({recording.n_layers for pair in comparison.pairs for recording in pair}) > 1:
        raise AnalysisError("A and B have different numbers of layers.", "Compare runs of one model layer by layer.")


def _tested(comparison: Comparison, change: Array, groups: Array | None, seed: int = 0) -> Change:
    """The mean change (S, m, ...): by sign flips for one demonstration seed, else seeds are resampled too."""
    if comparison.n_seeds == 1:
        return paired_test(change[0], groups, seed=seed)
    return paired_over_seeds(change, groups, seed=seed)


def score_difference(comparison: Comparison, score: str) -> Change:
    """B minus A of a score, the mean over items (and seeds); arrays (1,).

    Raises
    ------
    AnalysisError: a recording has no such score.
    """
    return _tested(comparison, score_change(comparison, score)[:, :, None], comparison.groups)


def score_change(comparison: Comparison, score: str) -> Array:
    """(S, m) B minus A of a score, NaN where an item has none.

    Raises
    ------
    AnalysisError: a recording has no such score.
    """

    def of(recording: Recording) -> Array:
        if score not in recording.scores:
            raise unknown(AnalysisError, "score", score, list(recording.scores))
        return np.asarray(recording.scores[score])

    return comparison.change(of)


def alignment_change(
    comparison: Comparison, hypothesis: str, pooling: str = "query_mean", metric: Metric = "cosine",
    method: Method = "spearman",
) -> Difference:  # fmt: skip
    """B minus A of each layer's alignment with a hypothesis.

    Raises
    ------
    AnalysisError: no such hypothesis or pooling, or models with different numbers of layers.
    """
    _layers_agree(comparison)
    first = comparison.first
    said, items = said_by(first, hypothesis), comparison.items(first)

    def stacks(side: int) -> Array:
        different = {id(one): one for one in comparison.side(side)}
        return np.stack([_rsms(one, comparison.items(one), pooling, metric) for one in different.values()])

    groups = comparison.of_items(first.groups.get(hypothesis))
    return alignment_difference(stacks(0), stacks(1), said[np.ix_(items, items)], groups, method=method)


def _rsms(recording: Recording, items: Array, pooling: str, metric: Metric) -> Array:
    rsms = recording_rsms(recording, pooling, metric)
    return np.asarray(rsms[:, items[:, None], items])


def _ratio(recording: Recording, how: Measuring, by_head: bool = False) -> Array:
    """The attention ratio of each item, (n, L), or (n, L, H) by head."""
    if by_head:
        return attention_ratio_by_head(recording, how.over, how.under, how.rows, how.per)
    return attention_ratio(recording, how.over, how.under, how.heads, how.rows, how.per)


def log_ratio_change(comparison: Comparison, measuring: Measuring | None = None, by_head: bool = False) -> Change:
    """B minus A of the log attention ratio, arrays (L,), or (L, H) by head, corrected over all of them.

    Raises
    ------
    AnalysisError: an unknown role or option, or models with different numbers of layers.
    """
    _layers_agree(comparison)
    how = measuring or Measuring()

    change = comparison.change(lambda recording: np.log(_ratio(recording, how, by_head)))
    shape = change.shape[2:]
    test = _tested(comparison, change.reshape(*change.shape[:2], -1), comparison.groups)
    return _reshaped(test, shape)


def _reshaped(test: Change, shape: tuple[int, ...]) -> Change:
    arrays = {name: value.reshape(shape) for name, value in vars(test).items() if isinstance(value, np.ndarray)}
    return type(test)(**{**vars(test), **arrays})


def probe_change(comparison: Comparison, label: str, pooling: str = "query_mean") -> Change:
    """B minus A of each layer's held-out probe score, item by item; of classes every class counts alike.

    Numbers have no p: in simulations without any difference 16 % of theirs were below 0.05.

    Raises
    ------
    AnalysisError: no such label or pooling, or models with different numbers of layers.
    """
    _layers_agree(comparison)

    def of(recording: Recording) -> Array:
        return held_out_probe(recording, label, pooling).item_scores

    change = comparison.change(of)
    labels = comparison.of_items(comparison.first.labels[label])
    groups = comparison.of_items(comparison.first.groups[label])
    test = _tested(comparison, change * _class_weights(labels)[:, None], groups)
    return _without_p(test) if np.issubdtype(np.asarray(labels).dtype, np.floating) else test


def _without_p(test: Change) -> Change:
    absent = np.full(test.estimate.shape, np.nan)
    why = "squared errors of probes that share their training items are not independent: no p is given"
    return replace(test, p=absent, p_corrected=absent, p_fdr=absent, reason=why)


def _class_weights(labels: Array | None) -> Array:
    """(m,) weights by which the mean over items becomes the mean over classes; 1 for numbers."""
    labels = np.asarray(labels)
    if np.issubdtype(labels.dtype, np.floating):
        return np.ones(len(labels))
    known = labels.astype(str) != ""
    names, places, counts = np.unique(labels[known], return_inverse=True, return_counts=True)
    weights = np.full(len(labels), np.nan)
    weights[known] = known.sum() / (len(names) * counts[places])
    return weights


def relevance_test(recording: Recording, measuring: Measuring | None = None, by_head: bool = False) -> PairedTest:
    """The same text when it is relevant against when it is not: its share of attention over balanced groups.

    Where every group asks about each of its k pieces of text once, each piece is relevant in one item and irrelevant in
    the others, at the same place. If relevance does nothing, the pieces' shares of the attention to all of them add up
    to 1 over the group's items, whatever their places and lengths: the mean of the relevant piece's share is 1 / k. The
    estimate is that mean less 1 / k, arrays (L,), or (L, H) by head. (Log ratios have no such null for k > 2.) Groups
    that are not balanced are left out; `per` is not read, since shares are of whole masses.

    Raises
    ------
    AnalysisError: the recording has no "position" label, or no balanced group.
    """
    how = measuring or Measuring()
    if "position" not in recording.labels or "position" not in recording.groups:
        raise AnalysisError(
            "This task does not ask about the same text in turn, so no text is relevant once and irrelevant once.",
            "Take reading comprehension with balanced positions.",
        )
    groups, positions = recording.groups["position"], np.asarray(recording.labels["position"])
    every = np.unique(positions)
    balanced = [code for code in np.unique(groups) if np.array_equal(np.sort(positions[groups == code]), every)]
    kept = np.flatnonzero(np.isin(groups, balanced))
    if len(every) < 2 or not len(kept):
        raise AnalysisError("No group asks about each of its pieces of text once.", "Take balanced positions.")
    ratio = _ratio(recording, replace(how, per="mass"), by_head)
    return paired_test((ratio / (1 + ratio) - 1 / len(every))[kept], groups[kept])


def _item_alignment(recording: Recording, how: Measuring) -> Array:
    hypothesis, _ = how.of(recording)
    said = said_by(recording, hypothesis)
    return item_alignment(recording_rsms(recording, how.pooling, how.metric), said)


def _item_evidence(recording: Recording, how: Measuring) -> Array:
    _, label = how.of(recording)
    return held_out_probe(recording, label, how.pooling).item_evidence


def _item_log_ratio(recording: Recording, how: Measuring) -> Array:
    return np.log(_ratio(recording, how))


MEASURES: Mapping[str, Callable[[Recording, Measuring], Array]] = {
    "alignment": _item_alignment,
    "probe": _item_evidence,
    "attention_ratio": _item_log_ratio,
}
"""Measure -> what each item has in each layer, (n, L + 1), or (n, L) for blocks."""


def measure_change(comparison: Comparison, measure: str, measuring: Measuring | None = None) -> Array:
    """(S, m, K) B minus A of a measure of each item in each layer.

    Raises
    ------
    AnalysisError: an unknown measure, hypothesis or label, or models with different numbers of layers.
    """
    if measure not in MEASURES:
        raise unknown(AnalysisError, "measure", measure, list(MEASURES))
    _layers_agree(comparison)
    how = measuring or Measuring()
    return comparison.change(lambda recording: MEASURES[measure](recording, how))


@dataclass(frozen=True)
class ConditionPoints:
    """Conditions as points, label -> (mean of a measure, mean score), and Spearman's rho over them.

    There is no p: conditions share items, baseline and nested demonstrations, and all rise with k.
    """

    points: Mapping[str, tuple[float, float]]
    rho: float


def across_conditions(
    recordings: Mapping[str, Recording],
    measure: str,
    score: str,
    column: int,
    measuring: Measuring | None = None,
) -> ConditionPoints:
    """Each condition's mean of a measure in one column (layer, or block), against its mean score.

    Conditions without a value are left out.

    Raises
    ------
    AnalysisError: an unknown measure, score, hypothesis or label.
    """
    if measure not in MEASURES:
        raise unknown(AnalysisError, "measure", measure, list(MEASURES))
    how = measuring or Measuring()
    means = {
        label: (
            float(mean_of_known(MEASURES[measure](one, how)[:, column])),
            float(mean_of_known(np.asarray(one.scores[score], dtype=float))),
        )
        for label, one in recordings.items()
        if score in one.scores
    }
    points = {label: point for label, point in means.items() if np.isfinite(point).all()}
    values = np.array(list(points.values())).reshape(-1, 2)
    varied = len(values) > 2 and bool((np.ptp(values, axis=0) > 0).all())
    return ConditionPoints(points, float(spearmanr(*values.T).statistic) if varied else float("nan"))


def links(
    comparison: Comparison,
    score: str,
    level: Level = "within",
    measuring: Measuring | None = None,
    measures: Sequence[str] = tuple(MEASURES),
    *,
    n_permutations: int = 1000,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, Link]:
    """The link of each measure's change with a score's change, corrected over layers and measures together.

    The partial correlation is given the score in A, the lengths of prompt and response on both sides, and the task's
    covariates.

    Raises
    ------
    AnalysisError: an unknown measure, score, hypothesis or label.
    """
    return linked(
        {measure: measure_change(comparison, measure, measuring) for measure in measures},
        score_change(comparison, score),
        comparison.groups,
        level=level,
        covariates=covariates(comparison, score),
        n_permutations=n_permutations,
        n_bootstrap=n_bootstrap,
        seed=seed,
    )


def covariates(comparison: Comparison, score: str) -> dict[str, Array]:
    """What a partial link is given, name -> (S, m): the score in A, and both sides' lengths and task covariates; one
    that does not vary or that some item lacks is left out.
    """

    def stacked(side: int, of: Callable[[Recording], Array]) -> Array:
        return np.stack([np.asarray(of(one), dtype=float)[comparison.items(one)] for one in comparison.side(side)])

    def covariate(name: str) -> Callable[[Recording], Array]:
        return lambda recording: recording.covariates[name]

    found = {"baseline score": stacked(0, lambda recording: recording.scores[score])}
    for side, where in enumerate(("A", "B")):
        names = set.intersection(*(set(one.covariates) for one in comparison.side(side)))
        found |= {f"{name} in {where}": stacked(side, covariate(name)) for name in sorted(names)}
    return {name: values for name, values in found.items() if np.isfinite(values).all() and np.ptp(values) > 0}


def behaviour_link(
    recording_a: Side,
    recording_b: Side,
    measure: Measure,
    score: str,
    level: Level = "within",
    *,
    measuring: Measuring | None = None,
    parsed_in_both: bool = False,
    n_permutations: int = 1000,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> Link:
    """How the change (B minus A) of a measure goes with the change of a score over items, per layer.

    Parameters
    ----------
    recording_a, recording_b: a condition each, or one recording of each for every demonstration seed.
    measure: "alignment", "probe" or "attention_ratio".
    score: the name of a score.
    level: "within" groups of items, or "between" them.
    measuring: hypothesis, label, pooling and so on; None = the recording's first ones. With `rows="response"`, the
        default, an attention ratio goes with the answer by construction where the answer repeats a word of the relevant
        text, to which its tokens attend; `rows="last"` is the same text on both sides.
    parsed_in_both: keep only items whose response could be read in A and in B.
    seed: draws permutations and resamples.

    Raises
    ------
    AnalysisError: an unknown name, or recordings without common items.
    """
    comparison = compare(recording_a, recording_b, parsed_in_both=parsed_in_both)
    return links(
        comparison, score, level, measuring, (measure,),
        n_permutations=n_permutations, n_bootstrap=n_bootstrap, seed=seed,
    )[measure]  # fmt: skip


def recording_composite_to_simple(
    composite: Recording, simple: Recording, pooling: str = "query_mean", metric: Metric = "cosine"
) -> CompositeToSimple:
    """Composite items against the simple prompts of another recording of the same items and demonstrations.

    Raises
    ------
    AnalysisError: no item in common, or no such pooling.
    """
    shared = join(composite, simple)
    groups = coarsest_groups(composite)
    sets = np.arange(composite.n_items) if groups is None else groups
    return composite_to_simple(
        embeddings(composite, pooling)[shared.a], embeddings(simple, pooling)[shared.b], sets[shared.a], metric=metric
    )
