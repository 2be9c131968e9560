"""Comparisons of two conditions: how measures of A and B differ, and how that goes with behaviour.

Changes resample the recordings' coarsest groups, whatever the measure: what is independent of each other is so for all
of them. RSMs and probes are made of all items of a recording; what is
compared are the items that both have.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from iclviz.analysis.behaviour import coarsest_groups, score_of, score_resolution
from iclviz.analysis.comparing import Change, Difference, alignment_difference, paired_over_seeds, seeds_p
from iclviz.analysis.composite import CompositeToSimple, composite_to_simple
from iclviz.analysis.correlations import Method
from iclviz.analysis.joining import join
from iclviz.analysis.link import Level, Link, linked
from iclviz.analysis.measures import (
    MEASURES,
    Measure,
    Measuring,
    log_ratio_changes,
    log_ratio_resolution,
    ratio_of,
    tied_change,
)
from iclviz.analysis.of_recording import PAGE_PERMUTATIONS, embeddings, held_out_probe, recording_rsms, said_by
from iclviz.analysis.paired import PairedTest, paired_test, standardised_p
from iclviz.analysis.pairs import Comparison, Side, check_layers, compare
from iclviz.analysis.probing.swapping import Swapped, swapped
from iclviz.analysis.resolution import same_layers, settled, tied
from iclviz.analysis.rsa import Metric
from iclviz.analysis.statistics import MeanInterval, mean_interval, unit_codes
from iclviz.errors import AnalysisError
from iclviz.recording import Array, Recording


def _tested(comparison: Comparison, change: Array, groups: Array | None, seed: int = 0) -> Change:
    """The mean change (S, m, ...): by sign flips for one demonstration seed, else seeds are resampled too."""
    if comparison.n_seeds == 1:
        return paired_test(change[0], groups, seed=seed)
    return paired_over_seeds(change, groups, seed=seed)


def score_difference(comparison: Comparison, score: str) -> Change:
    """B minus A of a score, the mean over the items that have it on both sides (and over seeds); arrays (1,).

    Raises
    ------
    AnalysisError: a recording has no such score.
    """
    change, groups = score_change(comparison, score), comparison.groups
    kept = np.isfinite(change).any(axis=0)
    kept |= not kept.any()
    return _tested(comparison, change[:, kept, None], None if groups is None else groups[kept])


def score_mean(comparison: Comparison, side: int, score: str) -> float:
    """The mean in A (0) or B (1) over seeds and over the items that have the score in both conditions.

    Raises
    ------
    AnalysisError: a recording has no such score.
    """
    there = np.isfinite(score_change(comparison, score))
    values = [score_of(one, score)[comparison.items(one)] for one in comparison.side(side)]
    return float(np.mean(np.stack(values)[there])) if there.any() else float("nan")


def score_level(comparison: Comparison, side: int, score: str) -> Change | MeanInterval:
    """The mean of a score in A (0) or B (1) over items (and seeds) with its interval; arrays (1,).

    Raises
    ------
    AnalysisError: a recording has no such score.
    """
    recordings = {id(one): one for one in comparison.side(side)}
    values = [score_of(one, score)[comparison.items(one), None] for one in recordings.values()]
    if len(values) == 1:
        return mean_interval(values[0], comparison.groups)
    return paired_over_seeds(np.stack(values), comparison.groups)


def score_change(comparison: Comparison, score: str) -> Array:
    """(S, m) B minus A of a score, NaN where an item has none, 0 where its numbers hold no difference.

    Raises
    ------
    AnalysisError: a recording has no such score.
    """
    change = comparison.change(lambda recording, items: score_of(recording, score)[items])
    return settled(change, least_score_change(comparison, score))


def tied_score_change(comparison: Comparison, score: str) -> Array:
    """The same, items whose changes differ by less than that being ties: what ranks may be taken of."""
    return tied(score_change(comparison, score), least_score_change(comparison, score))


def least_score_change(comparison: Comparison, score: str) -> float:
    """The least difference of a score that all of the recordings hold."""
    return max(score_resolution(one, score) for pair in comparison.pairs for one in pair)


def alignment_change(
    comparison: Comparison, hypothesis: str, pooling: str = "query_mean", metric: Metric = "cosine",
    method: Method = "spearman",
) -> Difference:  # fmt: skip
    """B minus A of each layer's alignment with a hypothesis.

    Raises
    ------
    AnalysisError: no such hypothesis or pooling, or models with different numbers of layers.
    """
    check_layers(comparison)
    first = comparison.first
    said, items = said_by(first, hypothesis), comparison.items(first)

    def stacks(side: int) -> Array:
        different = {id(one): one for one in comparison.side(side)}
        return np.stack([_rsms(one, comparison.items(one), pooling, metric) for one in different.values()])

    before, after = stacks(0), stacks(1)
    same = _same_layers(comparison, pooling)
    after[:, same] = before[:, same] = before[:1, same]
    return alignment_difference(before, after, said[np.ix_(items, items)], comparison.groups, method=method)


def _same_layers(comparison: Comparison, pooling: str) -> Array:
    """(K,) whether rounding alone tells B from A in a layer, whatever the demonstration seed."""
    pairs = [[embeddings(one, pooling)[comparison.items(one)] for one in pair] for pair in comparison.pairs]
    return np.asarray(np.all([same_layers(a, b) for a, b in pairs], axis=0))


def _rsms(recording: Recording, items: Array, pooling: str, metric: Metric) -> Array:
    rsms = recording_rsms(recording, pooling, metric)
    return np.asarray(rsms[:, items[:, None], items])


def log_ratio_change(comparison: Comparison, measuring: Measuring | None = None, by_head: bool = False) -> Change:
    """B minus A of the log attention ratio, arrays (L,), or (L, H) by head, corrected over all of them.

    Raises
    ------
    AnalysisError: an unknown role or option, or models with different numbers of layers.
    """
    check_layers(comparison)
    least = log_ratio_resolution(one for pair in comparison.pairs for one in pair)
    change = settled(log_ratio_changes(comparison, measuring or Measuring(), by_head), least)
    shape = change.shape[2:]
    test = _tested(comparison, change.reshape(*change.shape[:2], -1), comparison.groups)
    return _reshaped(test, shape)


def _reshaped(test: Change, shape: tuple[int, ...]) -> Change:
    arrays = {name: value.reshape(shape) for name, value in vars(test).items() if isinstance(value, np.ndarray)}
    return type(test)(**{**vars(test), **arrays})


def probe_change(
    comparison: Comparison, label: str, pooling: str = "query_mean", n_permutations: int = PAGE_PERMUTATIONS
) -> Change:
    """B minus A of what a held-out probe reads of a label in each layer, both probes made of the common items.

    Of classes it is the difference of the least-squares probe's balanced accuracy; of numbers that of -log(1 - R2), how
    many times smaller (as a logarithm) the unexplained variance is in B. Both are taken apart by groups with the
    jackknife, which gives estimate and interval. p comes from swapping A and B of whole groups and fitting the
    least-squares probe anew (`probing.swapping`); over demonstration seeds, groups' part of the error is that of the
    swaps and seeds' that of the seeds, and p is Student's.

    Raises
    ------
    AnalysisError: no such label or pooling, or models with different numbers of layers.
    """
    check_layers(comparison)
    change = comparison.change(lambda recording, items: held_out_probe(recording, label, pooling, items).group_values)
    same = _same_layers(comparison, pooling)
    change[:, :, same] = np.where(np.isfinite(change[:, :, same]), 0.0, np.nan)
    folds = unit_codes(comparison.of_items(comparison.first.groups[label]), change.shape[1])
    labelled = np.flatnonzero(np.isfinite(change).any(axis=(0, 2)))
    firsts = labelled[np.unique(folds[labelled], return_index=True)[1]]
    units = None if comparison.groups is None else comparison.groups[firsts]
    test = _tested(comparison, change[:, firsts], units)
    swaps = [_swapped(comparison, pair, label, pooling, same, n_permutations) for pair in comparison.pairs]
    if swaps[0].reason:
        absent = np.full(change.shape[2], np.nan)
        return replace(test, p=absent, p_corrected=absent, p_fdr=absent, reason=swaps[0].reason)
    p, corrected, fdr = _swapped_p(swaps, test.n_units)
    found: Change = replace(test, p=p, p_corrected=corrected, p_fdr=fdr, reason=None)
    return replace(found, n_permutations=len(swaps[0].null)) if isinstance(found, PairedTest) else found


def _swapped(
    comparison: Comparison, pair: tuple[Recording, Recording], label: str, pooling: str, same: Array,
    n_permutations: int,
) -> Swapped:  # fmt: skip
    a, b = (embeddings(one, pooling)[comparison.items(one)] for one in pair)
    b[:, same] = a[:, same]
    first = comparison.first
    labels, folds = (comparison.of_items(values[label]) for values in (first.labels, first.groups))
    assert labels is not None
    return swapped(a, b, labels, folds, comparison.groups, n_permutations=n_permutations)


def _swapped_p(swaps: Sequence[Swapped], n_units: int) -> tuple[Array, Array, Array]:
    """P alone, corrected over layers and for the FDR, of one demonstration seed or of the mean over several."""
    null = np.mean([swap.null for swap in swaps], axis=0)
    observed = np.stack([swap.observed for swap in swaps])
    return standardised_p(observed[0], null) if len(swaps) == 1 else seeds_p(observed, null, n_units)


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
    ratio = ratio_of(recording, replace(how, per="mass"), by_head)
    share = ratio / (1 + ratio) - 1 / len(every)
    return paired_test(settled(share, log_ratio_resolution([recording]) / 4)[kept], groups[kept])


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
        {measure: tied_change(comparison, measure, measuring) for measure in measures},
        tied_score_change(comparison, score),
        comparison.groups,
        level=level,
        factors=comparison.factors,
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
